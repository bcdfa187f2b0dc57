/** @jsxRuntime automatic @jsxImportSource react */
// A page with the keys of whoever is signed in and of their team, by the hooks of @stackframe/react. Rendered in jsdom here.
import { mount, until } from "./page.mjs";
import { Suspense } from "react";
import { createRoot } from "react-dom/client";
import { StackClientApp, StackProvider, useUser } from "@stackframe/react";

function Keys({ title, apiKeys }) {
  return (
    <section>
      <h2>{title}</h2>
      <ul>
        {apiKeys.map((apiKey) => (
          <li key={apiKey.id}>
            {apiKey.description}: {apiKey.isValid() ? "valid" : apiKey.whyInvalid()}
            {apiKey.isValid() && <button onClick={() => apiKey.revoke()}>Revoke</button>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function TeamKeys({ user }) {
  const team = user.useTeam(process.env.TEAM_ID);
  const teamApiKeys = team.useApiKeys();
  return <Keys title={`Keys of ${team.displayName}`} apiKeys={teamApiKeys} />;
}

function OwnKeys({ user }) {
  const apiKeys = user.useApiKeys();
  const create = () =>
    user.createApiKey({
      description: "Development environment key",
      expiresAt: new Date(Date.now() + 90 * 24 * 60 * 60 * 1000), // 90 days from now
      isPublic: false,
    });
  return (
    <>
      <button id="create" onClick={create}>New key</button>
      <Keys title="Your keys" apiKeys={apiKeys} />
    </>
  );
}

function Page() {
  const user = useUser();
  return user ? <main><OwnKeys user={user} /><TeamKeys user={user} /></main> : <p>You are signed out.</p>;
}

const stackApp = new StackClientApp({ tokenStore: "memory", redirectMethod: "none" });
createRoot(mount()).render(
  <StackProvider app={stackApp}>
    <Suspense fallback="…"><Page /></Suspense>
  </StackProvider>,
);

await until("You are signed out.");
await stackApp.signInWithCredential({
  email: process.env.USER_EMAIL,
  password: process.env.USER_PASSWORD,
  noRedirect: true,
});
await until("Your keys");
await until("Keys of ");
document.getElementById("create").click();
await until("Development environment key: valid");
document.querySelector("li button").click();
console.log(await until("Development environment key: manually-revoked"));
process.exit(0);

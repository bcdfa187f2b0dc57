// The hooks of @stackframe/react, rendered in jsdom: the lists of keys show what is there, and follow what is done.
import { mount } from "./page.mjs";
import { StackClientApp, StackProvider, useUser } from "@stackframe/react";
import { Suspense, createElement as h } from "react";
import { createRoot } from "react-dom/client";
import { assert, client, connection, eventually, inDays, made, world } from "./steps.mjs";

const step = client("@stackframe/react 2.8.108");
const { ada } = world.people;
const app = new StackClientApp({ ...connection, tokenStore: "memory", redirectMethod: "none" });
const shown = (name) => [...document.querySelectorAll(`#${name} li`)].map((line) => line.textContent);

function Keys() {
  const user = useUser();
  return user ? h("section", {}, h(Own, { user }), h(Ours, { user })) : h("p", { id: "nobody" }, "signed out");
}

function Own({ user }) {
  const apiKeys = user.useApiKeys();
  return h("ul", { id: "own" }, apiKeys.map((key) => h("li", { key: key.id }, `${key.description}: ${key.whyInvalid() ?? "valid"}`)));
}

function Ours({ user }) {
  const team = user.useTeam(world.team);
  const teamApiKeys = team.useApiKeys();
  return h("ul", { id: "ours" }, teamApiKeys.map((key) => h("li", { key: key.id }, `${key.description}: ${key.whyInvalid() ?? "valid"}`)));
}

await step("<StackProvider>, useUser(): signed out", async () => {
  const root = createRoot(mount());
  root.render(h(StackProvider, { app }, h(Suspense, { fallback: "…" }, h(Keys))));
  await eventually(() => document.getElementById("nobody"), Boolean);
});

await step("useUser(): signed in", async () => {
  assert.equal((await app.signInWithCredential({ ...ada.login, noRedirect: true })).status, "ok");
  await eventually(() => document.getElementById("own"), Boolean);
});

await step("user.useApiKeys() follows createApiKey() and revoke()", async () => {
  const user = await app.getUser();
  const key = await user.createApiKey({ description: "hooked", expiresAt: inDays(90), isPublic: false });
  made(key.value);
  await eventually(() => shown("own"), (lines) => lines.includes("hooked: valid"));
  await key.revoke();
  await eventually(() => shown("own"), (lines) => lines.includes("hooked: manually-revoked"));
});

await step("team.useApiKeys() follows createApiKey() and revoke()", async () => {
  const team = await (await app.getUser()).getTeam(world.team);
  const key = await team.createApiKey({ description: "hooked too", expiresAt: inDays(60), isPublic: false });
  made(key.value);
  await eventually(() => shown("ours"), (lines) => lines.includes("hooked too: valid"));
  await key.revoke();
  await eventually(() => shown("ours"), (lines) => lines.includes("hooked too: manually-revoked"));
});

process.exit(0);

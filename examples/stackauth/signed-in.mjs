// Somebody who is signed in manages their own keys, and those of a team whose keys they may manage.
import { StackClientApp } from "@stackframe/js";

const stackApp = new StackClientApp({ tokenStore: "memory" });

const result = await stackApp.signInWithCredential({
  email: process.env.USER_EMAIL,
  password: process.env.USER_PASSWORD,
  noRedirect: true,
});
if (result.status === "error") {
  throw result.error;
}

const user = await stackApp.getUser();
const apiKey = await user.createApiKey({
  description: "My client application",
  expiresAt: new Date(Date.now() + 90 * 24 * 60 * 60 * 1000), // 90 days
  isPublic: false,
});
console.log(`${user.displayName} has a key until ${apiKey.expiresAt.toISOString().slice(0, 10)}`);

const team = await user.getTeam(process.env.TEAM_ID);
if (await user.hasPermission(team, "$manage_api_keys")) {
  const teamApiKey = await team.createApiKey({
    description: "Team integration service",
    expiresAt: new Date(Date.now() + 60 * 24 * 60 * 60 * 1000), // 60 days
    isPublic: false,
  });
  console.log(`${team.displayName} has ${(await team.listApiKeys()).length} keys`);
  await teamApiKey.revoke();
}

await apiKey.revoke();
for (const key of await user.listApiKeys()) {
  console.log(`${key.description}: ${key.isValid() ? "valid" : key.whyInvalid()}`);
}
await user.signOut();
process.exit((await stackApp.getUser()) === null ? 0 : 1);

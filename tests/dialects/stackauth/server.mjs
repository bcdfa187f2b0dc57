// StackServerApp: what an application's own server does with users, teams and their keys.
import { StackServerApp } from "@stackframe/js";
import { assert, client, eventually, inDays, made, server, world } from "./steps.mjs";

const step = client("StackServerApp 2.8.108");
const app = new StackServerApp(server);
const nobody = "0199a3c4-7b1e-4c00-8000-6f9d2f3f1a20";
let user, colleague, team, key, teamKey;

await step("app.getProject()", async () => {
  const project = await app.getProject();
  assert.equal(project.id, world.project);
  assert.deepEqual([project.config.allowUserApiKeys, project.config.allowTeamApiKeys], [true, true]);
});

await step("app.createUser()", async () => {
  user = await app.createUser({ primaryEmail: "grace@example.org", displayName: "Grace", serverMetadata: { tier: 2 } });
  colleague = await app.createUser({ primaryEmail: "kay@example.org" });
  assert.deepEqual([user.displayName, user.primaryEmail, user.serverMetadata], ["Grace", "grace@example.org", { tier: 2 }]);
  assert.equal(colleague.displayName, null);
  assert.ok(Math.abs(user.signedUpAt - new Date()) < 60_000);
});

await step("app.getServerUserById()", async () => {
  assert.equal((await app.getServerUserById(user.id)).primaryEmail, "grace@example.org");
  assert.equal(await app.getServerUserById(nobody), null);
});

await step("app.getUser(id)", async () => assert.equal((await app.getUser(user.id)).id, user.id));

await step("app.listUsers()", async () => {
  const users = await app.listUsers();
  assert.ok(users.some((listed) => listed.id === user.id));
  assert.equal((await app.listUsers({ limit: 1 })).length, 1);
  const found = await app.listUsers({ query: "grace@example" });
  assert.deepEqual(found.map((listed) => listed.id), [user.id]);
});

await step("user.update()", async () => {
  await user.update({ displayName: "Grace H.", clientMetadata: { theme: "dark" }, clientReadOnlyMetadata: { plan: "pro" } });
  user = await app.getUser(user.id);
  assert.deepEqual(
    [user.displayName, user.clientMetadata, user.clientReadOnlyMetadata, user.serverMetadata],
    ["Grace H.", { theme: "dark" }, { plan: "pro" }, { tier: 2 }],
  );
});

await step("user.createApiKey()", async () => {
  key = await user.createApiKey({ description: "Admin-provisioned API key", expiresAt: inDays(30), isPublic: false });
  made(key.value);
  assert.deepEqual([key.type, key.userId, key.description], ["user", user.id, "Admin-provisioned API key"]);
  assert.ok(Math.abs(key.expiresAt - inDays(30)) < 60_000);
  assert.deepEqual([key.isValid(), key.whyInvalid(), key.manuallyRevokedAt], [true, null, null]);
});

await step("user.listApiKeys()", async () => {
  const newer = await user.createApiKey({ description: "newer", expiresAt: null });
  made(newer.value);
  const keys = await user.listApiKeys();
  assert.deepEqual(keys.map((listed) => listed.description), ["newer", "Admin-provisioned API key"]);
  assert.deepEqual(keys[1].value, { lastFour: key.value.slice(-4) });
  assert.equal(keys[0].expiresAt, undefined);
});

await step("app.getUser({ apiKey })", async () => {
  const found = await app.getUser({ apiKey: key.value });
  assert.deepEqual([found.id, found.displayName], [user.id, "Grace H."]);
  assert.equal(await app.getUser({ apiKey: `${key.value.slice(0, -1)}${key.value.endsWith("0") ? "1" : "0"}` }), null);
  assert.equal(await app.getUser({ apiKey: "sk_nonsense" }), null);
});

await step("apiKey.update()", async () => {
  await key.update({ description: "renamed", expiresAt: inDays(60) });
  const listed = (await user.listApiKeys()).find((other) => other.id === key.id);
  assert.equal(listed.description, "renamed");
  assert.ok(Math.abs(listed.expiresAt - inDays(60)) < 60_000);
  assert.equal((await app.getUser({ apiKey: key.value })).id, user.id);
});

await step("apiKey.revoke(), isValid(), whyInvalid()", async () => {
  await key.revoke();
  const listed = (await user.listApiKeys()).find((other) => other.id === key.id);
  assert.ok(Math.abs(listed.manuallyRevokedAt - new Date()) < 60_000);
  assert.deepEqual([listed.isValid(), listed.whyInvalid()], [false, "manually-revoked"]);
  assert.equal(await app.getUser({ apiKey: key.value }), null);
  await key.revoke();
  const again = (await user.listApiKeys()).find((other) => other.id === key.id);
  assert.deepEqual(again.manuallyRevokedAt, listed.manuallyRevokedAt);
});

await step("an expired key", async () => {
  const brief = await user.createApiKey({ description: "brief", expiresAt: new Date(Date.now() + 1500) });
  made(brief.value);
  await eventually(() => app.getUser({ apiKey: brief.value }), (found) => found === null);
  const listed = (await user.listApiKeys()).find((other) => other.id === brief.id);
  assert.deepEqual([listed.isValid(), listed.whyInvalid()], [false, "expired"]);
});

await step("createApiKey({ isPublic: true })", async () => {
  const open = await user.createApiKey({ description: "in the page", expiresAt: null, isPublic: true });
  assert.equal((await app.getUser({ apiKey: open.value })).id, user.id);
});

await step("two hundred years", async () => {
  const long = await user.createApiKey({ description: "never", expiresAt: new Date("2226-01-01T00:00:00Z") });
  made(long.value);
  assert.ok(long.expiresAt.getFullYear() > 2200);
  assert.ok(long.isValid());
});

await step("app.createTeam()", async () => {
  team = await app.createTeam({ displayName: "Compilers", creatorUserId: user.id });
  assert.equal(team.displayName, "Compilers");
});

await step("app.getTeam(id), app.listTeams()", async () => {
  assert.equal((await app.getTeam(team.id)).displayName, "Compilers");
  assert.equal(await app.getTeam(nobody), null);
  assert.ok((await app.listTeams()).some((listed) => listed.id === team.id));
});

await step("team.update()", async () => {
  await team.update({ displayName: "Compilers & Co.", serverMetadata: { cost: 7 } });
  team = await app.getTeam(team.id);
  assert.deepEqual([team.displayName, team.serverMetadata], ["Compilers & Co.", { cost: 7 }]);
});

await step("team.addUser(), team.listUsers(), team.removeUser()", async () => {
  await team.addUser(colleague.id);
  assert.deepEqual((await team.listUsers()).map((member) => member.id).sort(), [user.id, colleague.id].sort());
  await team.removeUser(colleague.id);
  assert.deepEqual((await team.listUsers()).map((member) => member.id), [user.id]);
  await team.addUser(colleague.id);
});

await step("user.listTeams(), user.getTeam()", async () => {
  assert.deepEqual((await colleague.listTeams()).map((listed) => listed.id), [team.id]);
  assert.equal((await colleague.getTeam(team.id)).id, team.id);
});

await step("user.grantPermission(), hasPermission(), listPermissions(), revokePermission()", async () => {
  assert.equal(await user.hasPermission(team, "$manage_api_keys"), true);
  assert.equal(await colleague.hasPermission(team, "$manage_api_keys"), false);
  await colleague.grantPermission(team, "$manage_api_keys");
  assert.equal(await colleague.hasPermission(team, "$manage_api_keys"), true);
  assert.ok((await colleague.listPermissions(team)).some((permission) => permission.id === "$manage_api_keys"));
  await colleague.revokePermission(team, "$manage_api_keys");
  assert.equal(await colleague.hasPermission(team, "$manage_api_keys"), false);
});

await step("team.createApiKey()", async () => {
  teamKey = await team.createApiKey({ description: "Admin-provisioned team API key", expiresAt: inDays(30), isPublic: false });
  made(teamKey.value);
  assert.deepEqual([teamKey.type, teamKey.teamId], ["team", team.id]);
});

await step("team.listApiKeys()", async () => {
  const [listed] = await team.listApiKeys();
  assert.deepEqual([listed.id, listed.type, listed.value], [teamKey.id, "team", { lastFour: teamKey.value.slice(-4) }]);
});

await step("app.getTeam({ apiKey })", async () => {
  assert.equal((await app.getTeam({ apiKey: teamKey.value })).id, team.id);
});

await step("a key of the other type finds nobody", async () => {
  assert.equal(await app.getUser({ apiKey: teamKey.value }), null);
});

await step("teamApiKey.update(), teamApiKey.revoke()", async () => {
  await teamKey.update({ description: "for the nightly build" });
  assert.equal((await team.listApiKeys())[0].description, "for the nightly build");
  await teamKey.revoke();
  assert.equal((await team.listApiKeys())[0].whyInvalid(), "manually-revoked");
  assert.equal(await app.getTeam({ apiKey: teamKey.value }), null);
});

await step("team.delete()", async () => {
  await team.delete();
  assert.equal(await app.getTeam(team.id), null);
});

await step("user.delete() ends the user's keys", async () => {
  const last = await colleague.createApiKey({ description: "last", expiresAt: null });
  made(last.value);
  assert.equal((await app.getUser({ apiKey: last.value })).id, colleague.id);
  await colleague.delete();
  assert.equal(await app.getUser(colleague.id), null);
  assert.equal(await app.getUser({ apiKey: last.value }), null);
});

process.exit(0);

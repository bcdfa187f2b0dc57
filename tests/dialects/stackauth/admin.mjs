// StackAdminApp: the project's switches, as whoever holds the super secret admin key turns them.
import { StackAdminApp, StackClientApp, StackServerApp } from "@stackframe/js";
import { assert, client, connection, inDays, made, server, world } from "./steps.mjs";

const step = client("StackAdminApp 2.8.108");
const app = new StackAdminApp({
  ...connection,
  secretServerKey: world.secret_server_key,
  superSecretAdminKey: world.super_secret_admin_key,
  tokenStore: "memory",
});
const serverApp = new StackServerApp(server);
const switches = (config) => [config.allowUserApiKeys, config.allowTeamApiKeys];
let project;

await step("app.getProject()", async () => {
  project = await app.getProject();
  assert.deepEqual([project.id, project.displayName, ...switches(project.config)], [world.project, "Acme", true, true]);
});

await step("project.update({ config })", async () => {
  const user = await serverApp.getUser(world.people.bob.id);
  const key = await user.createApiKey({ description: "from before", expiresAt: inDays(1) });
  made(key.value);
  await project.update({ config: { allowUserApiKeys: false } });
  assert.deepEqual(switches((await app.getProject()).config), [false, true]);
  await assert.rejects(user.createApiKey({ description: "too late", expiresAt: null }), /User API keys are not enabled/);
  await assert.rejects(serverApp.getUser({ apiKey: key.value }), /User API keys are not enabled/);
  await project.update({ config: { allowUserApiKeys: true } });
  assert.equal((await new StackServerApp(server).getUser({ apiKey: key.value })).id, world.people.bob.id);
});

await step("project.getConfig(), project.updateConfig()", async () => {
  await project.updateConfig({ "apiKeys.enabled.team": false });
  assert.deepEqual((await project.getConfig()).apiKeys.enabled, { user: true, team: false });
  const team = await serverApp.getTeam(world.team);
  await assert.rejects(team.createApiKey({ description: "too late", expiresAt: null }), /Team API keys are not enabled/);
  await project.updateConfig({ "apiKeys.enabled.team": true });
  made((await team.createApiKey({ description: "in time", expiresAt: null })).value);
});

await step("app.createInternalApiKey()", async () => {
  const set = await app.createInternalApiKey({
    description: "the web shop",
    expiresAt: inDays(90),
    hasPublishableClientKey: true,
    hasSecretServerKey: true,
    hasSuperSecretAdminKey: true,
  });
  made(set.secretServerKey);
  made(set.superSecretAdminKey);
  assert.deepEqual([set.description, set.isValid(), set.whyInvalid()], ["the web shop", true, null]);
  const keys = { publishableClientKey: set.publishableClientKey, secretServerKey: set.secretServerKey };
  const shop = new StackServerApp({ ...server, ...keys });
  assert.equal((await shop.getUser(world.people.bob.id)).id, world.people.bob.id);
  const key = await (await shop.getUser(world.people.bob.id)).createApiKey({ description: "by the shop", expiresAt: inDays(1) });
  assert.equal((await shop.getUser({ apiKey: made(key.value) })).id, world.people.bob.id);
  const boss = new StackAdminApp({ ...server, ...keys, superSecretAdminKey: set.superSecretAdminKey });
  assert.equal((await boss.getProject()).displayName, "Acme");
  // A server's key opens no more than what servers do.
  const climber = new StackAdminApp({ ...server, ...keys, superSecretAdminKey: set.secretServerKey });
  const same = await climber.getProject();
  await assert.rejects(same.update({ config: { allowUserApiKeys: false } }));
});

await step("app.listInternalApiKeys(), internalApiKey.revoke()", async () => {
  const set = await app.createInternalApiKey({
    description: "brief",
    expiresAt: inDays(1),
    hasPublishableClientKey: false,
    hasSecretServerKey: true,
    hasSuperSecretAdminKey: false,
  });
  const shop = new StackServerApp({ ...server, secretServerKey: made(set.secretServerKey) });
  assert.ok(Array.isArray(await shop.listTeams()));
  const find = async () => (await app.listInternalApiKeys()).find((listed) => listed.id === set.id);
  const listed = await find();
  assert.deepEqual([listed.secretServerKey, listed.publishableClientKey], [{ lastFour: set.secretServerKey.slice(-4) }, null]);
  await listed.revoke();
  assert.equal((await find()).whyInvalid(), "manually-revoked");
  const late = new StackServerApp({ ...server, secretServerKey: set.secretServerKey });
  await assert.rejects(late.listTeams(), { errorCode: "INVALID_SECRET_SERVER_KEY" });
});

const browser = client("StackClientApp 2.8.108");
await browser("app.getProject(): the switches as pages see them", async () => {
  const page = new StackClientApp({ ...connection, tokenStore: "memory" });
  const shown = async () => {
    const { config } = await new StackClientApp({ ...connection, tokenStore: "memory" }).getProject();
    return [config.allowUserApiKeys, config.allowTeamApiKeys];
  };
  await page.signInWithCredential({ ...world.people.ada.login, noRedirect: true });
  const user = await page.getUser();
  const team = await user.getTeam(world.team);
  assert.deepEqual(await shown(), [true, true]);
  await project.update({ config: { allowUserApiKeys: false, allowTeamApiKeys: false } });
  assert.deepEqual(await shown(), [false, false]);
  await assert.rejects(user.createApiKey({ description: "too late", expiresAt: null }), /User API keys are not enabled/);
  await assert.rejects(user.listApiKeys(), /User API keys are not enabled/);
  await assert.rejects(team.createApiKey({ description: "too late", expiresAt: null }), /Team API keys are not enabled/);
  await assert.rejects(team.listApiKeys(), /Team API keys are not enabled/);
  await project.update({ config: { allowUserApiKeys: true, allowTeamApiKeys: true } });
  assert.deepEqual(await shown(), [true, true]);
});

process.exit(0);

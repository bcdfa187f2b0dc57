// StackAdminApp: the project's switches, as whoever holds the super secret admin key turns them.
import { StackAdminApp, StackServerApp } from "@stackframe/js";
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

process.exit(0);

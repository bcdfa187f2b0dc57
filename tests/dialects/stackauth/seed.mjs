// Every snippet of Stack Auth's page "API Keys", on the server's side and on the client's.
import { StackClientApp, StackServerApp } from "@stackframe/js";
import { assert, client, connection, made, server, world } from "./steps.mjs";

const step = client("the page's snippets");
const stackServerApp = new StackServerApp(server);
const stackApp = new StackClientApp({ ...connection, tokenStore: "memory" });
await stackApp.signInWithCredential({ ...world.people.dora.login, noRedirect: true });

for (const [description, days] of [["My client application", 90], ["Development environment key", 90]]) {
  await step(`user API key, client: ${description}`, async () => {
    const user = await stackApp.getUser();
    const apiKey = await user.createApiKey({
      description,
      expiresAt: new Date(Date.now() + days * 24 * 60 * 60 * 1000),
      isPublic: false,
    });
    made(apiKey.value);
    assert.equal(apiKey.userId, world.people.dora.id);
  });
}

for (const [description, days] of [["Admin-provisioned API key", 30], ["API key created by server", 90]]) {
  await step(`user API key, server: ${description}`, async () => {
    const user = await stackServerApp.getServerUserById(world.people.dora.id);
    const apiKey = await user.createApiKey({
      description,
      expiresAt: new Date(Date.now() + days * 24 * 60 * 60 * 1000),
      isPublic: false,
    });
    assert.equal((await stackServerApp.getUser({ apiKey: made(apiKey.value) })).id, world.people.dora.id);
  });
}

for (const [description, days] of [["Team integration service", 60], ["Team service integration", 60]]) {
  await step(`team API key, client: ${description}`, async () => {
    const user = await stackApp.getUser();
    const team = await user.getTeam(world.page_team);
    const teamApiKey = await team.createApiKey({
      description,
      expiresAt: new Date(Date.now() + days * 24 * 60 * 60 * 1000),
      isPublic: false,
    });
    made(teamApiKey.value);
    assert.equal(teamApiKey.teamId, world.page_team);
  });
}

for (const [description, days] of [["Admin-provisioned team API key", 30], ["Server-created team API key", 30]]) {
  await step(`team API key, server: ${description}`, async () => {
    const team = await stackServerApp.getTeam(world.page_team);
    const teamApiKey = await team.createApiKey({
      description,
      expiresAt: new Date(Date.now() + days * 24 * 60 * 60 * 1000),
      isPublic: false,
    });
    assert.equal((await stackServerApp.getTeam({ apiKey: made(teamApiKey.value) })).id, world.page_team);
  });
}

await step("listing, client", async () => {
  const user = await stackApp.getUser();
  const userApiKeys = await user.listApiKeys();
  const team = await user.getTeam(world.page_team);
  const teamApiKeys = await team.listApiKeys();
  assert.deepEqual([userApiKeys.length, teamApiKeys.length], [4, 4]);
});

await step("listing, server", async () => {
  const user = await stackServerApp.getServerUserById(world.people.dora.id);
  const userApiKeys = await user.listApiKeys();
  const team = await stackServerApp.getTeam(world.page_team);
  const teamApiKeys = await team.listApiKeys();
  assert.deepEqual([userApiKeys.length, teamApiKeys.length], [4, 4]);
});

for (const [side, find] of [
  ["client", () => stackApp.getUser()],
  ["server", () => stackServerApp.getServerUserById(world.people.dora.id)],
]) {
  await step(`revoking and checking validity, ${side}`, async () => {
    const user = await find();
    const apiKeys = await user.listApiKeys();
    const wanted = apiKeys.find((key) => key.isValid()).id;
    const apiKeyToRevoke = apiKeys.find((key) => key.id === wanted);
    if (apiKeyToRevoke) {
      await apiKeyToRevoke.revoke();
    }
    const apiKey = (await user.listApiKeys()).find((key) => key.id === wanted);
    assert.ok(!(apiKey && apiKey.isValid()));
    assert.equal(apiKey ? apiKey.whyInvalid() : "not found", "manually-revoked");
  });
}

process.exit(0);

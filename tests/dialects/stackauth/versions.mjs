// Older clients: what the page of Stack Auth shows, with each version of `@stackframe/js` whose protocol differs.
import { createRequire } from "node:module";
import { assert, client, connection, inDays, made, server, world } from "./steps.mjs";

const { bob } = world.people;

for (const version of ["2.8.39", "2.8.51", "2.8.77", "2.8.102"]) {
  const { StackClientApp, StackServerApp } = createRequire(import.meta.url)(`js-${version}`);
  const step = client(`@stackframe/js ${version}`);
  const serverApp = new StackServerApp(server);
  const app = new StackClientApp({ ...connection, tokenStore: "memory" });
  let user, key;

  await step("serverApp.getUser(id), serverUser.createApiKey(), serverApp.getUser({ apiKey })", async () => {
    const found = await serverApp.getUser(bob.id);
    key = await found.createApiKey({ description: version, expiresAt: inDays(30), isPublic: false });
    assert.equal((await serverApp.getUser({ apiKey: made(key.value) })).id, bob.id);
    assert.equal(await serverApp.getUser({ apiKey: `${key.value.slice(0, -4)}0000` }), null);
  });

  await step("serverUser.listApiKeys(), apiKey.revoke()", async () => {
    const found = await serverApp.getUser(bob.id);
    const listed = (await found.listApiKeys()).find((other) => other.id === key.id);
    assert.deepEqual([listed.description, listed.isValid()], [version, true]);
    await listed.revoke();
    assert.equal((await found.listApiKeys()).find((other) => other.id === key.id).whyInvalid(), "manually-revoked");
    assert.equal(await serverApp.getUser({ apiKey: key.value }), null);
  });

  await step("serverApp.getTeam(id), team.createApiKey(), serverApp.getTeam({ apiKey })", async () => {
    const team = await serverApp.getTeam(world.team);
    const teamKey = await team.createApiKey({ description: version, expiresAt: inDays(30), isPublic: false });
    assert.equal((await serverApp.getTeam({ apiKey: made(teamKey.value) })).id, world.team);
  });

  await step("app.getUser(), signed out; app.signInWithCredential(), wrong password", async () => {
    assert.equal(await app.getUser(), null);
    const result = await app.signInWithCredential({ ...bob.login, password: "not the password of Bob", noRedirect: true });
    assert.equal(result.error.errorCode, "EMAIL_PASSWORD_MISMATCH");
  });

  await step("app.signInWithCredential(), app.getUser()", async () => {
    assert.equal((await app.signInWithCredential({ ...bob.login, noRedirect: true })).status, "ok");
    user = await app.getUser();
    assert.equal(user.id, bob.id);
  });

  await step("user.createApiKey(), user.listApiKeys(), apiKey.revoke()", async () => {
    const own = await user.createApiKey({ description: `own, ${version}`, expiresAt: inDays(90), isPublic: false });
    assert.equal((await serverApp.getUser({ apiKey: made(own.value) })).id, bob.id);
    await (await user.listApiKeys()).find((mine) => mine.id === own.id).revoke();
    assert.equal(await serverApp.getUser({ apiKey: own.value }), null);
  });

  await step("user.getTeam(), user.signOut()", async () => {
    assert.equal((await user.getTeam(world.team)).displayName, "Engines");
    await user.signOut();
    assert.equal(await app.getUser(), null);
  });
}

process.exit(0);

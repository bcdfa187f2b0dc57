// Sessions: those that the application's server starts for somebody, and the list of one's own.
import { StackClientApp, StackServerApp } from "@stackframe/js";
import { assert, client, connection, made, server, world } from "./steps.mjs";

const { cleo, dora } = world.people;
const nobody = "0199a3c4-7b1e-4c00-8000-6f9d2f3f1a20";
const serverApp = new StackServerApp(server);
const signedIn = (tokens) => new StackClientApp({ ...connection, tokenStore: tokens }).getUser();
const named = async (tokens) => (await signedIn(tokens))?.id ?? null;
let user, tokens;

const onServer = client("StackServerApp 2.8.108");
await onServer("serverUser.createSession(), session.getTokens()", async () => {
  user = await serverApp.getUser(dora.id);
  tokens = await (await user.createSession({ expiresInMillis: 60 * 60 * 1000 })).getTokens();
  made(tokens.refreshToken);
  made(tokens.accessToken);
  assert.equal(await named(tokens), dora.id);
  // The refresh token alone is enough, as often as one likes.
  for (let time = 0; time < 2; time++) assert.equal(await named({ ...tokens, accessToken: "" }), dora.id);
});

await onServer("serverUser.createSession({ isImpersonation: true }) makes keys as the user does", async () => {
  const session = await user.createSession({ isImpersonation: true });
  const borrowed = await session.getTokens();
  made(borrowed.refreshToken);
  made(borrowed.accessToken);
  const as = await signedIn(borrowed);
  const key = await as.createApiKey({ description: "made for Dora", expiresAt: null, isPublic: false });
  made(key.value);
  assert.equal((await serverApp.getUser({ apiKey: key.value })).id, dora.id);
  await key.revoke();
});

await onServer("serverUser.getActiveSessions(), serverUser.revokeSession()", async () => {
  const sessions = await user.getActiveSessions();
  assert.deepEqual(sessions.slice(0, 2).map((session) => [session.userId, session.isImpersonation]), [[dora.id, true], [dora.id, false]]);
  await user.revokeSession(sessions[1].id);
  assert.equal(await named(tokens), null);
  assert.equal(await named({ ...tokens, accessToken: "" }), null);
  await assert.rejects(user.revokeSession(nobody), /Session not found/);
});

await onServer("createSession() for nobody", async () => {
  const gone = await serverApp.createUser({ displayName: "Gone" });
  await gone.delete();
  await assert.rejects(gone.createSession({}), { errorCode: "USER_NOT_FOUND" });
});

const inBrowser = client("StackClientApp 2.8.108");
await inBrowser("user.getActiveSessions(), user.revokeSession()", async () => {
  const here = new StackClientApp({ ...connection, tokenStore: "memory" });
  const there = new StackClientApp({ ...connection, tokenStore: "memory" });
  const login = world.people.bob.login;
  for (const app of [there, here]) assert.equal((await app.signInWithCredential({ ...login, noRedirect: true })).status, "ok");
  const self = await here.getUser();
  const sessions = await self.getActiveSessions();
  assert.deepEqual(sessions.slice(0, 2).map((session) => [session.isCurrentSession, session.isImpersonation]), [[true, false], [false, false]]);
  assert.ok(Math.abs(sessions[0].createdAt - new Date()) < 60_000);
  await self.revokeSession(sessions[1].id);
  assert.deepEqual((await self.getActiveSessions()).map((session) => session.id).includes(sessions[1].id), false);
  assert.equal((await here.getUser()).id, world.people.bob.id);
  await assert.rejects(there.getUser().then((lost) => lost.listApiKeys()));
  await self.signOut();
});

await inBrowser("another's sessions are out of reach", async () => {
  const app = new StackClientApp({ ...connection, tokenStore: "memory" });
  assert.equal((await app.signInWithCredential({ ...world.people.bob.login, noRedirect: true })).status, "ok");
  const before = (await (await serverApp.getUser(cleo.id)).createSession({})).getTokens();
  made((await before).refreshToken);
  made((await before).accessToken);
  const [cleos] = await (await serverApp.getUser(cleo.id)).getActiveSessions();
  await assert.rejects((await app.getUser()).revokeSession(cleos.id), /Session not found/);
  assert.equal(await named(await before), cleo.id);
});

process.exit(0);

// StackClientApp: what a signed-in person does in a browser, with the keys of their own and of their teams.
import { StackClientApp, StackServerApp } from "@stackframe/js";
import { assert, client, connection, inDays, made, server, world } from "./steps.mjs";

const step = client("StackClientApp 2.8.108");
const { ada, bob, cleo } = world.people;
const serverApp = new StackServerApp(server);
const app = new StackClientApp({ ...connection, tokenStore: "memory" });
const other = new StackClientApp({ ...connection, tokenStore: "memory" });
let user, team, key;

await step("app.getUser(), signed out", async () => assert.equal(await app.getUser(), null));

await step("app.signInWithCredential(), wrong password", async () => {
  const result = await app.signInWithCredential({ ...ada.login, password: "not the password of Ada", noRedirect: true });
  assert.equal(result.status, "error");
  assert.equal(result.error.errorCode, "EMAIL_PASSWORD_MISMATCH");
});

await step("app.signInWithCredential(), somebody unknown", async () => {
  const result = await app.signInWithCredential({ email: "nobody@example.org", password: "whatever it may be 7", noRedirect: true });
  assert.equal(result.error.errorCode, "EMAIL_PASSWORD_MISMATCH");
});

await step("app.signInWithCredential()", async () => {
  assert.equal((await app.signInWithCredential({ ...ada.login, noRedirect: true })).status, "ok");
});

await step("app.getUser()", async () => {
  user = await app.getUser();
  assert.deepEqual([user.id, user.primaryEmail, user.hasPassword], [ada.id, ada.login.email, true]);
});

await step("user.getAuthJson(), user.getAuthHeaders()", async () => {
  const { accessToken, refreshToken } = await user.getAuthJson();
  made(refreshToken);
  assert.equal(accessToken.split(".").length, 3);
  const both = JSON.parse((await user.getAuthHeaders())["x-stack-auth"]);
  assert.deepEqual(Object.keys(both).sort(), ["accessToken", "refreshToken"]);
});

await step("user.getAuthorizationHeader(): a request's session on the server", async () => {
  const authorization = await user.getAuthorizationHeader();
  assert.match(authorization, /^Bearer /);
  const request = { headers: new Headers({ authorization }) };
  assert.equal((await serverApp.getUser({ tokenStore: request })).id, ada.id);
});

await step("a request's session on the server: app.getUser({ tokenStore })", async () => {
  const tokens = await user.getAuthJson();
  const found = await serverApp.getUser({ tokenStore: tokens });
  assert.equal(found.id, ada.id);
});

await step("refresh with the refresh token alone", async () => {
  const { refreshToken } = await user.getAuthJson();
  const late = new StackClientApp({ ...connection, tokenStore: { accessToken: "", refreshToken } });
  assert.equal((await late.getUser()).id, ada.id);
  const again = new StackClientApp({ ...connection, tokenStore: { accessToken: "", refreshToken } });
  assert.equal((await again.getUser()).id, ada.id);
});

await step("user.update(), user.setDisplayName()", async () => {
  await user.setDisplayName("Ada K.");
  await user.update({ clientMetadata: { theme: "light" } });
  user = await app.getUser();
  assert.deepEqual([user.displayName, user.clientMetadata], ["Ada K.", { theme: "light" }]);
});

await step("user.createApiKey()", async () => {
  key = await user.createApiKey({ description: "laptop", expiresAt: inDays(90), isPublic: false });
  made(key.value);
  assert.deepEqual([key.userId, key.isValid()], [ada.id, true]);
  assert.equal((await serverApp.getUser({ apiKey: key.value })).id, ada.id);
});

await step("user.listApiKeys()", async () => {
  const listed = (await user.listApiKeys()).find((mine) => mine.id === key.id);
  assert.deepEqual([listed.description, listed.value], ["laptop", { lastFour: key.value.slice(-4) }]);
});

await step("apiKey.update({ description, expiresAt })", async () => {
  await key.update({ description: "old laptop", expiresAt: inDays(7) });
  const listed = (await user.listApiKeys()).find((mine) => mine.id === key.id);
  assert.equal(listed.description, "old laptop");
  assert.ok(Math.abs(listed.expiresAt - inDays(7)) < 60_000);
});

await step("apiKey.revoke()", async () => {
  await key.revoke();
  const listed = (await user.listApiKeys()).find((mine) => mine.id === key.id);
  assert.equal(listed.whyInvalid(), "manually-revoked");
  assert.equal(await serverApp.getUser({ apiKey: key.value }), null);
});

await step("user.listTeams(), user.getTeam()", async () => {
  assert.ok((await user.listTeams()).some((mine) => mine.id === world.team));
  team = await user.getTeam(world.team);
  assert.equal(team.displayName, "Engines");
  assert.equal(await user.getTeam("0199a3c4-7b1e-4c00-8000-6f9d2f3f1a20"), null);
});

await step("user.setSelectedTeam()", async () => {
  await user.setSelectedTeam(team);
  assert.equal((await app.getUser()).selectedTeam.id, team.id);
});

await step("user.hasPermission(team, \"$manage_api_keys\")", async () => {
  assert.equal(await user.hasPermission(team, "$manage_api_keys"), true);
});

await step("team.createApiKey(), team.listApiKeys(), teamApiKey.update(), teamApiKey.revoke()", async () => {
  const teamKey = await team.createApiKey({ description: "deploys", expiresAt: inDays(60), isPublic: false });
  made(teamKey.value);
  assert.equal((await serverApp.getTeam({ apiKey: teamKey.value })).id, team.id);
  const find = async () => (await team.listApiKeys()).find((ours) => ours.id === teamKey.id);
  await teamKey.update({ description: "deploys, nightly" });
  assert.equal((await find()).description, "deploys, nightly");
  await (await find()).revoke();
  assert.equal((await find()).whyInvalid(), "manually-revoked");
});

await step("a member without the permission sees no keys of the team", async () => {
  await other.signInWithCredential({ ...bob.login, noRedirect: true });
  const member = await other.getUser();
  const theirs = await member.getTeam(world.team);
  assert.equal(await member.hasPermission(theirs, "$manage_api_keys"), false);
  for (const refused of [() => theirs.listApiKeys(), () => theirs.createApiKey({ description: "mine", expiresAt: null })]) {
    await assert.rejects(refused(), { errorCode: "API_KEY_NOT_FOUND" });
  }
});

await step("app.signUpWithCredential() is refused to browsers", async () => {
  const visitor = new StackClientApp({ ...connection, tokenStore: "memory" });
  const signUp = visitor.signUpWithCredential({
    email: "mallory@example.org",
    password: "a long enough passphrase 4",
    noRedirect: true,
    noVerificationCallback: true,
  });
  await assert.rejects(signUp, { errorCode: "SIGN_UP_NOT_ENABLED" });
});

await step("user.updatePassword()", async () => {
  const own = new StackClientApp({ ...connection, tokenStore: "memory" });
  await own.signInWithCredential({ ...cleo.login, noRedirect: true });
  const person = await own.getUser();
  const newPassword = made("another long passphrase 19");
  const failed = await person.updatePassword({ oldPassword: "not the password of Cleo", newPassword });
  assert.equal(failed.errorCode, "PASSWORD_CONFIRMATION_MISMATCH");
  assert.equal(await person.updatePassword({ oldPassword: cleo.login.password, newPassword }), undefined);
  const fresh = new StackClientApp({ ...connection, tokenStore: "memory" });
  assert.equal((await fresh.signInWithCredential({ email: cleo.login.email, password: newPassword, noRedirect: true })).status, "ok");
  // The client asks by itself whom it has signed in; without this the answer would fall into the next scene, or not.
  assert.equal((await fresh.getUser()).id, cleo.id);
});

await step("user.signOut() ends the session, its access token too", async () => {
  const tokens = await user.getAuthJson();
  await user.signOut();
  assert.equal(await app.getUser(), null);
  for (const accessToken of ["", tokens.accessToken]) {
    const kept = new StackClientApp({ ...connection, tokenStore: { accessToken, refreshToken: tokens.refreshToken } });
    assert.equal(await kept.getUser(), null);
  }
});

process.exit(0);

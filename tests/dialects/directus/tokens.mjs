// The static token: made by the client, written once, shown never again, and all that the seed says about it.
import { createHash } from "node:crypto";
import {
  createDirectus,
  createUser,
  randomString,
  readMe,
  readUser,
  readUsers,
  rest,
  staticToken,
  updateMe,
  updateUser,
  updateUsers,
  updateUsersBatch,
  withToken,
} from "@directus/sdk";
import { MASK, address, admin, assert, freshToken, nobody, person, refused, role, secret, shows, line, url } from "./stage.mjs";

const ada = await person();
const adas = await freshToken();

await line("updateUser: an administrator gives somebody a token", async () => {
  const answer = await admin.request(updateUser(ada.id, { token: adas }, { fields: ["id", "token"] }));
  assert.deepEqual(answer, { id: ada.id, token: MASK });
});

await line("staticToken: the client shows it with every request", async () => {
  const client = createDirectus(url).with(staticToken(adas)).with(rest());
  const me = await client.request(readMe());
  assert.deepEqual([me.id, me.email, me.token, me.status], [ada.id, ada.email, MASK, "active"]);
});

await line("staticToken: getToken and setToken", async () => {
  const client = createDirectus(url).with(staticToken(adas)).with(rest());
  assert.equal(await client.getToken(), adas);
  client.setToken(null);
  await refused(client.request(readMe()), 401, "INVALID_CREDENTIALS");
  client.setToken(adas);
  assert.equal((await client.request(readMe({ fields: ["id"] }))).id, ada.id);
});

await line("withToken: for one request only", async () => {
  const client = nobody();
  assert.equal((await client.request(withToken(adas, readMe({ fields: ["id"] })))).id, ada.id);
  await refused(client.request(readMe()), 401, "INVALID_CREDENTIALS");
});

await line("withToken: it wins over the client's own", async () => {
  const bob = await person();
  const bobs = await freshToken();
  await admin.request(updateUser(bob.id, { token: bobs }));
  assert.equal((await shows(adas).request(withToken(bobs, readMe({ fields: ["id"] })))).id, bob.id);
});

await line("access_token in the query", async () => {
  const me = await nobody().request(readMe({ access_token: adas, fields: ["id"] }));
  assert.equal(me.id, ada.id);
  await refused(shows(adas).request(readMe({ access_token: adas })), 400, "INVALID_PAYLOAD");
});

await line("updateMe: one makes one's own token, and regenerating kills the old one at once", async () => {
  const [first, second] = [await freshToken(), await freshToken()];
  const eve = await person();
  await admin.request(updateUser(eve.id, { token: first }));
  const answer = await shows(first).request(updateMe({ token: second }, { fields: ["token"] }));
  assert.deepEqual(answer, { token: MASK });
  await refused(shows(first).request(readMe()), 401, "INVALID_CREDENTIALS");
  assert.equal((await shows(second).request(readMe({ fields: ["id"] }))).id, eve.id);
});

await line("updateMe: writing the same token again changes nothing", async () => {
  await shows(adas).request(updateMe({ token: adas }));
  assert.equal((await shows(adas).request(readMe({ fields: ["id"] }))).id, ada.id);
});

await line("updateMe: what one is called", async () => {
  const named = await shows(adas).request(updateMe({ last_name: "King", title: "Countess" }, { fields: ["first_name", "last_name", "title"] }));
  assert.deepEqual(named, { first_name: "Ada", last_name: "King", title: "Countess" });
  await refused(shows(adas).request(updateMe({ email: "other@example.org" })), 403, "FORBIDDEN");
});

await line("updateMe: null takes the token away", async () => {
  const token = await freshToken();
  const joe = await person();
  await admin.request(updateUser(joe.id, { token }));
  await shows(token).request(updateMe({ token: null }));
  await refused(shows(token).request(readMe()), 401, "INVALID_CREDENTIALS");
  assert.equal((await admin.request(readUser(joe.id, { fields: ["token"] }))).token, null);
});

await line("updateUser: an empty text takes it away too", async () => {
  const token = await freshToken();
  const joe = await person();
  await admin.request(updateUser(joe.id, { token }));
  assert.equal((await admin.request(updateUser(joe.id, { token: "" }, { fields: ["token"] }))).token, null);
  await refused(shows(token).request(readMe()), 401, "INVALID_CREDENTIALS");
});

await line("createUser: with a token from the start", async () => {
  const token = await freshToken();
  const made = await admin.request(
    createUser({ email: address(), token, role: await role("member") }, { fields: ["id", "token", "status"] }),
  );
  assert.deepEqual([made.token, made.status], [MASK, "active"]);
  assert.equal((await shows(token).request(readMe({ fields: ["id"] }))).id, made.id);
});

await line("updateUsers: several people's tokens are taken away at once", async () => {
  const people = [await person(), await person()];
  const tokens = [await freshToken(), await freshToken()];
  await admin.request(updateUser(people[0].id, { token: tokens[0] }));
  await admin.request(updateUser(people[1].id, { token: tokens[1] }));
  const answer = await admin.request(updateUsers(people.map(({ id }) => id), { token: null }, { fields: ["token"] }));
  assert.deepEqual(answer, [{ token: null }, { token: null }]);
  for (const token of tokens) await refused(shows(token).request(readMe()), 401, "INVALID_CREDENTIALS");
});

await line("updateUsersBatch: each gets a token of their own", async () => {
  const people = [await person(), await person()];
  const tokens = [await freshToken(), await freshToken()];
  const items = people.map(({ id }, place) => ({ id, token: tokens[place] }));
  const answer = await admin.request(updateUsersBatch(items, { fields: ["id", "token"] }));
  assert.deepEqual(answer.map(({ token }) => token), [MASK, MASK]);
  for (const [place, { id }] of people.entries()) {
    assert.equal((await shows(tokens[place]).request(readMe({ fields: ["id"] }))).id, id);
  }
});

await line("a suspended owner's token stops, and works again afterwards", async () => {
  const token = await freshToken();
  const sam = await person();
  await admin.request(updateUser(sam.id, { token }));
  await admin.request(updateUser(sam.id, { status: "suspended" }));
  await refused(shows(token).request(readMe()), 401, "INVALID_CREDENTIALS");
  await admin.request(updateUser(sam.id, { status: "active" }));
  assert.equal((await shows(token).request(readMe({ fields: ["id", "status"] }))).status, "active");
});

await line("the token has the rights of its user as they are now", async () => {
  const token = await freshToken();
  const max = await person({ token });
  await refused(shows(token).request(readUsers()), 403, "FORBIDDEN");
  await admin.request(updateUser(max.id, { role: await role("admin") }));
  assert.ok((await shows(token).request(readUsers({ fields: ["id"] }))).length > 1);
  await admin.request(updateUser(max.id, { role: null }));
  await refused(shows(token).request(readUsers()), 403, "FORBIDDEN");
  assert.deepEqual(await shows(token).request(readMe()), { id: max.id });
});

await line("what is too easy to guess, or only the mask, is not taken for a token", async () => {
  for (const weak of ["a", "password", MASK, "*".repeat(40), "a".repeat(40), "abcdefghijklmnopqrst", "1234567890".repeat(4)]) {
    const told = await refused(shows(adas).request(updateMe({ token: weak })), 400, "FAILED_VALIDATION");
    assert.ok(!told.message.includes(weak) || weak === "a", told.message);
  }
  assert.equal((await shows(adas).request(readMe({ fields: ["id"] }))).id, ada.id);
});

await line("a token that somebody has is refused without being told back", async () => {
  const token = await freshToken();
  await admin.request(updateUser((await person()).id, { token }));
  const told = await refused(shows(adas).request(updateMe({ token })), 400, "RECORD_NOT_UNIQUE");
  assert.deepEqual([told.extensions.field, JSON.stringify(told).includes(token)], ["token", false]);
});

await line("a member touches nobody else's token", async () => {
  const victim = await person();
  await refused(shows(adas).request(updateUser(victim.id, { token: await freshToken() })), 403, "FORBIDDEN");
  await refused(shows(adas).request(readUser(victim.id)), 403, "FORBIDDEN");
});

await line("randomString: 32 characters, or as many as are wished", async () => {
  assert.match(await nobody().request(randomString()), /^[A-Za-z0-9_-]{32}$/);
  assert.match(await nobody().request(randomString(64)), /^[A-Za-z0-9_-]{64}$/);
  await refused(nobody().request(randomString(501)), 400, "INVALID_QUERY");
});

await line("a token of one's own making, in whatever alphabet", async () => {
  for (const made of [crypto.randomUUID(), Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex")]) {
    const owner = await person();
    await admin.request(updateUser(owner.id, { token: await secret(made) }));
    assert.equal((await shows(made).request(readMe({ fields: ["id"] }))).id, owner.id);
  }
});

await line("a plain token of another Directus, imported: it works, for the same id", async () => {
  const id = "0f2d7e0c-5a4e-4a53-9a7b-1c9a4f6d2b88";
  const token = await freshToken();
  await admin.request(createUser({ id, email: address(), first_name: "Vera", role: await role("member") }));
  // As `keyholt keys import` sends it: the token itself stays where it is.
  const secret_sha256 = createHash("sha256").update(token).digest("hex");
  const key = { owner: { user: `directus:${id}` }, name: "Directus token", kind: "static", scopes: "everything", secret_sha256 };
  const bring = async (dry_run) => {
    const answer = await fetch(`${process.env.NATIVE_URL}/v1/projects/acme/keys/import`, {
      method: "POST",
      headers: { authorization: `Bearer ${process.env.OPERATOR_KEY}`, "content-type": "application/json" },
      body: JSON.stringify({ dry_run, keys: [key] }),
    });
    assert.ok(answer.ok, await answer.text());
  };
  await bring(true);
  await refused(shows(token).request(readMe()), 401, "INVALID_CREDENTIALS");
  await bring(false);
  assert.deepEqual(await shows(token).request(readMe({ fields: ["id", "token"] })), { id, token: MASK });
  const next = await freshToken();
  await shows(token).request(updateMe({ token: next }));
  await refused(shows(token).request(readMe()), 401, "INVALID_CREDENTIALS");
  assert.deepEqual(await shows(next).request(readMe({ fields: ["id"] })), { id });
});

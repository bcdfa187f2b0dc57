// Users: made, read in all the ways in which the client asks, changed, suspended and deleted.
import {
  createUser,
  createUsers,
  deleteUser,
  deleteUsers,
  readMe,
  readRole,
  readRoles,
  readUser,
  readUsers,
  updateUser,
  updateUsers,
  withSearch,
} from "@directus/sdk";
import { admin, assert, freshToken, line, nobody, person, refused, role, shows } from "./stage.mjs";

const member = await role("member");
const family = "lovelace-king";
const email = (name) => `${name}.${family}@example.org`;

await line("createUser", async () => {
  const made = await admin.request(createUser({ email: email("ann"), first_name: "Ann", last_name: "Lee", title: "Dr" }));
  const { id, first_name, last_name, title, status, role, token } = made;
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.deepEqual([first_name, last_name, title, status, role, token], ["Ann", "Lee", "Dr", "active", null, null]);
});

await line("createUsers", async () => {
  const people = ["bea", "cem", "dan"].map((name) => ({ email: email(name), first_name: name, role: member }));
  const made = await admin.request(createUsers(people, { fields: ["email", "role"] }));
  assert.deepEqual(made, people.map(({ email }) => ({ email, role: member })));
});

await line("createUser: an id that came along stays the user's id", async () => {
  const id = "3241a285-8329-4d69-8f3d-316e08cf140c";
  const made = await admin.request(createUser({ id, email: email("eli"), first_name: "Eli" }, { fields: ["id"] }));
  assert.deepEqual(made, { id });
  const token = await freshToken();
  await admin.request(updateUser(id, { token }));
  assert.deepEqual(await shows(token).request(readMe({ fields: ["id"] })), { id });
  assert.deepEqual(await admin.request(readUsers({ filter: { id: { _eq: id } }, fields: ["id", "email"] })), [{ id, email: email("eli") }]);
  await admin.request(deleteUser(id));
});

await line("createUser: an address that somebody has", async () => {
  const told = await refused(admin.request(createUser({ email: email("ann") })), 400, "RECORD_NOT_UNIQUE");
  assert.equal(told.extensions.field, "email");
});

// Users that are made in one request may have any order among themselves.
const find = (query) => admin.request(readUsers({ filter: { email: { _contains: family } }, sort: ["email"], ...query }));

await line("readUsers: fields, and fields of what a field names", async () => {
  const [bea] = await find({ filter: { email: { _eq: email("bea") } }, fields: ["first_name", { role: ["id", "name"] }] });
  assert.deepEqual(bea, { first_name: "bea", role: { id: member, name: "member" } });
});

await line("readUsers: filter", async () => {
  const names = async (filter) =>
    (await find({ filter: { _and: [{ email: { _contains: family } }, filter] }, sort: ["email"] })).map((user) => user.first_name);
  assert.deepEqual(await names({ first_name: { _in: ["bea", "dan"] } }), ["bea", "dan"]);
  assert.deepEqual(await names({ first_name: { _nin: ["bea", "dan"] } }), ["Ann", "cem"]);
  assert.deepEqual(await names({ role: { _null: true } }), ["Ann"]);
  assert.deepEqual(await names({ role: { name: { _eq: "member" } } }), ["bea", "cem", "dan"]);
  assert.deepEqual(await names({ _or: [{ last_name: { _eq: "Lee" } }, { first_name: { _starts_with: "d" } }] }), ["Ann", "dan"]);
  assert.deepEqual(await names({ status: { _neq: "active" } }), []);
});

await line("readUsers: a filter on the token tells only whether there is one", async () => {
  const token = await freshToken();
  const [bea] = await find({ filter: { email: { _eq: email("bea") } } });
  await admin.request(updateUser(bea.id, { token }));
  const holders = await find({ filter: { _and: [{ email: { _contains: family } }, { token: { _nnull: true } }] } });
  assert.deepEqual(holders.map(({ id }) => id), [bea.id]);
  await refused(find({ filter: { token: { _eq: token } } }), 400, "INVALID_QUERY");
});

await line("readUsers: sort, limit, offset and page", async () => {
  const names = async (query) => (await find(query)).map((user) => user.first_name);
  assert.deepEqual(await names({ sort: ["-email"] }), ["dan", "cem", "bea", "Ann"]);
  assert.deepEqual(await names({ sort: ["email"], limit: 2 }), ["Ann", "bea"]);
  assert.deepEqual(await names({ sort: ["email"], limit: 2, offset: 1 }), ["bea", "cem"]);
  assert.deepEqual(await names({ sort: ["email"], limit: 3, page: 2 }), ["dan"]);
  assert.equal((await names({ limit: -1 })).length, 4);
});

await line("readUsers: search", async () => {
  const found = await admin.request(readUsers({ search: family, sort: ["email"], fields: ["first_name"] }));
  assert.equal(found.length, 4);
  assert.deepEqual(await admin.request(readUsers({ search: email("cem"), fields: ["first_name"] })), [{ first_name: "cem" }]);
});

await line("withSearch: the query in the body, with the method SEARCH", async () => {
  const query = { filter: { email: { _contains: family } }, sort: ["email"], limit: 2, fields: ["first_name"] };
  assert.deepEqual(await admin.request(withSearch(readUsers(query))), [{ first_name: "Ann" }, { first_name: "bea" }]);
});

await line("readUser", async () => {
  const [cem] = await find({ filter: { email: { _eq: email("cem") } } });
  assert.equal((await admin.request(readUser(cem.id, { fields: ["first_name"] }))).first_name, "cem");
  await refused(admin.request(readUser("00000000-0000-4000-8000-000000000000")), 403, "FORBIDDEN");
  await refused(admin.request(readUser("nobody")), 403, "FORBIDDEN");
});

await line("updateUser: names, profile, status and role", async () => {
  const [cem] = await find({ filter: { email: { _eq: email("cem") } } });
  const change = { last_name: "Kaya", location: "Izmir", tags: ["a", "b"], role: null, status: "archived" };
  const now = await admin.request(updateUser(cem.id, change, { fields: Object.keys(change) }));
  assert.deepEqual(now, change);
  await admin.request(updateUser(cem.id, { status: "active" }));
});

await line("updateUsers", async () => {
  const people = await find({ sort: ["email"], limit: 2 });
  const answer = await admin.request(updateUsers(people.map(({ id }) => id), { title: "Prof" }, { fields: ["title"] }));
  assert.deepEqual(answer, [{ title: "Prof" }, { title: "Prof" }]);
});

await line("readMe: nobody in particular", async () => {
  await refused(nobody().request(readMe()), 401, "INVALID_CREDENTIALS");
  await refused(nobody().request(readUsers()), 403, "FORBIDDEN");
  await refused(shows("not-a-token-that-anybody-has").request(readMe()), 401, "INVALID_CREDENTIALS");
});

await line("readRoles and readRole", async () => {
  const roles = await admin.request(readRoles({ sort: ["name"] }));
  assert.ok(roles.some(({ id, name }) => id === member && name === "member"));
  assert.equal((await admin.request(readRole(member))).name, "member");
});

await line("deleteUser: the token goes with its user", async () => {
  const token = await freshToken();
  const gone = await person({ token });
  assert.equal(await admin.request(deleteUser(gone.id)), null);
  await refused(shows(token).request(readMe()), 401, "INVALID_CREDENTIALS");
  await refused(admin.request(readUser(gone.id)), 403, "FORBIDDEN");
});

await line("deleteUsers", async () => {
  const people = await find({ fields: ["id"], limit: -1 });
  assert.equal(await admin.request(deleteUsers(people.map(({ id }) => id))), null);
  assert.deepEqual(await find({}), []);
});

await line("readUsers: aggregate: what is not spoken is refused, not guessed", async () => {
  await refused(admin.request(readUsers({ aggregate: { count: "*" } })), 400, "INVALID_QUERY");
});

// What else the client asks of its server: what happened, whether it is there, and the same over GraphQL.
import {
  customEndpoint,
  passwordRequest,
  passwordReset,
  readActivities,
  readActivity,
  readItems,
  readMe,
  readProviders,
  serverHealth,
  serverInfo,
  serverPing,
  updateUser,
} from "@directus/sdk";
import { MASK, administrator, assert, freshToken, nobody, person, refused, shows, step } from "./stage.mjs";

const admin = await administrator();
const ada = await person(admin);
const token = await freshToken();
await admin.request(updateUser(ada.id, { token }));

await step("readActivities: what was done is told, the token is not", async () => {
  const filter = { _and: [{ collection: { _eq: "directus_users" } }, { item: { _eq: ada.id } }] };
  const told = await admin.request(readActivities({ filter, sort: ["-id"], fields: ["*", "revisions.*"] }));
  const [given, made] = told;
  assert.deepEqual([given.action, made.action, given.user], ["update", "create", (await admin.request(readMe())).id]);
  assert.deepEqual(given.revisions[0].delta, { token: MASK });
  assert.ok(!JSON.stringify(told).includes(token));
  await refused(shows(token).request(readActivities()), 403, "FORBIDDEN");
});

await step("readActivity", async () => {
  const [newest] = await admin.request(readActivities({ limit: 1, sort: ["-timestamp"] }));
  const same = await admin.request(readActivity(newest.id));
  assert.deepEqual(same, newest);
});

await step("serverPing, serverInfo, serverHealth", async () => {
  assert.equal(await nobody().request(serverPing()), "pong");
  assert.ok((await nobody().request(serverInfo())).project.project_name);
  assert.equal((await admin.request(serverHealth())).status, "ok");
  await refused(nobody().request(serverHealth()), 403, "FORBIDDEN");
});

await step("readProviders", async () => {
  assert.deepEqual(await nobody().request(readProviders()), []);
});

await step("passwordRequest, passwordReset: Keyholt sends no mail, and does not pretend to", async () => {
  await refused(nobody().request(passwordRequest("ada@example.org")), 404, "ROUTE_NOT_FOUND");
  await refused(nobody().request(passwordReset("token", "password")), 404, "ROUTE_NOT_FOUND");
});

await step("graphql: oneself, others, and the token", async () => {
  const me = await shows(token).query("query { users_me { id email token } }", undefined, "system");
  assert.deepEqual(me, { users_me: { id: ada.id, email: ada.email, token: MASK } });
  const next = await freshToken();
  const written = await shows(token).query(
    "mutation ($token: String) { update_users_me(data: { token: $token }) { token } }",
    { token: next },
    "system",
  );
  assert.deepEqual(written, { update_users_me: { token: MASK } });
  await refused(shows(token).request(readMe()), 401, "INVALID_CREDENTIALS");
  const found = await admin.query(
    "query ($id: String) { users(filter: { id: { _eq: $id } }, limit: 1) { id role { name } } }",
    { id: ada.id },
    "system",
  );
  assert.deepEqual(found, { users: [{ id: ada.id, role: { name: "member" } }] });
});

await step("what Keyholt does not keep is said to be not there", async () => {
  await refused(admin.request(readItems("articles")), 404, "ROUTE_NOT_FOUND");
  await refused(admin.request(customEndpoint({ path: "/nowhere" })), 404, "ROUTE_NOT_FOUND");
});

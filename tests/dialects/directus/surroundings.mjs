// What else the client asks of its server: what happened, and whether it is there.
import {
  createDirectus,
  customEndpoint,
  graphql,
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
  staticToken,
} from "@directus/sdk";
import { MASK, admin, assert, holder, line, nobody, refused, shows, url } from "./stage.mjs";

const { token, ...ada } = await holder();

await line("readActivities: what was done is told, the token is not", async () => {
  const filter = { _and: [{ collection: { _eq: "directus_users" } }, { item: { _eq: ada.id } }] };
  const told = await admin.request(readActivities({ filter, sort: ["-id"], fields: ["*", "revisions.*"] }));
  const [given, made] = told;
  assert.deepEqual([given.action, made.action, given.user], ["update", "create", (await admin.request(readMe())).id]);
  assert.deepEqual(given.revisions[0].delta, { token: MASK });
  assert.ok(!JSON.stringify(told).includes(token));
  await refused(shows(token).request(readActivities()), 403, "FORBIDDEN");
});

await line("readActivity", async () => {
  const [newest] = await admin.request(readActivities({ limit: 1, sort: ["-timestamp"] }));
  const same = await admin.request(readActivity(newest.id));
  assert.deepEqual(same, newest);
});

await line("serverPing, serverInfo, serverHealth", async () => {
  assert.equal(await nobody().request(serverPing()), "pong");
  assert.ok((await nobody().request(serverInfo())).project.project_name);
  assert.equal((await admin.request(serverHealth())).status, "ok");
  await refused(nobody().request(serverHealth()), 403, "FORBIDDEN");
});

await line("readProviders", async () => {
  assert.deepEqual(await nobody().request(readProviders()), []);
});

await line("passwordRequest, passwordReset: Keyholt sends no mail, and does not pretend to", async () => {
  await refused(nobody().request(passwordRequest("ada@example.org")), 404, "ROUTE_NOT_FOUND");
  await refused(nobody().request(passwordReset("token", "password")), 404, "ROUTE_NOT_FOUND");
});

await line("graphql: query and mutation: not spoken, and said to be so", async () => {
  const client = createDirectus(url).with(staticToken(token)).with(graphql());
  await refused(client.query("{ users_me { id } }", {}, "system"), 404, "ROUTE_NOT_FOUND");
  await refused(client.query("mutation { delete_users_me }", {}, "items"), 404, "ROUTE_NOT_FOUND");
});

await line("what Keyholt does not keep is said to be not there", async () => {
  await refused(admin.request(readItems("articles")), 404, "ROUTE_NOT_FOUND");
  await refused(admin.request(customEndpoint({ path: "/nowhere" })), 404, "ROUTE_NOT_FOUND");
});

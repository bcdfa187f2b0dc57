// An administrator gives an automation its permanent key: a user of its own, with a token that nothing else uses.
//
//   export DIRECTUS_URL=http://127.0.0.1:8055 DIRECTUS_TOKEN=…   (an administrator's)
import { createDirectus, createUser, randomString, readMe, readRoles, rest, staticToken, updateUser } from "@directus/sdk";

const admin = createDirectus(process.env.DIRECTUS_URL).with(staticToken(process.env.DIRECTUS_TOKEN)).with(rest());

const [role] = await admin.request(readRoles({ filter: { name: { _eq: "member" } } }));
const token = await admin.request(randomString(64));
const weather = await admin.request(
  createUser({ first_name: "Weather service", email: "weather@example.org", role: role.id, token }),
);
console.log("the token, as it is shown from now on:", weather.token);

const service = createDirectus(process.env.DIRECTUS_URL).with(staticToken(token)).with(rest());
const works = () =>
  service.request(readMe({ fields: ["id"] })).then(
    () => "works",
    (error) => error.errors[0].extensions.code,
  );
console.log("the token", await works());
await admin.request(updateUser(weather.id, { status: "suspended" }));
console.log("suspended:", await works());
await admin.request(updateUser(weather.id, { status: "active" }));
console.log("active again:", await works());
await admin.request(updateUser(weather.id, { token: null }));
console.log("cleared:", await works());

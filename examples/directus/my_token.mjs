// What the button in a user's profile does: make a token, copy it, save. It is shown this once.
//
//   export DIRECTUS_URL=http://127.0.0.1:8055 DIRECTUS_TOKEN=…
import { createDirectus, randomString, readMe, rest, staticToken, updateMe } from "@directus/sdk";

const client = createDirectus(process.env.DIRECTUS_URL).with(staticToken(process.env.DIRECTUS_TOKEN)).with(rest());

// The token is made here. Keyholt keeps a digest of it, so nobody can read it from its database.
const token = await client.request(randomString());
await client.request(updateMe({ token }));
const mine = createDirectus(process.env.DIRECTUS_URL).with(staticToken(token)).with(rest());
console.log("my token works:", (await mine.request(readMe({ fields: ["email"] }))).email);
console.log("and is not shown again:", (await mine.request(readMe({ fields: ["token"] }))).token);

// Regenerated, the old one no longer works.
const next = await mine.request(randomString());
await mine.request(updateMe({ token: next }));
console.log("the old one:", await mine.request(readMe()).catch((error) => error.errors[0].extensions.code));

// Removed, neither does this one.
mine.setToken(next);
await mine.request(updateMe({ token: null }));
console.log("the new one:", await mine.request(readMe()).catch((error) => error.errors[0].extensions.code));

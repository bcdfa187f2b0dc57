// A token for one request only: the client has none of its own.
//
//   export DIRECTUS_URL=http://127.0.0.1:8055 DIRECTUS_TOKEN=…
import { createDirectus, readItems, rest, withToken } from "@directus/sdk";

const client = createDirectus(process.env.DIRECTUS_URL).with(rest());

const items = await client.request(withToken(process.env.DIRECTUS_TOKEN, readItems("articles")));
console.log(items);

const refused = await client.request(readItems("articles")).catch((error) => error.errors[0].extensions.code);
console.log("without it:", refused);

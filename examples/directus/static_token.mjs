// A client that shows a static token with every request.
//
//   export DIRECTUS_URL=http://127.0.0.1:8055 DIRECTUS_TOKEN=…
import { createDirectus, readItems, rest, staticToken } from "@directus/sdk";

const client = createDirectus(process.env.DIRECTUS_URL).with(staticToken(process.env.DIRECTUS_TOKEN)).with(rest());

const items = await client.request(readItems("articles"));
console.log(items);

// better-auth's API-key plugin on SQLite behind node's own HTTP server.
//
// node server.mjs FOLDER COUNT makes COUNT keys, writes them to FOLDER/keys, then answers POST /verify {"key"}.
// Rate limiting is off: by default a key works ten times a day.

import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import Database from "better-sqlite3";

const [folder, count] = process.argv.slice(2);
const database = new Database(join(folder, "better-auth.db"));
database.pragma("journal_mode = WAL");
database.pragma("synchronous = NORMAL");

const options = {
  database,
  baseURL: "http://127.0.0.1",
  secret: "only for the bench: nothing here is worth guarding",
  emailAndPassword: { enabled: true },
  telemetry: { enabled: false },
  logger: { level: "error" },
  plugins: [apiKey({ rateLimit: { enabled: false } })],
};
const auth = betterAuth(options);
await (await getMigrations(options)).runMigrations();

const { user } = await auth.api.signUpEmail({
  body: { name: "Olga", email: "olga@example.com", password: "correct horse battery staple" },
});
const keys = [];
for (let number = 0; number < Number(count); number += 1) {
  const made = await auth.api.createApiKey({ body: { name: `key ${number}`, userId: user.id } });
  keys.push(made.key);
}
writeFileSync(join(folder, "keys"), keys.join("\n"));

const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", async () => {
    const { key } = JSON.parse(Buffer.concat(pieces).toString());
    const verdict = await auth.api.verifyApiKey({ body: { key } });
    const body = JSON.stringify(verdict);
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
    response.end(body);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => console.log(`listens on http://127.0.0.1:${server.address().port}`));

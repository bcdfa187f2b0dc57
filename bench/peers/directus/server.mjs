// Directus on SQLite, with people who each have a static token.
//
// node server.mjs FOLDER COUNT makes the database and COUNT people, writes their tokens to FOLDER/keys, then serves. Node is
// the one that is installed beside it: Directus wants a newer one than a machine may have.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

const [folder, count] = process.argv.slice(2);
const admin = randomBytes(24).toString("base64url");

/** A port that is free now: Directus cannot be asked which one it took. */
function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

const port = await freePort();
Object.assign(process.env, {
  HOST: "127.0.0.1",
  PORT: String(port),
  PUBLIC_URL: `http://127.0.0.1:${port}`,
  KEY: "only for the bench",
  SECRET: "only for the bench: nothing here is worth guarding",
  DB_CLIENT: "sqlite3",
  DB_FILENAME: join(folder, "directus.db"),
  ADMIN_EMAIL: "olga@example.com",
  ADMIN_PASSWORD: "correct horse battery staple",
  ADMIN_TOKEN: admin,
  EXTENSIONS_PATH: join(folder, "extensions"),
  STORAGE_LOCAL_ROOT: join(folder, "uploads"),
  TELEMETRY: "false",
  CACHE_ENABLED: "false",
  RATE_LIMITER_ENABLED: "false",
  // Under load it would answer 503 to some requests, and be measured on those.
  PRESSURE_LIMITER_ENABLED: "false",
  LOG_LEVEL: "error",
});

const program = join(import.meta.dirname, "node_modules/@directus/api/dist/cli/run.js");
execFileSync(process.execPath, [program, "bootstrap"], { stdio: ["ignore", "ignore", "inherit"] });
const { startServer } = await import("@directus/api/server");
await startServer();

const base = `http://127.0.0.1:${port}`;
async function ask(method, path, body) {
  const headers = { authorization: `Bearer ${admin}`, "content-type": "application/json" };
  const answer = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}
for (;;) {
  try {
    await ask("GET", "/users/me?fields=id");
    break;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
const keys = [];
for (let number = 0; number < Number(count); number += 1) {
  const token = randomBytes(24).toString("base64url");
  await ask("POST", "/users", { email: `u-${number}@example.com`, token });
  keys.push(token);
}
writeFileSync(join(folder, "keys"), keys.join("\n"));
console.log(`listens on ${base}`);

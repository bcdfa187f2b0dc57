// The programs in examples/keys-and-tokens, run beside Keyholt: what each says, and that a revocation reaches both.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { once } from "node:events";

const { NATIVE_URL, OPERATOR_KEY, TRIAL_CANARY } = process.env;
const here = (program) => new URL(`${program}.mjs`, import.meta.url).pathname;

/** Registers a secret with the gate at the end of the suite. */
function secret(text) {
  if (TRIAL_CANARY) appendFileSync(`${TRIAL_CANARY}/secrets`, `${text}\n`);
  return text;
}

async function ask(path, body) {
  const answer = await fetch(`${NATIVE_URL}/v1/projects/acme${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${OPERATOR_KEY}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const told = await answer.json();
  assert.ok(answer.ok, JSON.stringify(told));
  return told;
}

async function newKey(owner, scopes) {
  const made = await ask("/keys", { name: "example", owner, scopes });
  secret(made.secret);
  return { id: made.key.id, secret: made.secret };
}

const start = (program, env) =>
  spawn(process.execPath, [here(program)], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });

async function run(program, env) {
  const child = start(program, env);
  let said = "";
  child.stdout.on("data", (chunk) => (said += chunk));
  const [status] = await once(child, "close");
  assert.equal(status, 0, said);
  return said;
}

async function line(what, tried) {
  try {
    await tried();
    console.log(`ok      keys and tokens  ${what}`);
  } catch (error) {
    console.log(`FAILED  keys and tokens  ${what}\n${error.stack}`);
    process.exitCode = 1;
  }
}

await ask("/services", { name: "weather", roles: ["verifier"] });
await ask("/services", { name: "portal", roles: ["admin"] });
await ask("/users", { external_id: "12345", roles: ["member"] });
const gate = await newKey({ service: "weather" }, ["keyholt:verify"]);
const api = start("weather", { KEYHOLT_URL: NATIVE_URL, KEYHOLT_KEY: gate.secret });
const [first] = await once(api.stdout, "data");
const WEATHER_URL = String(first).trim();

await line("examples/keys-and-tokens/current.mjs: an API key as ?key=, until it is revoked", async () => {
  const key = await newKey({ user: "12345" }, ["weather:read"]);
  assert.match(await run("current", { WEATHER_URL, API_KEY: key.secret }), /^Weather Data: .*London/);
  await ask(`/keys/${key.id}/revoke`, { cause: "tried out" });
  assert.match(await run("current", { WEATHER_URL, API_KEY: key.secret }), /^Error: 401/);
  const other = await newKey({ user: "12345" }, ["orders:read"]);
  assert.match(await run("current", { WEATHER_URL, API_KEY: other.secret }), /^Error: 403/);
});

await line("examples/keys-and-tokens/token.mjs: a token of user 12345 for two hours, until it is revoked", async () => {
  const portal = await newKey({ service: "portal" }, "everything");
  const said = await run("token", { KEYHOLT_URL: NATIVE_URL, KEYHOLT_KEY: portal.secret, PROJECT: "acme", USER_ID: "12345" });
  assert.match(said, /^signed by Keyholt for 12345, who may weather:read; renewed until .*\nrefused after log-out: .+\n$/);
});

api.kill();

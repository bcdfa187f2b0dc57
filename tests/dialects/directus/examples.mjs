// The programs in examples/directus, as somebody would run them: behind a service with data of its own.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { admin, assert, freshToken, line, person, url } from "./stage.mjs";
import { updateUser } from "@directus/sdk";

const folder = new URL("examples/", import.meta.url);
const start = (program, env) =>
  spawn(process.execPath, [new URL(`${program}.mjs`, folder).pathname], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });

/** All that a program prints; it must end well. */
async function run(program, token) {
  const child = start(program, { DIRECTUS_URL: front, DIRECTUS_TOKEN: token });
  let said = "";
  child.stdout.on("data", (chunk) => (said += chunk));
  const [status] = await once(child, "close");
  assert.equal(status, 0, said);
  return said;
}

const service = start("items", { KEYHOLT_DIRECTUS: url, PORT: "0" });
const [first] = await once(service.stdout, "data");
const front = String(first).trim();
const token = await freshToken();
const ada = await person();
await admin.request(updateUser(ada.id, { token }));

await line("examples/static_token.mjs", async () => assert.match(await run("static_token", token), /What are static tokens/));

await line("examples/one_request.mjs", async () => {
  assert.match(await run("one_request", token), /What are static tokens[^]*without it: INVALID_CREDENTIALS/);
});

await line("examples/automation.mjs", async () => {
  const said = await run("automation", process.env.ROOT_KEY);
  const expected = ["**********", "works", "INVALID_CREDENTIALS", "works", "INVALID_CREDENTIALS"];
  assert.deepEqual(said.trim().split("\n").map((told) => told.split(" ").at(-1)), expected);
});

await line("examples/my_token.mjs", async () => {
  const said = await run("my_token", token);
  const expected = [ada.email, "**********", "INVALID_CREDENTIALS", "INVALID_CREDENTIALS"];
  assert.deepEqual(said.trim().split("\n").map((told) => told.split(" ").at(-1)), expected);
});

service.kill();

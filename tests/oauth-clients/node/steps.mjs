// One line of JSON per step of a client, so that the runner can make its table.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

export { assert };

export const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
export const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";

/** What the runner made for this program. */
export const world = JSON.parse(readFileSync(process.env.TRIAL_WORLD, "utf8"));

/** A reporter of the steps of one client library. */
export function client(name) {
  const { version } = JSON.parse(readFileSync(packageFile(name), "utf8"));
  return async (step, run) => {
    let failure = null;
    try {
      await run();
    } catch (error) {
      failure = `${error.name}: ${error.message}${error.cause ? ` (${JSON.stringify(error.cause)})` : ""}`;
      process.exitCode = 1;
    }
    console.log(JSON.stringify({ client: name, version, step, failure }));
  };
}

function packageFile(name) {
  const folders = createRequire(import.meta.url).resolve.paths(name);
  return folders.map((folder) => `${folder}/${name}/package.json`).find((file) => {
    try {
      return readFileSync(file) && true;
    } catch {
      return false;
    }
  });
}

/** Revokes a key by possession, as its holder can. */
export async function revoke(secret) {
  const answer = await fetch(`${world.api}/v1/self/revoke`, {
    method: "POST",
    headers: { Authorization: `Bearer ${secret}`, "Content-Type": "application/json" },
    body: JSON.stringify({ cause: "the client's trial is over" }),
  });
  assert.equal(answer.status, 200);
}

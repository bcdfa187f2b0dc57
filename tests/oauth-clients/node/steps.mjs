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

/** The blocks of JavaScript on a page of the how-tos, with the addresses of this run in the place of the page's. */
export function codeOf(page) {
  const text = readFileSync(`${world.pages}/${page}`, "utf8");
  const blocks = [...text.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);
  const issuer = "https://keys.example.com/projects/0197a3c4-7b1e-7c00-8000-6f9d2f3f1a20";
  const real = [[issuer, world.issuer], ["https://keys.example.com", world.api], ["https://orders.example.com", world.audience]];
  return blocks.map((code) => real.reduce((text, [example, here]) => text.replaceAll(example, here), code));
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

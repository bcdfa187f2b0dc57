// jose: an offline verifier with a remote JWKS, while a rotation of the signing key begins.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { assert, client as reporter, world } from "./steps.mjs";

const run = promisify(execFile);
const step = reporter("jose");
const basic = Buffer.from(`${world.client_id}:${world.client_secret}`).toString("base64");
const keys = createRemoteJWKSet(new URL(world.jwks_uri));

async function fresh() {
  const answer = await fetch(world.token_endpoint, {
    method: "POST",
    headers: { Authorization: `Basic ${basic}` },
    body: new URLSearchParams({ grant_type: "client_credentials", audience: world.audience }),
  });
  assert.equal(answer.status, 200);
  return (await answer.json()).access_token;
}

const check = (token) =>
  jwtVerify(token, keys, { issuer: world.issuer, audience: world.audience, typ: "at+jwt", requiredClaims: ["jti"] });

await step("JWT checked offline with a remote JWKS", async () => {
  const { payload } = await check(await fresh());
  assert.equal(payload.client_id, world.client_id);
});

await step("rotation begins under load: the next key is published, no good token is refused", async () => {
  const published = async () => (await (await fetch(world.jwks_uri)).json()).keys.length;
  const before = await published();
  let checked = 0;
  for (let round = 0; round < 20; round += 1) {
    for (const token of await Promise.all(Array.from({ length: 8 }, fresh))) {
      await check(token);
      checked += 1;
    }
    if (round === 5) {
      await run("keyholt", ["--project", world.project, "--yes", "--quiet", "jwks", "rotate"]);
    }
  }
  assert.equal(await published(), before + 1);
  assert.equal(checked, 160);
});

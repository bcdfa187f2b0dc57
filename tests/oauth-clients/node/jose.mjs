// jose: an offline verifier with a remote JWKS and the status list, and a rotation of the signing key under load.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { inflateSync } from "node:zlib";
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { assert, client as reporter, revoke, world } from "./steps.mjs";

const run = promisify(execFile);
const step = reporter("jose");
const keys = createRemoteJWKSet(new URL(world.jwks_uri));

async function fresh({ id, secret } = { id: world.client_id, secret: world.client_secret }) {
  const basic = Buffer.from(`${id}:${secret}`).toString("base64");
  const answer = await fetch(world.token_endpoint, {
    method: "POST",
    headers: { Authorization: `Basic ${basic}` },
    body: new URLSearchParams({ grant_type: "client_credentials", audience: world.audience }),
  });
  assert.equal(answer.status, 200);
  return (await answer.json()).access_token;
}

const check = (token, believed = keys) =>
  jwtVerify(token, believed, { issuer: world.issuer, audience: world.audience, typ: "at+jwt", requiredClaims: ["jti"] });

/** What the list says of a token, fetched anew. */
async function status({ status: { status_list: { idx, uri } } }) {
  const answer = await fetch(uri);
  assert.equal(answer.headers.get("content-type"), "application/statuslist+jwt");
  const { payload } = await jwtVerify(await answer.text(), keys, {
    issuer: world.issuer,
    subject: uri,
    typ: "statuslist+jwt",
    requiredClaims: ["ttl", "exp", "iat"],
  });
  const { bits, lst } = payload.status_list;
  const bytes = inflateSync(Buffer.from(lst, "base64url"));
  return (bytes[(idx * bits) >> 3] >> ((idx * bits) & 7)) & ((1 << bits) - 1);
}

await step("JWT checked offline with a remote JWKS", async () => {
  const { payload } = await check(await fresh());
  assert.equal(payload.client_id, world.client_id);
});

await step("status list: a good token is good, and dead once its key is revoked", async () => {
  const token = await fresh({ id: world.doomed_id, secret: world.doomed_secret });
  const { payload } = await check(token);
  assert.equal(await status(payload), 0);
  await revoke(world.doomed_secret);
  await check(token);
  const began = Date.now();
  while ((await status(payload)) === 0) {
    assert.ok(Date.now() - began < 10_000, "the list never says so");
    await sleep(200);
  }
  assert.equal(await status(payload), 1);
  assert.equal(await status((await check(await fresh())).payload), 0, "another key's token");
});

await step("signing-key rotation under load: no good token is refused", async () => {
  const answer = await fetch(world.jwks_uri);
  const ahead = Number(/max-age=(\d+)/.exec(answer.headers.get("cache-control"))[1]) * 1000;
  const kids = new Set();
  let checked = 0;
  let until = Date.now() + 3 * ahead;
  // Verifiers who keep keys for as long as they may, each from another moment on, and for half as long.
  const verifiers = Array.from({ length: 6 }, async (_, at) => {
    await sleep((at * ahead) / 6);
    const own = createRemoteJWKSet(new URL(world.jwks_uri), { cacheMaxAge: at % 2 ? ahead : ahead / 2 });
    while (Date.now() < until) {
      const token = await fresh();
      kids.add(decodeProtectedHeader(token).kid);
      await check(token, own);
      checked += 1;
      await sleep(20);
    }
  });
  await sleep(ahead / 2);
  await run("keyholt", ["--project", world.project, "--yes", "--quiet", "jwks", "rotate"]);
  until = Date.now() + 2 * ahead + 2_000;
  await Promise.all(verifiers);
  assert.equal(kids.size, 2, "the next key signs by now");
  assert.ok(checked > 200, `only ${checked} tokens`);
});

// jose: an offline verifier with a remote JWKS and the status list, and a rotation of the signing key under load.
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { inflateSync } from "node:zlib";
import { createLocalJWKSet, createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { assert, client as reporter, codeOf, revoke, world } from "./steps.mjs";

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

await step("the page's code for offline checks takes a token and no status list", async () => {
  const code = codeOf("verify-tokens-offline.md")[0];
  const file = `${import.meta.dirname}/page.mjs`;
  writeFileSync(file, `const token = process.argv[2];\n${code}\nconsole.log(JSON.stringify({ payload, may }));\n`);
  const token = await fresh();
  const { payload, may } = JSON.parse((await run("node", [file, token])).stdout);
  assert.deepEqual([payload.client_id, may], [world.client_id, false], "what it may is orders:*");
  const list = await (await fetch(payload.status.status_list.uri)).text();
  await assert.rejects(run("node", [file, list]), /unexpected "typ"/);
});

for (const [algorithm, issuer] of Object.entries(world.other_issuers)) {
  await step(`JWT signed with ${algorithm} checked offline`, async () => {
    const token = await fresh({ id: issuer.client_id, secret: issuer.client_secret });
    const own = createRemoteJWKSet(new URL(issuer.jwks_uri));
    const rules = { issuer: issuer.issuer, audience: world.audience, typ: "at+jwt", algorithms: [algorithm] };
    assert.equal((await jwtVerify(token, own, rules)).protectedHeader.alg, algorithm);
    const others = ["ES256", "EdDSA", "RS256"].filter((other) => other !== algorithm);
    await assert.rejects(jwtVerify(token, own, { ...rules, algorithms: others }), { code: "ERR_JOSE_ALG_NOT_ALLOWED" });
    await assert.rejects(jwtVerify(token, keys, rules), { code: "ERR_JWKS_NO_MATCHING_KEY" });
  });
}

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

await step("a withdrawn signing key: what it signed is refused once the kept keys are read again", async () => {
  const token = await fresh();
  const withdrawn = decodeProtectedHeader(token).kid;
  const own = createRemoteJWKSet(new URL(world.jwks_uri), { cooldownDuration: 0 });
  await check(token, own);
  const kept = createLocalJWKSet(own.jwks());
  const options = ["--project", world.project, "--yes", "--quiet"];
  await run("keyholt", [...options, "jwks", "withdraw", withdrawn, "--cause", "leaked"]);
  await own.reload();
  await assert.rejects(check(token, own), { code: "ERR_JWKS_NO_MATCHING_KEY" });
  const basic = Buffer.from(`${world.verifier_id}:${world.verifier_secret}`).toString("base64");
  const told = await fetch(`${world.api}/oauth/introspect`, {
    method: "POST",
    headers: { Authorization: `Basic ${basic}` },
    body: new URLSearchParams({ token }),
  });
  assert.deepEqual(await told.json(), { active: false });
  // Whoever kept the keys believes it still.
  await check(token, kept);
  const next = await fresh();
  assert.notEqual(decodeProtectedHeader(next).kid, withdrawn);
  await check(next, own);
});

// openid-client: what most Node services use.
import * as openid from "openid-client";
import { ACCESS_TOKEN, EXCHANGE, assert, client as reporter, world } from "./steps.mjs";

const step = reporter("openid-client");
let config;
let token;

await step("discovery (RFC 8414)", async () => {
  config = await openid.discovery(
    new URL(world.issuer),
    world.client_id,
    undefined,
    openid.ClientSecretBasic(world.client_secret),
    { algorithm: "oauth2", execute: [openid.allowInsecureRequests] },
  );
});

await step("client credentials, Basic", async () => {
  token = await openid.clientCredentialsGrant(config, { scope: "orders:read", audience: world.audience });
  assert.equal(token.scope, "orders:read");
  assert.ok(token.expires_in > 0);
});

await step("introspection (RFC 7662)", async () => {
  const told = await openid.tokenIntrospection(config, token.access_token);
  assert.deepEqual([told.active, told.scope], [true, "orders:read"]);
});

await step("token exchange (RFC 8693)", async () => {
  const subject = await openid.clientCredentialsGrant(config, {});
  const narrow = await openid.genericGrantRequest(config, EXCHANGE, {
    subject_token: subject.access_token,
    subject_token_type: ACCESS_TOKEN,
    audience: "https://orders.example",
  });
  assert.equal(narrow.issued_token_type, ACCESS_TOKEN);
});

await step("revocation (RFC 7009)", async () => {
  await openid.tokenRevocation(config, token.access_token);
  assert.equal((await openid.tokenIntrospection(config, token.access_token)).active, false);
});

await step("refusals carry the error of RFC 6749", async () => {
  await assert.rejects(openid.clientCredentialsGrant(config, { scope: "users:delete" }), { error: "invalid_scope" });
});

// oauth4webapi: the strictest client there is; it must accept every step.
import * as oauth from "oauth4webapi";
import { ACCESS_TOKEN, EXCHANGE, assert, client as reporter, revoke, world } from "./steps.mjs";

const step = reporter("oauth4webapi");
const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(world.issuer);
const client = { client_id: world.client_id };
const basic = oauth.ClientSecretBasic(world.client_secret);
let server;
let token;

await step("discovery (RFC 8414)", async () => {
  const response = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...insecure });
  server = await oauth.processDiscoveryResponse(issuer, response);
  for (const endpoint of ["token_endpoint", "introspection_endpoint", "revocation_endpoint", "jwks_uri"]) {
    assert.ok(server[endpoint], endpoint);
  }
});

const credentials = async (authentication, parameters, who = client) =>
  oauth.processClientCredentialsResponse(
    server,
    who,
    await oauth.clientCredentialsGrantRequest(server, who, authentication, parameters, insecure),
  );

await step("client credentials, Basic", async () => {
  token = await credentials(basic, { audience: world.audience });
  assert.equal(token.token_type, "bearer");
  assert.equal(token.refresh_token, undefined);
});

await step("client credentials, body", async () => {
  await credentials(oauth.ClientSecretPost(world.client_secret), {});
});

await step("narrower scope is granted and echoed", async () => {
  const narrow = await credentials(basic, { scope: "orders:read" });
  assert.equal(narrow.scope, "orders:read");
});

const refusal = async (run) => {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error("it was granted");
};

await step("wider scope is refused with invalid_scope", async () => {
  const error = await refusal(() => credentials(basic, { scope: "users:delete" }));
  assert.ok(error instanceof oauth.ResponseBodyError);
  assert.deepEqual([error.status, error.error], [400, "invalid_scope"]);
});

await step("wrong secret is refused with invalid_client and a challenge", async () => {
  const error = await refusal(() => credentials(oauth.ClientSecretBasic("wrong"), {}));
  if (error instanceof oauth.WWWAuthenticateChallengeError) {
    assert.equal(error.status, 401);
    assert.equal(error.cause[0].scheme, "basic");
  } else {
    assert.deepEqual([error.status, error.error], [401, "invalid_client"]);
  }
});

const request = (presented) =>
  new Request("http://service.example/orders", { headers: { Authorization: `Bearer ${presented}` } });

await step("JWT access token is valid (RFC 9068)", async () => {
  const claims = await oauth.validateJwtAccessToken(server, request(token.access_token), world.audience, insecure);
  assert.equal(claims.client_id, world.client_id);
  assert.equal(claims.sub, world.client_id);
});

await step("JWT access token is refused for another audience", async () => {
  await refusal(() => oauth.validateJwtAccessToken(server, request(token.access_token), "somebody-else", insecure));
});

const introspect = async (presented, who = client, authentication = basic) =>
  oauth.processIntrospectionResponse(
    server,
    who,
    await oauth.introspectionRequest(server, who, authentication, presented, insecure),
  );

await step("introspection (RFC 7662)", async () => {
  const told = await introspect(token.access_token);
  assert.equal(told.active, true);
  assert.equal(told.client_id, world.client_id);
  assert.deepEqual(await introspect("nonsense"), { active: false });
});

// A token for nobody in particular: one that is for somebody already is not aimed at somebody else.
const subject = await credentials(basic, {});
const exchange = async (parameters) =>
  oauth.processGenericTokenEndpointResponse(
    server,
    client,
    await oauth.genericTokenEndpointRequest(
      server,
      client,
      basic,
      EXCHANGE,
      { subject_token: subject.access_token, subject_token_type: ACCESS_TOKEN, ...parameters },
      insecure,
    ),
  );

await step("token exchange (RFC 8693)", async () => {
  const narrow = await exchange({ scope: "orders:read", audience: "https://orders.example" });
  assert.equal(narrow.issued_token_type, ACCESS_TOKEN);
  const claims = await oauth.validateJwtAccessToken(
    server,
    request(narrow.access_token),
    "https://orders.example",
    insecure,
  );
  assert.equal(claims.scope, "orders:read");
});

await step("token exchange never widens", async () => {
  const error = await refusal(() => exchange({ scope: "users:delete" }));
  assert.equal(error.error, "invalid_scope");
});

await step("revocation (RFC 7009)", async () => {
  for (let time = 0; time < 2; time += 1) {
    const response = await oauth.revocationRequest(server, client, basic, token.access_token, insecure);
    await oauth.processRevocationResponse(response);
  }
  assert.deepEqual(await introspect(token.access_token), { active: false });
});

await step("refresh token: rotates, and one that is shown again ends the family", async () => {
  const session = { client_id: world.session.id };
  const refresh = async (presented) =>
    oauth.processRefreshTokenResponse(
      server,
      session,
      await oauth.refreshTokenGrantRequest(server, session, oauth.None(), presented, insecure),
    );
  const next = await refresh(world.session.refresh_token);
  assert.notEqual(next.refresh_token, world.session.refresh_token);
  // Within a second it could be the same client, asking twice at once.
  await new Promise((wait) => setTimeout(wait, 1_500));
  const error = await refusal(() => refresh(world.session.refresh_token));
  assert.equal(error.error, "invalid_grant");
  const family = await refusal(() => refresh(next.refresh_token));
  assert.equal(family.error, "invalid_grant", "a token shown twice ends the family");
});

await step("what a log-in gave: introspection and revocation of its tokens", async () => {
  const session = { client_id: world.other_session.id };
  const none = oauth.None();
  const verifier = [{ client_id: world.verifier_id }, oauth.ClientSecretBasic(world.verifier_secret)];
  const given = await oauth.processRefreshTokenResponse(
    server,
    session,
    await oauth.refreshTokenGrantRequest(server, session, none, world.other_session.refresh_token, insecure),
  );
  const told = await introspect(given.refresh_token, ...verifier);
  assert.deepEqual([told.active, told.token_type, told.scope], [true, "refresh_token", undefined]);
  const end = async (presented, token_type_hint) => {
    const options = { ...insecure, additionalParameters: { token_type_hint } };
    await oauth.processRevocationResponse(await oauth.revocationRequest(server, session, none, presented, options));
    assert.deepEqual(await introspect(presented, ...verifier), { active: false });
  };
  assert.equal((await introspect(given.access_token, ...verifier)).active, true);
  await end(given.access_token, "access_token");
  assert.equal((await introspect(given.refresh_token, ...verifier)).active, true);
  await end(given.refresh_token, "refresh_token");
});

await step("the JWT dies with its key", async () => {
  const who = { client_id: world.doomed_id };
  const doomed = oauth.ClientSecretBasic(world.doomed_secret);
  const { access_token } = await credentials(doomed, {}, who);
  // Others' tokens are nobody's business but a verifier's.
  assert.deepEqual(await introspect(access_token), { active: false });
  const verifier = [{ client_id: world.verifier_id }, oauth.ClientSecretBasic(world.verifier_secret)];
  assert.equal((await introspect(access_token, ...verifier)).active, true);
  await revoke(world.doomed_secret);
  assert.deepEqual(await introspect(access_token, ...verifier), { active: false });
  await refusal(() => credentials(doomed, {}, who));
});

// A token for one user and two hours, verified with jsonwebtoken and without asking; and what the text's own line cannot do:
// ending it early.
//
// `jwt.sign({ userId: 12345 }, "your_secret_key", { expiresIn: "2h" })` gives everybody who verifies the power to sign, and
// lasts its two hours come what may. Here a key of the user's lasts the two hours and is kept by the server; with it come tokens
// of five minutes each, signed with a key that nobody else has.
import { createPublicKey } from "node:crypto";
import jwt from "jsonwebtoken";

const { KEYHOLT_URL, KEYHOLT_KEY, PROJECT, USER_ID } = process.env;
const AUDIENCE = "https://weather.example";

async function ask(path, body) {
  const answer = await fetch(`${KEYHOLT_URL}/v1/projects/${PROJECT}${path}`, {
    method: body ? "POST" : "GET",
    headers: { authorization: `Bearer ${KEYHOLT_KEY}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

const login = await ask("/keys", {
  name: "log-in",
  owner: { user: USER_ID },
  scopes: ["weather:read"],
  audience: [AUDIENCE],
  expires_in: "2h",
});

/** An access token of that log-in. */
async function token() {
  const form = { grant_type: "client_credentials", client_id: login.key.id, client_secret: login.secret, audience: AUDIENCE };
  const answer = await fetch(`${KEYHOLT_URL}/oauth/token`, { method: "POST", body: new URLSearchParams(form) });
  const told = await answer.json();
  return told.access_token ?? Promise.reject(new Error(told.error));
}

/** The claims of a token that is good, found out with the issuer's public keys alone. */
async function verified(text) {
  const issuer = jwt.decode(text).iss;
  const { kid } = jwt.decode(text, { complete: true }).header;
  const { id } = await ask("");
  if (!issuer.endsWith(`/projects/${id}`)) throw new Error(`signed by somebody else: ${issuer}`);
  // A verifier that lives longer keeps these for as long as Cache-Control says.
  const { keys } = await fetch(`${KEYHOLT_URL}/projects/${id}/.well-known/jwks.json`).then((answer) => answer.json());
  const key = createPublicKey({ key: keys.find((key) => key.kid === kid), format: "jwk" });
  return jwt.verify(text, key, { algorithms: ["ES256"], issuer, audience: AUDIENCE });
}

const claims = await verified(await token());
console.log(`signed by Keyholt for ${USER_ID}, who may ${claims.scope}; renewed until ${login.key.expires_at}`);
await ask(`/keys/${login.key.id}/revoke`, { cause: "logged out" });
await token().catch((error) => console.log(`refused after log-out: ${error.message}`));

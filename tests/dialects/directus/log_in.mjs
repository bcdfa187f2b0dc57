// Log-in, refresh and log-out with a password, in the three modes of the client.
import { authentication, createDirectus, login, logout, readMe, refresh, rest, updateMe, updateUser, withToken } from "@directus/sdk";
import { admin, assert, freshToken, line, nobody, person, refused, secret, shows, url } from "./stage.mjs";

const password = await secret("seven kettles under the bridge", "password");
const ada = await person({ password });
const { email } = ada;

/** A fetch that keeps cookies, as a browser does and Node does not. */
function browser() {
  const jar = new Map();
  const told = async (url, options = {}) => {
    const headers = new Headers(options.headers);
    if (jar.size) headers.set("cookie", [...jar].map(([name, value]) => `${name}=${value}`).join("; "));
    const answer = await fetch(url, { ...options, headers });
    for (const line of answer.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(";").map((part) => part.trim());
      assert.ok(attributes.includes("HttpOnly"), line);
      assert.ok(attributes.some((attribute) => attribute.toLowerCase().startsWith("samesite=")), line);
      const [name, value] = pair.split("=");
      if (value) jar.set(name, await secret(value, "cookie"));
      else jar.delete(name);
    }
    return answer;
  };
  return { jar, fetch: told };
}

const client = (mode, fetch) =>
  createDirectus(url, fetch ? { globals: { fetch } } : {})
    .with(authentication(mode, { autoRefresh: false, credentials: "include" }))
    .with(rest({ credentials: "include" }));

await line("authentication: json: login, refresh, logout", async () => {
  const directus = client("json");
  const first = await directus.login({ email, password });
  assert.deepEqual(Object.keys(first).toSorted(), ["access_token", "expires", "expires_at", "refresh_token"]);
  assert.ok(first.expires > 30_000);
  await secret(first.access_token);
  await secret(first.refresh_token);
  assert.equal((await directus.request(readMe({ fields: ["id"] }))).id, ada.id);
  // Whoever logged in makes their own token, and clears it.
  await directus.request(updateMe({ token: await freshToken() }));
  await directus.request(updateMe({ token: null }));
  const second = await directus.refresh();
  assert.notEqual(await secret(second.refresh_token), first.refresh_token);
  assert.equal((await directus.request(readMe({ fields: ["id"] }))).id, ada.id);
  await directus.logout();
  assert.equal(await directus.getToken(), null);
  await refused(nobody().request(withToken(second.access_token, readMe())), 401, "INVALID_CREDENTIALS");
});

await line("authentication: json: a used refresh token is dead, and its session with it", async () => {
  const session = await nobody().request(login({ email, password }, { mode: "json" }));
  await secret(session.refresh_token);
  const next = await nobody().request(refresh({ mode: "json", refresh_token: session.refresh_token }));
  await secret(next.refresh_token);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const again = nobody().request(refresh({ mode: "json", refresh_token: session.refresh_token }));
  await refused(again, 401, "INVALID_CREDENTIALS");
});

await line("authentication: cookie: login, refresh, logout", async () => {
  const { jar, fetch } = browser();
  const directus = client("cookie", fetch);
  const session = await directus.login({ email, password });
  assert.equal(session.refresh_token, undefined);
  const first = jar.get("directus_refresh_token");
  assert.ok(first);
  await secret(session.access_token);
  assert.equal((await directus.request(readMe({ fields: ["id"] }))).id, ada.id);
  await directus.refresh();
  assert.notEqual(jar.get("directus_refresh_token"), first);
  await directus.logout();
  assert.equal(jar.size, 0);
});

await line("authentication: session: login, refresh, logout", async () => {
  const { jar, fetch } = browser();
  const directus = client("session", fetch);
  const session = await directus.login({ email, password });
  assert.deepEqual([session.access_token, session.refresh_token], [undefined, undefined]);
  assert.ok(jar.get("directus_session_token"));
  assert.equal((await directus.request(readMe({ fields: ["id"] }))).id, ada.id);
  await directus.refresh();
  assert.equal((await directus.request(readMe({ fields: ["id"] }))).id, ada.id);
  const last = jar.get("directus_session_token");
  await directus.logout();
  assert.equal(jar.size, 0);
  jar.set("directus_session_token", last);
  await refused(directus.request(readMe()), 401, "INVALID_CREDENTIALS");
});

await line("login, refresh, logout: as commands", async () => {
  const mode = "json";
  const session = await nobody().request(login({ email, password }, { mode }));
  await secret(session.access_token);
  await secret(session.refresh_token);
  const next = await nobody().request(refresh({ mode, refresh_token: session.refresh_token }));
  await secret(next.access_token);
  await secret(next.refresh_token);
  assert.equal(await nobody().request(logout({ mode, refresh_token: next.refresh_token })), null);
  assert.equal(await nobody().request(logout({ mode, refresh_token: next.refresh_token })), null);
});

await line("login: wrong password and unknown address are told the same", async () => {
  const wrong = await refused(nobody().request(login({ email, password: "wrong" })), 401, "INVALID_CREDENTIALS");
  const unknown = await refused(nobody().request(login({ email: "no@example.org", password })), 401, "INVALID_CREDENTIALS");
  assert.deepEqual(wrong, unknown);
  await refused(nobody().request(login({ email: "not an address", password })), 400, "INVALID_PAYLOAD");
  await refused(nobody().request(refresh({ mode: "json" })), 400, "INVALID_PAYLOAD");
});

await line("login: a suspended user cannot, and is thrown out", async () => {
  const sam = await person({ password });
  const directus = client("json");
  const { access_token, refresh_token } = await directus.login({ email: sam.email, password });
  await secret(access_token);
  await secret(refresh_token);
  await admin.request(updateUser(sam.id, { status: "suspended" }));
  await refused(nobody().request(withToken(access_token, readMe())), 401, "INVALID_CREDENTIALS");
  await refused(nobody().request(login({ email: sam.email, password })), 401, "INVALID_CREDENTIALS");
});

await line("the static token lives on beside log-ins, and is not refreshed", async () => {
  const token = await freshToken();
  await admin.request(updateUser(ada.id, { token }));
  const directus = client("json");
  const session = await directus.login({ email, password });
  await secret(session.refresh_token);
  await directus.logout();
  assert.equal((await shows(token).request(readMe({ fields: ["id"] }))).id, ada.id);
  await directus.setToken(token);
  assert.equal((await directus.request(readMe({ fields: ["id"] }))).id, ada.id);
});

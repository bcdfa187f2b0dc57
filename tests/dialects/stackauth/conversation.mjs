// A conversation as the clients have it, held against conversation.md; RECORD=1 prints it, for that page.
import { readFileSync } from "node:fs";
import { StackServerApp } from "@stackframe/js";
import { assert, client, made, server, world } from "./steps.mjs";

const step = client("the recorded conversation");
const lines = [];
const names = new Map();

/** The text with a name in place of each id and secret, in the order of their appearance, and without times. */
function plain(text) {
  const called = (kind) => (found) => {
    if (!names.has(found)) names.set(found, `<${kind} ${[...names.values()].filter((name) => name.startsWith(`<${kind} `)).length + 1}>`);
    return names.get(found);
  };
  return text
    .replaceAll(world.secret_server_key, "<secret server key>")
    .replaceAll(world.publishable_client_key, "<publishable client key>")
    .replaceAll(world.project, "<project>")
    .replace(/acme_\w{38}/g, called("API key"))
    .replace(/("last_four": )"\w{4}"/g, '$1"<end>"')
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, called("id"))
    .replace(/\b1[89]\d{11}\b|\b2\d{12}\b|\b17\d{11}\b/g, "<ms>");
}

const pretty = (body) => (body ? plain(JSON.stringify(JSON.parse(body), null, 2)) : "");
const ask = globalThis.fetch;
globalThis.fetch = async (url, options = {}) => {
  const answer = await ask(url, options);
  const text = await answer.clone().text();
  const sent = Object.entries(Object.fromEntries(new Headers(options.headers)))
    .filter(([name]) => /project-id|access-type|key|content-type/.test(name))
    .map(([name, value]) => `${name}: ${plain(value)}\n`);
  const known = answer.headers.get("x-stack-known-error");
  lines.push(
    "```http\n",
    `${options.method ?? "GET"} ${plain(String(url).replace(world.url, ""))}\n`,
    ...sent.sort(),
    ...(options.body ? ["\n", `${pretty(options.body)}\n`] : []),
    "```\n\n```http\n",
    `${answer.status}\n`,
    ...(known ? [`x-hexclave-known-error: ${known}\n`, `x-stack-known-error: ${known}\n`] : []),
    `\n${pretty(text)}\n`,
    "```\n\n",
  );
  return answer;
};
const say = (words) => lines.push(`## ${words}\n\n`);

const app = new StackServerApp(server);
say("app.createUser()");
const user = await app.createUser({ primaryEmail: "hedy@example.org", displayName: "Hedy" });
say("user.createApiKey()");
const apiKey = await user.createApiKey({ description: "laptop", expiresAt: new Date("2099-01-01T00:00:00Z"), isPublic: false });
made(apiKey.value);
say("app.getUser({ apiKey })");
await app.getUser({ apiKey: apiKey.value });
say("apiKey.revoke()");
await apiKey.revoke();
say("app.getUser({ apiKey }), revoked");
assert.equal(await app.getUser({ apiKey: apiKey.value }), null);

const head = "# A conversation with `@stackframe/js` 2.8.108\n\nRecorded by `conversation.mjs`, and held against the server by `make test`.\n\n";
const page = `${head}${lines.join("")}`.trimEnd();
if (process.env.RECORD) {
  process.stderr.write(`${page}\n`);
} else {
  await step("what is said and answered", async () => {
    assert.equal(page, readFileSync(new URL("conversation.md", import.meta.url), "utf8").trimEnd());
  });
}
process.exit(0);

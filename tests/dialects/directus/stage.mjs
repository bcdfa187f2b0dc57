// What every program of this folder needs: a line and a scene for each function, and people with passwords.
import assert from "node:assert/strict";
import { appendFileSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import {
  createDirectus,
  createUser,
  isDirectusError,
  randomString,
  readRoles,
  rest,
  staticToken,
  updateUser,
} from "@directus/sdk";

export { assert };

/** Where Keyholt speaks Directus, and the key of its administrator. */
const { DIALECT_URL, DIALECT_RECORDER, ROOT_KEY, TRIAL_CANARY } = process.env;
export const url = DIALECT_URL;

/** What ten asterisks stand for: there is a token, and nobody is told it. */
export const MASK = "**********";

const installed = new URL("../package.json", import.meta.resolve("@directus/sdk"));
const program = basename(process.argv[1], ".mjs");
const client = `@directus/sdk ${JSON.parse(readFileSync(installed, "utf8")).version}`;

async function tellRecorder(what) {
  if (DIALECT_RECORDER) await fetch(DIALECT_RECORDER, { method: "POST", body: JSON.stringify(what) });
}

/** Tries one function of the client and tells of it in a line. */
export async function line(what, run) {
  await tellRecorder({ name: `${client} ${what}` });
  try {
    await run();
    console.log(`ok      ${client}  ${what}`);
  } catch (error) {
    console.log(`FAILED  ${client}  ${what}\n${error.stack}\n${JSON.stringify(error.errors ?? null)}`);
    process.exitCode = 1;
  }
}

/** Registers a secret: nothing that the server writes may hold it, and recordings give it a name. */
export async function secret(text, kind = "token") {
  if (TRIAL_CANARY) appendFileSync(`${TRIAL_CANARY}/secrets`, `${text}\n`);
  await tellRecorder({ secret: text, kind });
  return text;
}

/** A client that shows this token. */
export const shows = (token) => createDirectus(url).with(staticToken(token)).with(rest());

/** A client that shows nothing. */
export const nobody = () => createDirectus(url).with(rest());

/** The administrator's client. */
export const admin = shows(ROOT_KEY);

/** A token as the Data Studio makes one: the server only lends its dice. */
export const freshToken = async () => secret(await nobody().request(randomString()));

let people = 0;

/** An address that nobody has, in any of the programs. */
export const address = () => `person.${(people += 1)}.${program}@example.org`;

/** The id of the role of this name. */
export async function role(name) {
  const [found] = await admin.request(readRoles({ filter: { name: { _eq: name } }, fields: ["id", "name"] }));
  assert.equal(found.name, name);
  return found.id;
}

await tellRecorder({ name: `${client} ${program}: what it begins with` });
const member = await role("member");

/** A new user who may do what members may. */
export async function person(more = {}) {
  return admin.request(createUser({ email: address(), role: member, first_name: "Ada", ...more }, { fields: ["*"] }));
}

/** A new user with a token. */
export async function holder() {
  const token = await freshToken();
  const user = await person();
  await admin.request(updateUser(user.id, { token }));
  return { ...user, token };
}

/** What the server refuses must be refused like this. */
export async function refused(promise, status, code) {
  const error = await promise.then(
    (answer) => assert.fail(`it was not refused: ${JSON.stringify(answer)}`),
    (error) => error,
  );
  assert.ok(isDirectusError(error), `not an error of Directus' kind: ${error}`);
  assert.deepEqual([error.response.status, error.errors[0].extensions.code], [status, code]);
  return error.errors[0];
}

// What every program of this folder needs: the world that the runner made, a reporter, and people with passwords.
//
// One line of JSON for each function of the client, so that the runner can make its table.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, readFileSync } from "node:fs";
import {
  createDirectus,
  createUser,
  graphql,
  isDirectusError,
  randomString,
  readRoles,
  rest,
  staticToken,
} from "@directus/sdk";

export { assert };

/** Where Keyholt speaks Directus, its administrator's `token`, `email` and `password`, and a file for `secrets`. */
export const world = JSON.parse(readFileSync(process.env.TRIAL_WORLD, "utf8"));

const installed = new URL("../package.json", import.meta.resolve("@directus/sdk"));
const { version } = JSON.parse(readFileSync(installed, "utf8"));

/** What ten asterisks stand for: there is a token, and nobody is told it. */
export const MASK = "**********";

/** Runs one step and tells what came of it. */
export async function step(name, run) {
  let failure = null;
  try {
    await run();
  } catch (error) {
    failure = `${error.name}: ${error.message}${error.errors ? ` ${JSON.stringify(error.errors)}` : ""}`;
    process.exitCode = 1;
  }
  console.log(JSON.stringify({ client: "@directus/sdk", version, step: name, failure }));
}

/** Tells the runner of a secret: nothing that the server writes may hold it. */
export function secret(text) {
  appendFileSync(world.secrets, `${text}\n`);
  return text;
}

/** A client that shows this token. */
export const shows = (token) => createDirectus(world.url).with(staticToken(token)).with(rest()).with(graphql());

/** A client that shows nothing. */
export const nobody = () => createDirectus(world.url).with(rest());

/** A token as the Data Studio makes one: the server only lends its dice. */
export async function freshToken() {
  return secret(await nobody().request(randomString()));
}

/** A word that nobody used before. */
export const fresh = (word) => `${word}-${randomBytes(6).toString("hex")}`;

/** A client of the administrator. */
export const administrator = async () => shows(world.token);

/** The id of the role of this name. */
export async function role(admin, name) {
  const [found] = await admin.request(readRoles({ filter: { name: { _eq: name } }, fields: ["id", "name"] }));
  assert.equal(found.name, name);
  return found.id;
}

/** A new user who may do what members may, with a password that we know. */
export async function person(admin, more = {}) {
  const password = secret(`${randomBytes(12).toString("base64url")} and a horse`);
  const email = `${fresh("person")}@example.org`;
  const user = await admin.request(
    createUser({ email, password, role: await role(admin, "member"), first_name: "Ada", ...more }, { fields: ["*"] }),
  );
  return { ...user, email, password };
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

// One line for each function of a client, and what all programs here start from.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export { assert };

/** What the runner made for these programs: where Keyholt is, the project, its keys, people with passwords. */
export const world = JSON.parse(readFileSync(process.env.TRIAL_WORLD, "utf8"));

/** The options that every app needs. */
export const connection = {
  baseUrl: world.url,
  projectId: world.project,
  publishableClientKey: world.publishable_client_key,
  analytics: { enabled: false },
  devTool: false,
};

/** The options of an app that runs on a server. */
export const server = { ...connection, secretServerKey: world.secret_server_key, tokenStore: "memory" };

/** Tells the recorder between the client and Keyholt, where there is one, how to go on. */
async function tellRecorder(what) {
  const { DIALECT_RECORDER } = process.env;
  if (DIALECT_RECORDER) await fetch(DIALECT_RECORDER, { method: "POST", body: JSON.stringify(what) });
}

/** A reporter of what one client does. The steps of a program go on from each other, so the first failure ends it. */
export function client(name) {
  return async (step, run) => {
    // Whom it has signed in, the SDK asks by itself, once or twice.
    await tellRecorder({ name: `${name} ${step}`, by_itself: "GET /api/v1/users/me" });
    try {
      await run();
    } catch (error) {
      console.log(`FAILED ${name}: ${step}`);
      throw error;
    }
    console.log(`ok     ${name}: ${step}`);
  };
}

/** The instant so many days from now. */
export const inDays = (days) => new Date(Date.now() + days * 24 * 60 * 60 * 1000);

/** Tells the runner a secret that was made here, so that it can be searched for in what the server leaves behind. */
export const made = (secret) => console.log(`secret ${secret}`) ?? secret;

/** Asks until the answer is the awaited one; the clock of the server decides when. How often it was asked is not recorded. */
export async function eventually(ask, isAwaited) {
  await tellRecorder({ pause: true });
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    const answer = await ask();
    if (isAwaited(answer)) {
      await tellRecorder({ pause: false });
      return answer;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return assert.fail("the awaited answer did not come within 20 s");
}

// What these clients keep running (timers, an observer of visibility) must not keep the program alive.
process.on("unhandledRejection", (error) => {
  console.error(error);
  process.exit(1);
});

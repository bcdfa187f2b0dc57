// An API that asks Stack Auth's server (here: Keyholt) whose key it was shown, and a client that shows one.
import { once } from "node:events";
import { createServer } from "node:http";
import { StackServerApp } from "@stackframe/js";

const stackServerApp = new StackServerApp({ tokenStore: "memory" });

const api = createServer(async (request, response) => {
  const apiKey = request.headers["x-api-key"];
  const user = apiKey ? await stackServerApp.getUser({ apiKey }) : null;
  response.writeHead(user ? 200 : 401, { "content-type": "application/json" });
  response.end(JSON.stringify(user ? { hello: user.displayName } : { error: "no valid API key" }));
});
await once(api.listen(0, "127.0.0.1"), "listening");

const ask = async (headers) => {
  const answer = await fetch(`http://127.0.0.1:${api.address().port}/`, { headers });
  console.log(answer.status, await answer.text());
  return answer.status;
};

const user = await stackServerApp.getUser(process.env.USER_ID);
const apiKey = await user.createApiKey({ description: "for the guarded API", expiresAt: null });
const statuses = [await ask({}), await ask({ "x-api-key": apiKey.value })];
await apiKey.revoke();
statuses.push(await ask({ "x-api-key": apiKey.value }));
process.exit(statuses.join() === "401,200,401" ? 0 : 1);

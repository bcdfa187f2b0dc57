// A weather API that takes its key as `?key=`, and asks Keyholt whether that key may have the weather.
import { once } from "node:events";
import { createServer } from "node:http";

const { KEYHOLT_URL, KEYHOLT_KEY, PORT = "0" } = process.env;

/** What Keyholt says of a key that somebody showed. */
async function verify(credential) {
  const answer = await fetch(`${KEYHOLT_URL}/v1/verify`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEYHOLT_KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ credential, scopes: ["weather:read"] }),
    signal: AbortSignal.timeout(2000),
  });
  // Every verdict is a 200. Whatever else comes is about this service, and no reason to refuse a key.
  if (answer.status !== 200) throw new Error(`cannot know: ${answer.status}`);
  return answer.json();
}

const api = createServer(async (request, response) => {
  const { searchParams } = new URL(request.url, "http://localhost");
  const say = (status, body) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  try {
    const { valid, code } = await verify(searchParams.get("key") ?? "");
    // A good key that may not do this is told so; everything else about a key is told alike.
    if (valid) say(200, { location: searchParams.get("q"), temp_c: 11 });
    else say(code === "insufficient_scope" ? 403 : 401, { error: "this key does not open the weather" });
  } catch (error) {
    console.error(error.message);
    say(503, { error: "ask again" });
  }
});
await once(api.listen(Number(PORT), "127.0.0.1"), "listening");
console.log(`http://127.0.0.1:${api.address().port}`);

// Your own data behind Keyholt's tokens: answers /items/articles for whoever Keyholt knows, and passes all else on to it.
//
//   export KEYHOLT_DIRECTUS=http://127.0.0.1:7311/directus PORT=8055
//   node items.mjs
//
// A client of Directus that is pointed at this program finds users, tokens and items in one place, as before.
import { createServer } from "node:http";

const keyholt = process.env.KEYHOLT_DIRECTUS;
const articles = [
  { id: 1, title: "What are static tokens?" },
  { id: 2, title: "A key for the mail carrier" },
];

async function ask(path, request, body) {
  const headers = { ...request.headers };
  for (const name of ["host", "connection", "content-length", "transfer-encoding"]) delete headers[name];
  return fetch(keyholt + path, { method: request.method, headers, body: body.length ? body : undefined });
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  if (request.method === "GET" && request.url.startsWith("/items/articles")) {
    // The token's standing is asked for every time: a suspended user's stops at once.
    const me = await ask("/users/me?fields=id", request, Buffer.alloc(0));
    response.writeHead(me.status, { "Content-Type": "application/json" });
    response.end(me.ok ? JSON.stringify({ data: articles }) : await me.text());
    return;
  }
  const answer = await ask(request.url, request, Buffer.concat(chunks));
  const type = answer.headers.get("content-type");
  response.writeHead(answer.status, type ? { "Content-Type": type } : {});
  response.end(Buffer.from(await answer.arrayBuffer()));
});

server.listen(Number(process.env.PORT ?? 8055), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});

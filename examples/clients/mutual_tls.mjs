// fetch over mutual TLS: Node's own shows no client certificate, node:https does.
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";

const agent = new Agent({
  ca: readFileSync("certs/ca.crt"),
  cert: readFileSync("certs/X26ABC1.crt"),
  key: readFileSync("certs/X26ABC1.key"),
});

export function fetch(url, { method, headers, body }) {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent, method, headers }, async (incoming) => {
      const received = Buffer.concat(await incoming.toArray());
      resolve(new Response(received, { status: incoming.statusCode, headers: incoming.headers }));
    });
    outgoing.on("error", reject).end(body);
  });
}

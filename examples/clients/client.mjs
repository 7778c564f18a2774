// Sends a message over MESH, then receives it as its recipient. Node 18 or newer, no packages.
// MESH_URL says where; over https it shows certs/X26ABC1.crt (see mutual_tls.mjs).
import { createHmac, randomUUID } from "node:crypto";

const url = process.env.MESH_URL ?? "http://127.0.0.1:8700";
const { fetch } = url.startsWith("https:") ? await import("./mutual_tls.mjs") : globalThis;

function token({ id, password, sharedKey }) {
  const nonce = randomUUID();
  const minute = new Date().toISOString().replace(/\D/g, "").slice(0, 12); // UTC
  const signed = `${id}:${nonce}:0:${password}:${minute}`;
  const hash = createHmac("sha256", sharedKey).update(signed).digest("hex");
  return `NHSMESH ${id}:${nonce}:0:${minute}:${hash}`;
}

async function call(mailbox, method, path, headers = {}, body = undefined) {
  const response = await fetch(`${url}/messageexchange/${mailbox.id}${path}`, {
    method,
    headers: { Authorization: token(mailbox), Accept: "application/vnd.mesh.v2+json", ...headers },
    body,
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response;
}

const sender = { id: "X26ABC1", password: "password", sharedKey: "TestKey" };
const recipient = { id: "X26ABC2", password: "password", sharedKey: "TestKey" };

await call(sender, "POST", "", { // the handshake
  "Mex-ClientVersion": "example==1.0",
  "Mex-OSName": process.platform,
  "Mex-OSVersion": process.version,
});
await call(sender, "POST", "/outbox", {
  "Content-Type": "application/octet-stream",
  "Mex-To": recipient.id,
  "Mex-WorkflowID": "TEST_WORKFLOW",
  "Mex-LocalID": "hello-1",
}, "hello");

const inbox = await (await call(recipient, "GET", "/inbox")).json();
for (const messageId of inbox.messages) {
  const message = await call(recipient, "GET", `/inbox/${messageId}`);
  console.log(message.headers.get("Mex-From"), await message.text());
  await call(recipient, "PUT", `/inbox/${messageId}/status/acknowledged`);
}

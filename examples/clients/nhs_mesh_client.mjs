// Sends a message with NHS's npm package nhs-mesh-client, then receives it as its recipient.
// MESH_URL says where; over https it shows certs/X26ABC1.crt.
import { readFileSync } from "node:fs";
import * as mesh from "nhs-mesh-client";

const url = process.env.MESH_URL ?? "http://127.0.0.1:8700";
const tls = url.startsWith("https:") && {
  sandbox: "false", // "true", its default, shows no certificate
  senderCert: readFileSync("certs/X26ABC1.crt"),
  senderKey: readFileSync("certs/X26ABC1.key"),
};
const { senderAgent: agent } = await mesh.loadConfig({
  url,
  logLevel: "ERROR", // "DEBUG", its default, prints tokens and payloads
  ...tls,
});
const account = { url, agent, sharedKey: "TestKey", mailboxPassword: "password" };
const sender = { ...account, mailboxID: "X26ABC1" };
const recipient = { ...account, mailboxID: "X26ABC2" };

async function done(call) {
  const answer = await call;
  if (answer instanceof Error) throw answer; // all but sendMessage return what went wrong
  return answer;
}

await done(mesh.handShake(sender));
await mesh.sendMessage({ ...sender, mailboxTarget: "X26ABC2", workFlowId: "TEST_WORKFLOW", message: "hello" });

const inbox = await done(mesh.getMessageCount(recipient)); // the list of the inbox
for (const messageID of inbox.data.messages) {
  const message = await done(mesh.readMessage({ ...recipient, messageID }));
  console.log(message.headers["mex-from"], message.data);
  await done(mesh.markAsRead({ ...recipient, message: messageID }));
}

// What the witness test asks of a client, done with NHS's npm package nhs-mesh-client:
// for 'mesh-sim witness start --run'.
import { readFile } from "node:fs/promises";
import * as mesh from "nhs-mesh-client";

const wish = process.env;
const url = wish.WITNESS_URL;
const { senderAgent: agent } = await mesh.loadConfig({ url, logLevel: "ERROR" });
const account = {
  url,
  agent,
  mailboxID: wish.WITNESS_MAILBOX,
  mailboxPassword: "password",
  sharedKey: "TestKey",
};

async function done(call) {
  const answer = await call;
  if (answer instanceof Error) throw answer; // all but sendMessage return what went wrong
  return answer;
}

const list = () => done(mesh.getMessageCount(account)); // the list of the inbox

async function send(inChunks) {
  const file = await readFile(wish.WITNESS_FILE);
  const to = { ...account, mailboxTarget: wish.WITNESS_TO };
  if (inChunks) await done(mesh.sendChunkedMessage({ ...to, fileContent: file })); // always compressed
  else await mesh.sendMessage({ ...to, workFlowId: wish.WITNESS_WORKFLOW, message: file });
  await list(); // straight after a send
}

async function collect() {
  let inbox;
  do {
    inbox = await list();
    for (const messageID of inbox.data.messages) await take(messageID);
  } while (inbox.data.links?.next); // a page is 500
}

async function take(messageID) {
  await done(mesh.readMessage({ ...account, messageID }));
  await done(mesh.markAsRead({ ...account, message: messageID }));
}

const actions = {
  send: () => send(false),
  "send-compressed": () => send(true),
  "send-chunked": () => send(true),
  collect,
  download: () => take(wish.WITNESS_MESSAGE_ID),
};

try {
  await done(mesh.handShake(account)); // one a day is enough for a program that goes on running
  await actions[wish.WITNESS_ACTION]();
} catch (error) {
  console.error(`nhs-mesh-client: ${error.message}`); // reported, and not tried again
  process.exitCode = 1;
}

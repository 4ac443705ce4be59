// Two people chat through the official client. Prints a line per step; exits with 1 at the first
// that goes wrong. Given as JSON: the servers, the two people, their chat and the transport.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { Manager } from "socket.io-client";
import { Device, NAMESPACES, PATIENCE } from "./device.mjs";

const MISSED = 25;
const BUFFERED = 40; // engine.io's own limit for one polling body is 16

const { urls, writer, reader, chat_id, transport } = JSON.parse(process.argv[2]);
const author = new Device(urls[0], writer.token, transport);
const friend = new Device(urls[1], reader.token, transport);

const letter = (text) => ({ chat_id, client_ref: randomUUID(), text });
const texts = (told) => told.map(({ data }) => data.text);
const numbered = (word, count) => Array.from({ length: count }, (_, i) => `${word} ${i + 1}`);

async function connects() {
  await Promise.all([author.connect(), friend.connect()]);
  for (const device of [author, friend]) {
    for (const namespace of NAMESPACES) {
      const { data, meta } = await device.hear("stream:ready", { namespace });
      assert.deepEqual(Object.keys(data).sort(), ["epoch", "from", "head", "reset"]);
      assert.equal(data.reset, false);
      assert.equal(data.from, data.head);
      assert.ok(!("seq" in meta));
    }
    const { data } = await device.hear("unread:changed");
    assert.deepEqual(data, { total: 0, chats: [] });
  }
}

async function usesTheTransport() {
  const [first, last] = transport === "upgrade" ? ["polling", "websocket"] : [transport, transport];
  for (const device of [author, friend]) {
    assert.equal(device.openedWith, first);
    await device.until(() => device.transport === last, `an upgrade to ${last}`);
  }
}

async function sends() {
  const sent = await author.ask("message:send", letter("Hello!"));
  assert.deepEqual([sent.seq, sent.sender_id, sent.text], [1, writer.id, "Hello!"]);
  for (const device of [author, friend]) {
    const { data, meta } = await device.hear("message:created");
    assert.deepEqual(data, sent);
    assert.equal(typeof meta.seq, "number");
  }
  const { data } = await friend.hear("unread:changed", { where: ({ total }) => total === 1 });
  assert.deepEqual(data, { total: 1, chats: [{ chat_id, unread: 1 }] });
  await friend.hear("notification:created", { namespace: "/notifications" });
}

async function reads() {
  const read = await friend.ask("message:read", { chat_id, seq: 1 });
  assert.deepEqual(read, { chat_id, seq: 1, unread: 0, total_unread: 0 });
  const ofFriend = ({ user_id }) => user_id === reader.id;
  const toAuthor = await author.hear("message:read", { where: ofFriend });
  const toFriend = await friend.hear("message:read", { where: ofFriend });
  assert.deepEqual([toAuthor.data.seq, toAuthor.data.unread], [1, null]);
  assert.deepEqual([toFriend.data.seq, toFriend.data.unread], [1, 0]);
  const settled = ({ event, data }) => event === "unread:changed" && data.total === 0;
  const isRaised = ({ event, data }) => event === "unread:changed" && data.total === 1;
  const isSettled = () => friend.told.findLastIndex(settled) > friend.told.findIndex(isRaised);
  await friend.until(isSettled, "a count of zero");
  await friend.hear("notification:read", { namespace: "/notifications" });
}

async function edits() {
  const edited = await author.ask("message:edit", { chat_id, seq: 1, text: "Hello, friend!" });
  assert.equal(edited.text, "Hello, friend!");
  assert.deepEqual((await friend.hear("message:edited")).data, edited);
}

async function deletes() {
  const deleted = await author.ask("message:delete", { chat_id, seq: 1 });
  assert.deepEqual([deleted.text, deleted.deleted], ["", true]);
  assert.deepEqual((await friend.hear("message:deleted")).data, deleted);
}

async function types() {
  assert.deepEqual(await friend.ask("typing:set", { chat_id, active: true }), {});
  const { data, meta } = await author.hear("typing");
  assert.deepEqual(data, { chat_id, user_id: reader.id, active: true });
  assert.ok(!("seq" in meta));
}

async function comesBack() {
  friend.disconnect();
  assert.equal(friend.left["/chat"], "io client disconnect");
  const { after } = friend.positions["/chat"];
  const wanted = numbered("missed", MISSED);
  await Promise.all(wanted.map((text) => author.ask("message:send", letter(text))));
  await friend.connect();
  const { data } = await friend.hear("stream:ready");
  assert.deepEqual([data.from, data.head, data.reset], [after, after + MISSED, false]);
  await friend.until(() => friend.pushes().length >= MISSED, `${MISSED} missed messages`);
  await author.ask("message:send", letter("live"));
  await friend.hear("message:created", { where: ({ text }) => text === "live" });
  assert.deepEqual(texts(friend.pushes()), [...wanted, "live"]);
}

async function sendsWhatWasBuffered() {
  friend.disconnect();
  const wanted = numbered("buffered", BUFFERED);
  const answers = wanted.map((text) => friend.ask("message:send", letter(text)));
  await friend.connect();
  assert.deepEqual((await Promise.all(answers)).map(({ text }) => text), wanted);
  await author.hear("message:created", { where: ({ text }) => text === wanted.at(-1) });
  const heard = author.pushes().filter(({ event, data }) =>
    event === "message:created" && data.sender_id === reader.id);
  assert.deepEqual(texts(heard), wanted);
}

async function isRefused() {
  const cases = [
    ["/chat", { token: "nonsense" }, "unauthenticated"],
    ["/chat", undefined, "unauthenticated"],
    ["/chat", { token: writer.token, nonsense: 1 }, "invalid"],
    ["/nowhere", { token: writer.token }, "not_found"],
  ];
  const transports = transport === "upgrade" ? {} : { transports: [transport] };
  for (const [namespace, auth, code] of cases) {
    const manager = new Manager(urls[0], { reconnection: false, ...transports });
    const socket = manager.socket(namespace, { auth });
    const error = await new Promise((done, fail) => {
      socket.on("connect_error", done);
      socket.on("connect", () => fail(new Error(`${namespace} let ${JSON.stringify(auth)} in`)));
      setTimeout(() => fail(new Error(`${namespace} did not answer`)), PATIENCE).unref();
    });
    socket.disconnect();
    assert.deepEqual([error.message, error.data?.code, error.data?.retryable], [code, code, false]);
    assert.equal(typeof error.data.message, "string");
  }
}

async function signsOut() {
  const headers = { Authorization: `Bearer ${reader.token}` };
  // The other server is asked: it is not the one that holds the socket.
  const answer = await fetch(`${urls[0]}/auth/logout`, { method: "POST", headers });
  assert.equal(answer.status, 204);
  for (const namespace of NAMESPACES) {
    await friend.until(() => !friend.sockets[namespace].connected, `leaving ${namespace}`);
    assert.equal(friend.left[namespace], "io server disconnect");
    assert.equal(friend.sockets[namespace].active, false);
  }
  assert.ok(author.sockets["/chat"].connected);
}

async function leaves() {
  author.disconnect();
  assert.equal(author.left["/chat"], "io client disconnect");
}

const STEPS = [
  connects, usesTheTransport, sends, reads, edits, deletes, types, comesBack, usesTheTransport,
  sendsWhatWasBuffered, isRefused, signsOut, leaves,
];

for (const step of STEPS) {
  try {
    await step();
  } catch (error) {
    console.log(`FAILED ${step.name}: ${error.stack}`);
    process.exit(1);
  }
  console.log(`ok ${step.name}`);
}

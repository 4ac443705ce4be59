// The same chat as its community would write it: Socket.IO, the Redis adapter, pg, and one prepared
// statement a message. No log, receipts, outbox or unread counters. Presence is counted in Redis.

import { createServer } from "node:http";

import { createAdapter } from "@socket.io/redis-adapter";
import jwt from "jsonwebtoken";
import pg from "pg";
import { createClient } from "redis";
import { Server } from "socket.io";

const { DATABASE_URL, REDIS_URL, JWT_SECRET_KEY, PORT } = process.env;

const SEND = {
  name: "send",
  text: `
    WITH place AS (
      UPDATE chats SET last_seq = last_seq + 1
      WHERE id = $1 AND $2 = ANY (members)
      RETURNING id, last_seq, members
    ), message AS (
      INSERT INTO messages (chat_id, seq, sender_id, client_ref, text)
      SELECT id, last_seq, $2, $3, $4 FROM place
      RETURNING seq, created_at
    )
    SELECT seq, created_at, members FROM message, place`,
};
const FIND = {
  name: "find",
  text: "SELECT chat_id, seq, text, created_at FROM messages WHERE sender_id = $1 AND client_ref = $2",
};
const UNIQUE_VIOLATION = "23505";

const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 20 });
const publisher = createClient({ url: REDIS_URL });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer((request, response) => response.end("ready"));
const io = new Server(http, { adapter: createAdapter(publisher, subscriber) });
const chat = io.of("/chat");

function authenticate(socket, next) {
  try {
    const claims = jwt.verify(socket.handshake.auth.token, JWT_SECRET_KEY, { algorithms: ["HS256"] });
    socket.data.userId = Number(claims.sub);
    next();
  } catch {
    next(new Error("unauthenticated"));
  }
}

chat.use(authenticate);
io.of("/notifications").use(authenticate);

chat.on("connection", (socket) => {
  socket.join(`user:${socket.data.userId}`);
  socket.on("message:send", async (request, answer) => {
    try {
      answer({ data: await send(socket.data.userId, request) });
    } catch (error) {
      answer({ error: { code: error.code === "not_found" ? "not_found" : "internal" } });
    }
  });
});

async function send(senderId, { chat_id, client_ref, text }) {
  let rows;
  try {
    ({ rows } = await pool.query({ ...SEND, values: [chat_id, senderId, client_ref, text] }));
  } catch (error) {
    if (error.code !== UNIQUE_VIOLATION) throw error;
    const found = await pool.query({ ...FIND, values: [senderId, client_ref] });
    return { sender_id: senderId, client_ref, ...found.rows[0] };
  }
  if (rows.length === 0) throw Object.assign(new Error(), { code: "not_found" });
  const [{ seq, created_at, members }] = rows;
  const message = { chat_id, seq, sender_id: senderId, client_ref, text, created_at };
  chat.to(members.map((id) => `user:${id}`)).emit("message:created", message);
  return message;
}

// Who is there: told to the room of those who watch, the first time and the last time that one of a
// person's sockets, on whichever instance, is there.
const presence = io.of("/presence").use(authenticate);

presence.on("connection", async (socket) => {
  const { userId } = socket.data;
  socket.on("presence:watch", ({ user_ids }, answer) => {
    socket.join(user_ids.map((id) => `watchers:${id}`));
    answer({ data: {} });
  });
  socket.on("disconnect", async () => {
    if ((await publisher.decr(`online:${userId}`)) === 0) tell(userId, false);
  });
  if ((await publisher.incr(`online:${userId}`)) === 1) tell(userId, true);
});

function tell(userId, online) {
  const last_seen_at = online ? null : new Date();
  presence.to(`watchers:${userId}`).emit("presence", { user_id: userId, online, last_seen_at });
}

http.listen(Number(PORT), "127.0.0.1");

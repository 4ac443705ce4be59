"""The same chat as its community would write it: python-socketio, its Redis manager and asyncpg."""

import os
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import jwt
import socketio
import uvloop
from aiohttp import web
from redis.asyncio import Redis

NAMESPACE, PRESENCE = "/chat", "/presence"


def authenticate(auth: dict[str, str]) -> int:
    """Raises: ConnectionRefusedError, as the library knows it."""
    try:
        key = os.environ["JWT_SECRET_KEY"]
        claims = jwt.decode(auth["token"], key, algorithms=["HS256"], options={"verify_aud": False})
    except (KeyError, jwt.InvalidTokenError):
        raise socketio.exceptions.ConnectionRefusedError("unauthenticated") from None
    return int(claims["sub"])


class Chat:
    def __init__(self, sio: Any) -> None:
        self.pool: Any = None
        self._sio = sio
        for namespace in (NAMESPACE, "/notifications"):
            sio.on("connect", partial(self.enter, namespace), namespace=namespace)
        sio.on("message:send", self.send, namespace=NAMESPACE)

    async def enter(self, namespace: str, sid: str, environ: Any, auth: dict[str, str]) -> None:
        user_id = authenticate(auth)
        await self._sio.save_session(sid, {"user_id": user_id}, namespace=namespace)
        await self._sio.enter_room(sid, f"user:{user_id}", namespace=namespace)

    async def send(self, sid: str, request: dict[str, Any]) -> dict[str, Any]:
        session = await self._sio.get_session(sid, namespace=NAMESPACE)
        chat_id, client_ref, text = request["chat_id"], request["client_ref"], request["text"]
        user_id = session["user_id"]
        async with self.pool.acquire() as db:
            members = await db.fetchval("SELECT members FROM chats WHERE id = $1", chat_id)
            if members is None or user_id not in members:
                return {"error": {"code": "not_found"}}
            try:
                async with db.transaction():
                    seq = await db.fetchval(
                        "UPDATE chats SET last_seq = last_seq + 1 WHERE id = $1 RETURNING last_seq",
                        chat_id,
                    )
                    created_at = await db.fetchval(
                        "INSERT INTO messages (chat_id, seq, sender_id, client_ref, text)"
                        " VALUES ($1, $2, $3, $4, $5) RETURNING created_at",
                        chat_id,
                        seq,
                        user_id,
                        client_ref,
                        text,
                    )
            except asyncpg.UniqueViolationError:
                row = await db.fetchrow(
                    "SELECT seq, created_at FROM messages WHERE sender_id = $1 AND client_ref = $2",
                    user_id,
                    client_ref,
                )
                return {"data": {"seq": row["seq"], "created_at": row["created_at"].isoformat()}}
        message = {
            "chat_id": chat_id,
            "seq": seq,
            "sender_id": user_id,
            "client_ref": client_ref,
            "text": text,
            "created_at": created_at.isoformat(),
        }
        rooms = [f"user:{member}" for member in members]
        await self._sio.emit("message:created", message, room=rooms, namespace=NAMESPACE)
        return {"data": message}


class Presence:
    """Told to the room of those who watch, when the first socket of a person comes or the last goes."""

    def __init__(self, sio: Any) -> None:
        self._sio = sio
        self._redis: Any = Redis.from_url(os.environ["REDIS_URL"])
        sio.on("connect", self.enter, namespace=PRESENCE)
        sio.on("disconnect", self.leave, namespace=PRESENCE)
        sio.on("presence:watch", self.watch, namespace=PRESENCE)

    async def enter(self, sid: str, environ: Any, auth: dict[str, str]) -> None:
        user_id = authenticate(auth)
        await self._sio.save_session(sid, {"user_id": user_id}, namespace=PRESENCE)
        if await self._redis.incr(f"online:{user_id}") == 1:
            await self._tell(user_id, online=True)

    async def leave(self, sid: str, reason: str) -> None:
        session = await self._sio.get_session(sid, namespace=PRESENCE)
        if await self._redis.decr(f"online:{session['user_id']}") == 0:
            await self._tell(session["user_id"], online=False)

    async def watch(self, sid: str, request: dict[str, list[int]]) -> dict[str, Any]:
        for user_id in request["user_ids"]:
            await self._sio.enter_room(sid, f"watchers:{user_id}", namespace=PRESENCE)
        return {"data": {}}

    async def _tell(self, user_id: int, *, online: bool) -> None:
        last_seen_at = None if online else datetime.now(UTC).isoformat()
        told = {"user_id": user_id, "online": online, "last_seen_at": last_seen_at}
        room = f"watchers:{user_id}"
        await self._sio.emit("presence", told, room=room, namespace=PRESENCE)


def main() -> None:
    uvloop.install()
    sio = socketio.AsyncServer(
        async_mode="aiohttp", client_manager=socketio.AsyncRedisManager(os.environ["REDIS_URL"])
    )
    chat = Chat(sio)
    Presence(sio)
    app = web.Application()
    sio.attach(app)

    async def open_pool(app: web.Application) -> None:
        chat.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=20, max_size=20)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="ready")

    app.on_startup.append(open_pool)
    app.router.add_get("/health/ready", answer)
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None, access_log=None)


if __name__ == "__main__":
    main()

"""The limit that aiohttp sets: the protocol by hand, and no database."""

import asyncio
import os
from collections import defaultdict

import jwt
import orjson
import uvloop
from aiohttp import WSMsgType, web

OPENING = '0{"sid":"x","upgrades":[],"pingTimeout":20000,"pingInterval":25000,"maxPayload":1000000}'
EVENT = "42/chat,"


class Echo:
    def __init__(self) -> None:
        self._sockets: defaultdict[int, set[web.WebSocketResponse]] = defaultdict(set)
        self._seqs: defaultdict[int, int] = defaultdict(int)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket, user_id = web.WebSocketResponse(compress=False), 0
        await socket.prepare(request)
        await socket.send_str(OPENING)
        async for message in socket:
            data = message.data
            if message.type != WSMsgType.TEXT:
                break
            if data.startswith("40/"):
                namespace, _, auth = data[2:].partition(",")
                token = orjson.loads(auth)["token"]
                key = os.environ["JWT_SECRET_KEY"]
                user_id = int(jwt.decode(token, key, algorithms=["HS256"])["sub"])
                self._sockets[user_id].add(socket)
                await socket.send_str(f'40{namespace},{{"sid":"x"}}')
            elif data.startswith(EVENT):
                await self._answer(socket, user_id, data[len(EVENT) :])
        self._sockets[user_id].discard(socket)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, user_id: int, event: str) -> None:
        ack, _, body = event.partition("[")
        request = orjson.loads("[" + body)[1]
        self._seqs[request["chat_id"]] += 1
        message = {**request, "seq": self._seqs[request["chat_id"]], "sender_id": user_id}
        text = orjson.dumps(message).decode()
        # The people of a couple have neighbouring ids.
        partner = user_id + 1 if user_id % 2 else user_id - 1
        for hearer in (*self._sockets[user_id], *self._sockets[partner]):
            await hearer.send_str(f'{EVENT}["message:created",{text}]')
        await socket.send_str(f'43/chat,{ack}[{{"data":{text}}}]')


async def answer(request: web.Request) -> web.Response:
    return web.Response()


async def main() -> None:
    app = web.Application()
    app.router.add_get("/socket.io/", Echo().serve)
    app.router.add_get("/health/ready", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"])).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())

"""A load balancer without any stickiness: each request goes to the next server, whoever sent it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType, web

MAX_BODY = 2_000_000


class Balancer:
    """`places` may be changed while it runs; `sent` counts the requests for each of them."""

    def __init__(self, places: Sequence[str], session: ClientSession) -> None:
        self.url = ""
        self.places = list(places)
        self.sent = dict.fromkeys(places, 0)
        self._turns = itertools.count()
        self._session = session

    async def handle(self, request: web.Request) -> web.StreamResponse:
        place = self.places[next(self._turns) % len(self.places)]
        self.sent[place] += 1
        try:
            if "upgrade" in request.headers.get("Connection", "").lower():
                return await self._join(request, place)
            async with self._session.request(
                request.method,
                place + str(request.rel_url),
                headers=_without_hop(request),
                data=await request.read(),
            ) as answer:
                kept = {k: v for k, v in answer.headers.items() if k != "Transfer-Encoding"}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except ClientError:
            return web.Response(status=502)

    async def _join(self, request: web.Request, place: str) -> web.WebSocketResponse:
        async with self._session.ws_connect(place + str(request.rel_url)) as there:
            here = web.WebSocketResponse()
            await here.prepare(request)
            pumps = [asyncio.create_task(_pump(*pair)) for pair in ((here, there), (there, here))]
            await asyncio.wait(pumps)
        return here


@asynccontextmanager
async def balance(*places: str) -> AsyncIterator[Balancer]:
    async with ClientSession(auto_decompress=False) as session:
        balancer = Balancer(places, session)
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", balancer.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        balancer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield balancer
        finally:
            await runner.cleanup()


async def _pump(
    source: web.WebSocketResponse | ClientWebSocketResponse,
    target: web.WebSocketResponse | ClientWebSocketResponse,
) -> None:
    async for message in source:
        if message.type == WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await target.send_bytes(message.data)
    await target.close(code=source.close_code or 1000)


def _without_hop(request: web.Request) -> dict[str, str]:
    dropped = ("connection", "transfer-encoding", "content-length")
    return {k: v for k, v in request.headers.items() if k.lower() not in dropped}

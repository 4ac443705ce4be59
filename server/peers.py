"""Any instance, any request: what belongs to another instance's session is forwarded to it.

Behind a plain round robin the requests of one long-polling client, and its move to a websocket,
land anywhere. The session id begins with the name of the instance that holds it.
"""

import asyncio
import contextlib

from aiohttp import (
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    ClientWSTimeout,
    TCPConnector,
    WSCloseCode,
    WSMsgType,
    web,
)
from yarl import URL

from server import metrics
from server.bus import Bus
from server.tasks import end_tasks

NAME_LENGTH = 16
MARK = "Emotrack-Forwarded"
"""Stands in what was forwarded once: that is not sent on again, whatever the peers believe."""

PATIENCE = ClientTimeout(total=60, sock_connect=2)
"""Longer than the longest poll; a peer that died refuses at once."""

CLOSE_TIMEOUT = 2.0

_KEPT = ("Host", "Content-Type", "Origin", "User-Agent", "Accept-Language")
_RETURNED = ("Content-Type", "Vary")

WebSocket = web.WebSocketResponse | ClientWebSocketResponse


class Peers:
    def __init__(self, bus: Bus, max_packet: int) -> None:
        self._bus = bus
        self._max_packet = max_packet
        self._session: ClientSession | None = None
        self._tunnels: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    async def find(self, request: web.Request) -> URL | None:
        """Where the owner of the session answers this request, if that is a living peer."""
        name = request.query.get("sid", "")[:NAME_LENGTH]
        if len(name) < NAME_LENGTH or name == self._bus.name:
            return None
        if self._is_stopped or MARK in request.headers:
            return None
        address = await self._bus.find_peer(name)
        return URL(address).join(request.rel_url) if address else None

    async def forward(self, request: web.Request, url: URL) -> web.Response | None:
        """The owner's answer, or None where there was none."""
        body = request.content if request.body_exists else None
        try:
            async with self._client.request(
                request.method, url, data=body, headers=_pick(request), timeout=PATIENCE
            ) as answer:
                content = await answer.read()
        except (ClientError, TimeoutError, OSError):
            metrics.forwarded.labels("failed").inc()
            return None
        metrics.forwarded.labels("ok").inc()
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name in _RETURNED or name.startswith("Access-Control")
        }
        return web.Response(status=answer.status, body=content, headers=headers)

    async def end(self, url: URL, close: str) -> None:
        """Let the owner end the session: what it answered did not reach the client."""
        with contextlib.suppress(ClientError, TimeoutError, OSError):
            await self._client.post(url, data=close, headers={MARK: "1"}, timeout=PATIENCE)

    async def tunnel(self, request: web.Request, url: URL) -> web.StreamResponse | None:
        """Join the client's websocket to one with the owner; None where that was refused."""
        try:
            there = await self._client.ws_connect(
                url,
                headers=_pick(request),
                autoping=False,
                max_msg_size=0,
                timeout=ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
            )
        except (ClientError, TimeoutError, OSError):
            metrics.forwarded.labels("failed").inc()
            return None
        metrics.forwarded.labels("tunnel").inc()
        here = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=self._max_packet, timeout=CLOSE_TIMEOUT
        )
        try:
            await here.prepare(request)
        except ConnectionError:
            await there.close()
            return web.Response(status=400)
        pumps = [asyncio.create_task(_pump(here, there)), asyncio.create_task(_pump(there, here))]
        self._tunnels.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_tasks(pumps)
            self._tunnels.difference_update(pumps)
            await there.close()
            await here.close()
        return here

    async def stop(self) -> None:
        """Let go of what is forwarded: those clients begin a new session elsewhere."""
        self._is_stopped = True
        await end_tasks(self._tunnels)
        if self._session is not None:
            await self._session.close()

    @property
    def _client(self) -> ClientSession:
        if self._session is None:
            # As many as there are clients, whom the gate counts: polls wait long, and for each other
            # they must not.
            self._session = ClientSession(connector=TCPConnector(limit=0), auto_decompress=False)
        return self._session


async def _pump(source: WebSocket, target: WebSocket) -> None:
    with contextlib.suppress(ConnectionError, TimeoutError):
        while True:
            message = await source.receive()
            if message.type == WSMsgType.TEXT:
                await target.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await target.send_bytes(message.data)
            elif message.type == WSMsgType.CLOSE:
                await target.close(code=message.data, message=(message.extra or "").encode())
                return
            else:
                await target.close(code=WSCloseCode.GOING_AWAY)
                return


def _pick(request: web.Request) -> dict[str, str]:
    kept = {name: request.headers[name] for name in _KEPT if name in request.headers}
    return kept | {MARK: "1"}

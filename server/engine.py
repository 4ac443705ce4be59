"""Engine.IO over aiohttp: the library's protocol, with bounds, reasons and no silent losses.

Of python-engineio the handshake, origins, pings and upgrades are used as they are. Replaced are its
sessions (`wire.py`), and the polling GET, which forgets packets of a lost response.
`tests/server/test_engine.py` fails when one of the private seams used here moves.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Protocol

import engineio
from aiohttp import web
from engineio.packet import CLOSE, OPEN
from orjson import dumps
from yarl import URL

from server.bus import Bus
from server.errors import Error, Invalid, Unauthenticated
from server.frames import Frame
from server.inbox import MAX_PACKET, open_socket
from server.peers import Peers
from server.sending import Flusher, Held
from server.wire import PING_INTERVAL, PING_TIMEOUT, Wire

_silent = logging.getLogger("emotrack.engineio")
"""The library's own messages repeat what clients send."""
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
_silent.setLevel(logging.CRITICAL + 1)


class Owner(Protocol):
    """Whom the sessions belong to."""

    async def let_in(self, request: web.Request) -> Error | None:
        """Whether there may be one more."""

    def opened(self, wire: Wire, request: web.Request) -> None: ...

    def receive(self, sid: str, data: str | bytes) -> None:
        """A message; never waits, nor raises."""

    def closed(self, sid: str) -> None: ...


class Engine(engineio.AsyncServer):  # type: ignore[misc]  # the library is untyped
    """The Engine.IO server: hands out connections and disconnections, and every message at once."""

    sockets: dict[str, Wire]
    start_service_task: bool

    def __init__(
        self,
        origins: tuple[str, ...],
        bus: Bus,
        owner: Owner,
    ) -> None:
        super().__init__(
            async_mode="aiohttp",
            async_handlers=False,
            cors_allowed_origins="*" if "*" in origins else list(origins) or None,
            http_compression=False,
            logger=_silent,
            max_http_buffer_size=MAX_PACKET,
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_TIMEOUT,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._bus = bus
        self._peers = Peers(bus, MAX_PACKET)
        self.owner = owner
        self.flusher = Flusher()

    def generate_id(self) -> str:
        """Names this instance first: any other one knows whose the session is."""
        return f"{self._bus.name}{super().generate_id()}"

    def _cors_allowed_origins(self, environ: dict[str, Any]) -> list[str] | None:
        """As in the library, which without configured origins believes X-Forwarded-Host."""
        if self.cors_allowed_origins is not None:
            allowed: list[str] | None = super()._cors_allowed_origins(environ)
            return allowed
        host = environ.get("HTTP_HOST", "")
        return [f"https://{host}", f"http://{host}"]

    def create_queue(self, *args: Any, **kwargs: Any) -> Held:
        return Held()

    def later(self, work: Any) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        if (refused := await self._turn_away(request)) is not None:
            return refused
        if self._opens_websocket(request):
            return await self._serve_websocket(request)
        wire = self.sockets.get(request.query.get("sid", ""))
        if wire is None and (owner := await self._peers.find(request)) is not None:
            return await self._forward(request, owner)
        if wire is None or _wants_websocket(request):
            return await self._answer(request)
        if request.method == "POST":
            return await self._answer_post(request, wire)
        return await self._answer_poll(request, wire)

    async def _turn_away(self, request: web.Request) -> web.Response | None:
        """What costs nothing yet: impossible requests, and more sessions than there may be."""
        error: Error | None = None
        if "token" in request.query:
            # Query strings end up in logs and histories.
            error = Unauthenticated()
        elif len(request.query.getall("sid", [])) > 1 or request.query.get("sid") == "":
            # The library and we would read two sessions, or none, from it.
            return refusal(400, Invalid().json())
        elif "sid" not in request.query and request.method == "GET":
            error = await self.owner.let_in(request)
        return None if error is None else refusal(error.status, error.json())

    def _opens_websocket(self, request: web.Request) -> bool:
        """Whether it asks for a session without any polling, and may have it.

        Why another may not, the library says.
        """
        query = request.query
        if "sid" in query or query.get("transport") != "websocket" or not _wants_websocket(request):
            return False
        if query.getall("EIO", []) != ["4"]:
            return False
        origin = request.headers.get("Origin")
        if origin is None:
            return True
        allowed = self._cors_allowed_origins({"HTTP_HOST": request.headers.get("Host", "")})
        return allowed is None or origin in allowed

    async def _serve_websocket(self, request: web.Request) -> web.StreamResponse:
        """Without the library, whose way from here costs more than all of ours."""
        sid = self.generate_id()
        socket = await open_socket(request, _describe(sid, upgrades=[]))
        if socket is None:
            return web.Response(status=400)
        wire = self._open(request, sid)
        wire.flow(request, socket)
        await wire.serve(socket)
        return socket

    async def _forward(self, request: web.Request, owner: URL) -> web.StreamResponse:
        response: web.StreamResponse | None
        if _wants_websocket(request):
            response = await self._peers.tunnel(request, owner)
        else:
            response = await self._peers.forward(request, owner)
            if response is not None and not await _deliver(request, response):
                await self._peers.end(owner, str(CLOSE))
        # The library's refusal of an unknown session: the client begins a new one.
        return response if response is not None else await self._answer(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        response: web.StreamResponse = await super().handle_request(request)
        return response

    async def _answer_post(self, request: web.Request, wire: Wire) -> web.StreamResponse:
        response = await self._answer(request)
        return response if wire.refusal is None else self._explain(wire, response.headers)

    def _explain(self, wire: Wire, headers: Any) -> web.Response:
        reason = Invalid.of("", wire.refusal or "", "The connection was closed.")
        return refusal(400, reason.json(), headers)

    async def _answer_poll(self, request: web.Request, wire: Wire) -> web.StreamResponse:
        """A response that did not reach the client ends the session: it comes back with `after`."""
        if wire.polling:
            # The client gave up on its last poll; what that one took may be lost.
            wire.refuse("overlapping_polls")
            return self._explain(wire, {})
        mark = request.query.get("t")
        if mark is not None and mark == wire.last_poll:
            # Browsers and HTTP libraries repeat a GET by themselves when its response is cut off.
            wire.refuse("repeated_poll")
            return self._explain(wire, {})
        wire.last_poll = mark
        wire.polling = True
        try:
            response = await self._answer(request)
            if wire.refusal is not None and _holds_only_close(response):
                response = self._explain(wire, response.headers)
            if not await _deliver(request, response):
                await wire.close(reason=self.reason.TRANSPORT_ERROR)
        finally:
            wire.polling = False
        return response

    async def _handle_connect(
        self, environ: dict[str, Any], transport: str, jsonp_index: int | None = None
    ) -> Any:
        """As in the library, for clients that poll, and with a Wire for a socket."""
        sid = self.generate_id()
        wire = self._open(environ["aiohttp.request"], sid)
        wire.post(_describe(sid, upgrades=self._upgrades(sid, transport)))
        wire.connected = True
        return self._ok(await wire.poll(), jsonp_index=jsonp_index)

    def _open(self, request: web.Request, sid: str) -> Wire:
        if self.start_service_task:
            self.start_service_task = False
            self.service_task_handle = self.start_background_task(self._service_task)
        self.sockets[sid] = wire = Wire(self, sid)
        self.owner.opened(wire, request)
        wire.schedule_ping()
        return wire

    async def stop(self) -> None:
        await self._peers.stop()
        for wire in list(self.sockets.values()):
            await wire.close(reason=self.reason.SERVER_DISCONNECT)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.shutdown()


def _describe(sid: str, upgrades: Sequence[str]) -> Frame:
    """What a session begins with."""
    opening = {
        "sid": sid,
        "upgrades": upgrades,
        "pingTimeout": PING_TIMEOUT * 1000,
        "pingInterval": PING_INTERVAL * 1000,
        "maxPayload": MAX_PACKET,
    }
    return Frame(f"{OPEN}{dumps(opening).decode()}")


def _wants_websocket(request: web.Request) -> bool:
    return "websocket" in request.headers.get("Upgrade", "").lower()


def refusal(status: int, body: str, headers: Any = None) -> web.Response:
    kept = {k: v for k, v in (headers or {}).items() if k.startswith("Access-Control")}
    return web.Response(
        status=status,
        text=f'{{"error":{body}}}',
        content_type="application/json",
        headers=kept,
    )


def _holds_only_close(response: web.StreamResponse) -> bool:
    return isinstance(response, web.Response) and response.body == str(CLOSE).encode()


async def _deliver(request: web.Request, response: web.StreamResponse) -> bool:
    """Write a response to its end; whether the connection was there to take it."""
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write_eof()
    return request.transport is not None and not request.transport.is_closing()

"""Engine.IO over aiohttp: the library's protocol, with bounds, reasons and no silent losses.

Of python-engineio the handshake, origins, pings and upgrades are used as they are. Replaced are
the pieces that lose packets or hold memory: the outgoing queue (unbounded there), the websocket
loop (compresses, and leaves ghosts behind malformed frames), the polling POST (drops a body of
more than 16 packets and answers 200) and the polling GET (forgets packets of a lost response).
`tests/server/test_engine.py` fails when one of the private seams used here moves.
"""

import asyncio
import base64
import binascii
import contextlib
import logging
from typing import Any

import engineio
from aiohttp import WSMsgType, web
from engineio.async_socket import AsyncSocket
from engineio.exceptions import QueueEmpty
from engineio.packet import CLOSE, MESSAGE, NOOP, OPEN, PING, PONG, UPGRADE, Packet

from server import metrics
from server.errors import Invalid, Unauthenticated

MAX_PACKET = 1_000_000
"""Characters in one packet, or in the body of one polling POST."""

MAX_POST_PACKETS = 10_000
MAX_POLL_PACKETS = 16
"""More in one response and the official Python client drops them all."""

MAX_QUEUED_PACKETS = 20_000
MAX_QUEUED = 4_000_000
"""Characters waiting for one client; who reads slower than that is cut off and comes back."""

PING_INTERVAL = 25
PING_TIMEOUT = 20
PROBE_TIMEOUT = 10
CLOSE_TIMEOUT = 2
POLICY_VIOLATION = 1008

_TEXT_MESSAGE, _PONG, _CLOSE = str(MESSAGE), str(PONG), str(CLOSE)

_silent = logging.getLogger("emotrack.engineio")
"""The library's own messages repeat what clients send."""
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
_silent.setLevel(logging.CRITICAL + 1)


class Outbox(asyncio.Queue[Packet | None]):
    """Packets that wait for one client, bounded in number and size. None ends it."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def is_full(self) -> bool:
        return self.qsize() >= MAX_QUEUED_PACKETS or self.size >= MAX_QUEUED

    @property
    def is_half_full(self) -> bool:
        return 2 * self.qsize() >= MAX_QUEUED_PACKETS or 2 * self.size >= MAX_QUEUED

    async def drained(self) -> None:
        """Wait until nothing is left to send."""
        await self._drained.wait()

    def _put(self, item: Packet | None) -> None:
        super()._put(item)
        self.size += _size(item)
        if item is not None:
            self._drained.clear()

    def _get(self) -> Packet | None:
        item: Packet | None = super()._get()
        self.size -= _size(item)
        if self.empty():
            self._drained.set()
        return item


class Wire(AsyncSocket):  # type: ignore[misc]  # the library is untyped
    """One Engine.IO session."""

    queue: Outbox
    connected: bool
    upgrading: bool
    upgraded: bool
    closing: bool
    closed: bool

    def __init__(self, server: "Engine", sid: str) -> None:
        super().__init__(server, sid)
        self.refusal: str | None = None
        self.polling = False
        self._request: web.Request | None = None

    def post(self, packet: Packet, *, may_be_dropped: bool = False) -> None:
        """Queue a packet; a client that does not read is cut off."""
        if self.closing or self.closed:
            return
        if may_be_dropped and self.queue.is_half_full:
            return
        if self.queue.is_full:
            self.refuse("too_slow")
            self.abort()
            return
        self.queue.put_nowait(packet)

    def refuse(self, reason: str) -> None:
        """Close the connection and say why: in the websocket's close frame, or in a 400."""
        if self.closing or self.closed or self.refusal is not None:
            return
        self.refusal = reason
        metrics.refused.labels(reason).inc()
        self.server.later(self.close(reason=reason))

    def abort(self) -> None:
        if self._request is not None and self._request.transport is not None:
            self._request.transport.abort()

    async def close(self, wait: bool = False, abort: bool = False, reason: Any = None) -> None:
        """End the session once what is queued has been sent; never waits for the client."""
        if self.closing or self.closed:
            return
        self.closing = True
        await self.server.trigger("disconnect", self.sid, reason)
        self.queue.put_nowait(Packet(CLOSE))
        self.queue.put_nowait(None)
        self.server.later(self._forget())

    async def _forget(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.queue.drained(), CLOSE_TIMEOUT)
        self.closed = True
        self.server.sockets.pop(self.sid, None)
        if self.upgraded:
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.abort)

    async def take(self, data: str | bytes) -> bool:
        """One packet from the client, in either transport; False if it ended the session."""
        if isinstance(data, bytes):
            await self._message(data)
        elif data[:1] == _TEXT_MESSAGE and data[1:2].isdigit():
            await self._message(data[1:])
        elif data == _PONG:
            self.schedule_ping()
        elif data == _CLOSE:
            await self.close(reason=self.server.reason.CLIENT_DISCONNECT)
        else:
            self.refuse("malformed_packet")
        return self.refusal is None and not (self.closing or self.closed)

    async def _message(self, data: str | bytes) -> None:
        await self.server.trigger("message", self.sid, data)

    # -- Polling --

    async def poll(self) -> list[Packet]:
        try:
            async with asyncio.timeout(PING_INTERVAL + PING_TIMEOUT):
                packet = await self.queue.get()
        except TimeoutError:
            raise QueueEmpty from None
        packets: list[Packet] = []
        while packet is not None:
            packets.append(packet)
            if len(packets) == MAX_POLL_PACKETS or self.queue.empty():
                return packets
            packet = self.queue.get_nowait()
        self.queue.put_nowait(None)
        return packets or [Packet(CLOSE)]

    async def handle_post_request(self, environ: dict[str, Any]) -> None:
        body = await _read_body(environ["aiohttp.request"])
        if body is None:
            self.refuse("too_large")
            return
        packets = body.split("\x1e")
        if len(packets) > MAX_POST_PACKETS:
            self.refuse("too_many_packets")
            return
        for packet in packets:
            data = _decode_base64(packet[1:]) if packet.startswith("b") else packet
            if data is None:
                self.refuse("malformed_packet")
                return
            if not await self.take(data):
                return

    # -- WebSocket --

    async def _upgrade_websocket(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        request: web.Request = environ["aiohttp.request"]
        socket = web.WebSocketResponse(
            max_msg_size=MAX_PACKET, compress=False, timeout=CLOSE_TIMEOUT
        )
        await socket.prepare(request)
        if self.connected and not await self._probe(socket):
            await socket.close()
            return socket
        self._request = request
        self.connected = self.upgraded = True
        self.upgrading = False
        writer = asyncio.create_task(self._write(socket))
        try:
            await self._read(socket)
        finally:
            await self.close(reason=self.server.reason.TRANSPORT_CLOSE)
            await writer
        return socket

    async def _probe(self, socket: web.WebSocketResponse) -> bool:
        """The client asks whether the websocket works, then moves over; polling stays till then."""
        if self.upgrading or self.upgraded:
            return False
        self.upgrading = True
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                if (await socket.receive()).data != f"{PING}probe":
                    return False
                await socket.send_str(f"{PONG}probe")
                self.queue.put_nowait(Packet(NOOP))
                return bool((await socket.receive()).data == str(UPGRADE))
        except (TimeoutError, ConnectionError):
            return False
        finally:
            self.upgrading = False

    async def _read(self, socket: web.WebSocketResponse) -> None:
        while True:
            message = await socket.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            if not await self.take(message.data):
                return

    async def _write(self, socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            while (packet := await self.queue.get()) is not None:
                if packet.packet_type != CLOSE:
                    await socket.send_str(packet.encode())
            if self.refusal is None:
                await socket.close()
            else:
                await socket.close(code=POLICY_VIOLATION, message=self.refusal.encode())
        while not self.queue.empty():
            self.queue.get_nowait()


class Engine(engineio.AsyncServer):  # type: ignore[misc]  # the library is untyped
    """The Engine.IO server: hands out connections, messages and disconnections."""

    sockets: dict[str, Wire]
    start_service_task: bool

    def __init__(self, origins: tuple[str, ...]) -> None:
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

    def create_queue(self, *args: Any, **kwargs: Any) -> Outbox:
        return Outbox()

    async def trigger(self, event: str, *args: Any) -> None:
        await self._trigger_event(event, *args, run_async=False)

    def later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        if "token" in request.query:
            # Query strings end up in logs and histories.
            return refusal(Unauthenticated().status, Unauthenticated().json())
        wire = self.sockets.get(request.query.get("sid", ""))
        if "websocket" in request.headers.get("Upgrade", "").lower():
            if not web.WebSocketResponse().can_prepare(request):
                return refusal(400, Invalid().json())
            return await self._answer(request)
        if wire is None:
            return await self._answer(request)
        if request.method == "POST":
            return await self._answer_post(request, wire)
        return await self._answer_poll(request, wire)

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
        wire.polling = True
        try:
            response = await self._answer(request)
            with contextlib.suppress(ConnectionError):
                await response.prepare(request)
                await response.write_eof()
            if request.transport is None or request.transport.is_closing():
                await wire.close(reason=self.reason.TRANSPORT_ERROR)
        finally:
            wire.polling = False
        return response

    async def _handle_connect(
        self, environ: dict[str, Any], transport: str, jsonp_index: int | None = None
    ) -> Any:
        """As in the library, but with a Wire for a socket."""
        if self.start_service_task:
            self.start_service_task = False
            self.service_task_handle = self.start_background_task(self._service_task)
        sid = self.generate_id()
        wire = Wire(self, sid)
        self.sockets[sid] = wire
        opening = {
            "sid": sid,
            "upgrades": self._upgrades(sid, transport),
            "pingTimeout": PING_TIMEOUT * 1000,
            "pingInterval": PING_INTERVAL * 1000,
            "maxPayload": MAX_PACKET,
        }
        wire.post(Packet(OPEN, opening))
        await self.trigger("connect", sid, environ)
        wire.schedule_ping()
        if transport == "websocket":
            return await wire.handle_get_request(environ)
        wire.connected = True
        return self._ok(await wire.poll(), jsonp_index=jsonp_index)

    async def stop(self) -> None:
        for wire in list(self.sockets.values()):
            await wire.close(reason=self.reason.SERVER_DISCONNECT)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.shutdown()


def refusal(status: int, body: str, headers: Any = None) -> web.Response:
    kept = {k: v for k, v in (headers or {}).items() if k.startswith("Access-Control")}
    return web.Response(
        status=status,
        text=f'{{"error":{body}}}',
        content_type="application/json",
        headers=kept,
    )


async def _read_body(request: web.Request) -> str | None:
    """The body as text, or None when it is larger than one packet may be."""
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_chunked(65_536):
        size += len(part)
        if size > MAX_PACKET:
            return None
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


def _decode_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _size(packet: Packet | None) -> int:
    return len(packet.data) if packet is not None and isinstance(packet.data, str) else 16

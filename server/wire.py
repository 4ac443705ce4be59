"""One Engine.IO session: a bounded queue outwards, websocket or polling inwards, reasons at the end.

Replaced here are the pieces of python-engineio that lose packets or hold memory: the outgoing queue
(unbounded there), the websocket loop (compresses, and leaves ghosts behind malformed frames) and
the polling POST (drops a body of more than 16 packets and answers 200).
"""

import asyncio
import base64
import binascii
import contextlib
import itertools
import time
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from engineio.async_socket import AsyncSocket
from engineio.exceptions import QueueEmpty
from engineio.packet import CLOSE, MESSAGE, NOOP, PING, PONG, UPGRADE, Packet

from server import metrics

if TYPE_CHECKING:
    from server.engine import Engine

MAX_PACKET = 1_000_000
"""Characters in one packet, or in the body of one polling POST."""

MAX_POST_PACKETS = 10_000
MAX_POLL_PACKETS = 16
"""More in one response and the official Python client drops them all."""

MAX_QUEUED_PACKETS = 20_000
MAX_QUEUED = 4_000_000
"""Characters waiting for one client; who reads slower than that is cut off and comes back."""

PACKETS_AT_ONCE = 32

PING_INTERVAL = 25
PING_TIMEOUT = 20
PROBE_TIMEOUT = 10
CLOSE_TIMEOUT = 2
POLICY_VIOLATION = 1008
SERVICE_RESTART = 1012
NOBODYS_FAULT = ("draining", "epoch_changed")

_TEXT_MESSAGE, _PONG, _CLOSE = str(MESSAGE), str(PONG), str(CLOSE)


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
    last_ping: float | None
    connected: bool
    upgrading: bool
    upgraded: bool
    closing: bool
    closed: bool

    def __init__(self, server: "Engine", sid: str) -> None:
        super().__init__(server, sid)
        self.refusal: str | None = None
        self.polling = False
        self.last_poll: str | None = None
        self._request: web.Request | None = None
        self._next_ping: asyncio.TimerHandle | None = None

    def schedule_ping(self) -> None:
        """As in the library, whose task sleeps on, and holds the session, when that has ended."""
        if self.last_ping:
            self.last_ping = None
            loop = asyncio.get_running_loop()
            self._next_ping = loop.call_later(self.server.ping_interval, self._ping)

    def _ping(self) -> None:
        self.last_ping = time.time()
        self.post(Packet(PING))

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
        if self._next_ping is not None:
            self._next_ping.cancel()
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
        try:
            body = await _read_body(environ["aiohttp.request"])
        except UnicodeDecodeError:
            self.refuse("malformed_packet")
            return
        if body is None:
            self.refuse("too_large")
            return
        packets = body.split("\x1e")
        if len(packets) > MAX_POST_PACKETS:
            self.refuse("too_many_packets")
            return
        for number, packet in enumerate(packets, 1):
            if number % PACKETS_AT_ONCE == 0:
                await asyncio.sleep(0)
            data = _decode_base64(packet[1:]) if packet.startswith("b") else packet
            if data is None:
                self.refuse("malformed_packet")
                return
            if not await self.take(data):
                return

    # -- WebSocket --

    async def _upgrade_websocket(self, environ: dict[str, Any]) -> web.StreamResponse:
        request: web.Request = environ["aiohttp.request"]
        socket = web.WebSocketResponse(
            max_msg_size=MAX_PACKET, compress=False, timeout=CLOSE_TIMEOUT
        )
        try:
            await socket.prepare(request)
        except ConnectionError:
            # The client has gone already; what it still polls for is not concerned.
            if not self.connected:
                await self.close(reason=self.server.reason.TRANSPORT_ERROR)
            return web.Response(status=400)
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
        for number in itertools.count(1):
            message = await socket.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            if not await self.take(message.data):
                return
            if number % PACKETS_AT_ONCE == 0:
                # What has been received already does not wait, nor let others run.
                await asyncio.sleep(0)

    async def _write(self, socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            while (packet := await self.queue.get()) is not None:
                if packet.packet_type != CLOSE:
                    await socket.send_str(packet.encode())
            if self.refusal is None:
                await socket.close()
            else:
                code = SERVICE_RESTART if self.refusal in NOBODYS_FAULT else POLICY_VIOLATION
                await socket.close(code=code, message=self.refusal.encode())
        while not self.queue.empty():
            self.queue.get_nowait()


async def _read_body(request: web.Request) -> str | None:
    """The body as text, or None when it is larger than one packet may be."""
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_chunked(65_536):
        size += len(part)
        if size > MAX_PACKET:
            return None
        parts.append(part)
    return b"".join(parts).decode()


def _decode_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _size(packet: Packet | None) -> int:
    return len(packet.data) if packet is not None and isinstance(packet.data, str) else 16

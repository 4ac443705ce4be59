"""One Engine.IO session: websocket or polling, a bounded way outwards, reasons at the end.

Replaced here are the pieces of python-engineio that lose packets, hold memory or wake tasks: the
outgoing queue (unbounded, and emptied by a task), the websocket loop (compresses, and leaves ghosts
behind malformed frames) and the polling POST (drops a body of more than 16 packets and answers 200).
"""

import asyncio
import base64
import binascii
import contextlib
import itertools
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType, web
from engineio.async_socket import AsyncSocket
from engineio.exceptions import QueueEmpty
from engineio.packet import CLOSE, MESSAGE, NOOP, PING, PONG, UPGRADE

from server import metrics
from server.frames import Frame
from server.inbox import AT_ONCE, CLOSE_TIMEOUT, MAX_PACKET, Socket, open_socket
from server.sending import Flowing, Held, SendQueue

if TYPE_CHECKING:
    from server.engine import Engine

MAX_POST_PACKETS = 10_000
MAX_POLL_PACKETS = 16
"""More in one response and the official Python client drops them all."""

PING_INTERVAL = 25
PING_TIMEOUT = 20
PROBE_TIMEOUT = 10
POLICY_VIOLATION = 1008
SERVICE_RESTART = 1012
NOBODYS_FAULT = ("draining", "epoch_changed")

_TEXT_MESSAGE, _PONG, _CLOSE = str(MESSAGE), str(PONG), str(CLOSE)
_PING_FRAME, _NOOP_FRAME, _CLOSE_FRAME = Frame(str(PING)), Frame(str(NOOP)), Frame(_CLOSE)


class Wire(AsyncSocket):  # type: ignore[misc]  # the library is untyped
    """One Engine.IO session."""

    queue: SendQueue
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
        self._socket: web.WebSocketResponse | None = None
        self._request: web.Request | None = None
        self._next_ping: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    def schedule_ping(self) -> None:
        """As in the library, whose task sleeps on, and holds the session, when that has ended."""
        if self.last_ping:
            self.last_ping = None
            loop = asyncio.get_running_loop()
            self._next_ping = loop.call_later(self.server.ping_interval, self._ping)

    def _ping(self) -> None:
        self.last_ping = time.time()
        self.post(_PING_FRAME)

    def post(self, frame: Frame, *, may_be_dropped: bool = False) -> None:
        """Send a frame; a client that does not read is cut off."""
        if self.closing or self.refusal is not None:
            # After a frame that found no room another one would hide that it is missing.
            return
        if may_be_dropped and self.queue.fill >= 0.5:
            return
        if not self.queue.put(frame):
            self._cut_off()

    def post_all(self, frames: Sequence[Frame]) -> None:
        """Send frames, one after the other."""
        if self._is_open and not self.queue.put_all(frames):
            self._cut_off()

    def _cut_off(self) -> None:
        self.refuse("too_slow")
        self.abort()

    def refuse(self, reason: str) -> None:
        """Close the connection and say why: in the websocket's close frame, or in a 400."""
        if not self._is_open:
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
        self.server.owner.closed(self.sid)
        if isinstance(self.queue, Held):
            self.queue.end(_CLOSE_FRAME)
        self._ending = self.server.later(self._end())

    async def _end(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.queue.drained()
        self.closed = True
        self.server.sockets.pop(self.sid, None)
        if self._socket is not None:
            await self._close_socket(self._socket)

    async def _close_socket(self, socket: web.WebSocketResponse) -> None:
        code: int = WSCloseCode.OK
        message = b""
        if self.refusal is not None:
            code = SERVICE_RESTART if self.refusal in NOBODYS_FAULT else POLICY_VIOLATION
            message = self.refusal.encode()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await socket.close(code=code, message=message)
        self.abort()

    def take(self, data: str | bytes) -> bool:
        """One packet from the client, in either transport; False if it ended the session."""
        if isinstance(data, bytes):
            self.server.owner.receive(self.sid, data)
        elif data[:1] == _TEXT_MESSAGE and data[1:2].isdigit():
            self.server.owner.receive(self.sid, data[1:])
        elif data == _PONG:
            self.schedule_ping()
        elif data == _CLOSE:
            self.server.later(self.close(reason=self.server.reason.CLIENT_DISCONNECT))
            return False
        else:
            self.refuse("malformed_packet")
        return self._is_open

    @property
    def _is_open(self) -> bool:
        return self.refusal is None and not (self.closing or self.closed)

    # -- Polling --

    async def poll(self) -> list[Frame]:
        if not isinstance(self.queue, Held):
            return [_NOOP_FRAME]
        try:
            async with asyncio.timeout(PING_INTERVAL + PING_TIMEOUT):
                frames = await self.queue.take(MAX_POLL_PACKETS)
        except TimeoutError:
            raise QueueEmpty from None
        return frames or [_NOOP_FRAME if self.upgraded else _CLOSE_FRAME]

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
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            data = _decode_base64(packet[1:]) if packet.startswith("b") else packet
            if data is None:
                self.refuse("malformed_packet")
                return
            if not self.take(data):
                return

    # -- WebSocket --

    async def _upgrade_websocket(self, environ: dict[str, Any]) -> web.StreamResponse:
        request: web.Request = environ["aiohttp.request"]
        # The library's frames hold it for as long as the connection lasts.
        environ.clear()
        socket = await open_socket(request)
        if socket is None:
            # What the client still polls for is not concerned.
            return web.Response(status=400)
        if not await self._probe(socket):
            await socket.close()
            return socket
        self.flow(request, socket)
        await self.serve(socket)
        return socket

    async def serve(self, socket: Socket) -> None:
        """Hear the client until it has gone."""
        try:
            await self._read(socket)
        finally:
            socket.inbox.take = None
            await self.close(reason=self.server.reason.TRANSPORT_CLOSE)
            if self._ending is not None:
                await asyncio.wait([self._ending])

    def flow(self, request: web.Request, socket: Socket) -> None:
        """Let what there is, and will be, leave by the websocket."""
        self._request, self._socket = request, socket
        self.connected = self.upgraded = True
        socket.inbox.take = self.take
        held, self.queue = self.queue, Flowing(request.protocol, self.server.flusher)
        if isinstance(held, Held) and not held.pour(self.queue):
            self.refuse("too_slow")

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
                self.queue.put(_NOOP_FRAME)
                return bool((await socket.receive()).data == str(UPGRADE))
        except (TimeoutError, ConnectionError):
            return False
        finally:
            self.upgrading = False

    async def _read(self, socket: web.WebSocketResponse) -> None:
        """What does not go by itself; see `inbox.py`."""
        for number in itertools.count(1):
            message = await socket.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            if not (self._is_open and self.take(message.data)):
                return
            if number % AT_ONCE == 0:
                # What has been received already does not wait, nor let others run.
                await asyncio.sleep(0)


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

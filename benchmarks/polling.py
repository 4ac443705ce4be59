"""A Socket.IO client over HTTP long polling that costs next to nothing, for those whose networks let
no WebSocket through.

As the official client does it: one GET hangs until there is something, one POST at a time carries
what has gathered meanwhile, each on a connection that is kept. Only what the servers here send is
understood: answers that say how long they are.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson

from benchmarks.link import HOST, Hear

OPENS_WITHIN = 20.0
_HEAD = "{method} /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: {host}:{port}\r\n{more}\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"
_SEPARATOR = b"\x1e"


class Exchange(asyncio.Protocol):
    """A kept connection for one request after the other; `hear` gets the body of each answer."""

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self._hear = hear
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    async def connect(self, port: int) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, HOST, port)

    def ask(self, request: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        end = buffer.find(_END_OF_HEAD)
        if end < 0:
            return
        head, start = bytes(buffer[:end]), end + len(_END_OF_HEAD)
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            raise ConnectionError(bytes(buffer[:300]).decode())
        size = int(length[1])
        if len(buffer) - start < size:
            return
        body = bytes(buffer[start : start + size])
        # No request follows another before its answer, and so nothing stands behind it.
        buffer.clear()
        self._hear(body)


class Poller:
    """One connection; `hear` gets every Socket.IO packet, without Engine.IO's 4 before it."""

    def __init__(self, port: int, hear: Hear) -> None:
        self._port = port
        self._hear = hear
        self._sid = ""
        self._polls = 0
        self._waiting: list[bytes] = []
        self._is_posting = False
        self._gets, self._posts = Exchange(self._take), Exchange(self._go_on)
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self, joins: Mapping[str, Mapping[str, Any]]) -> None:
        """Connect and ask to join namespaces, each with its `auth`."""
        await asyncio.gather(self._gets.connect(self._port), self._posts.connect(self._port))
        self._poll()
        async with asyncio.timeout(OPENS_WITHIN):
            await self._opened
        for namespace, auth in joins.items():
            self.send(f"0{namespace},".encode() + orjson.dumps(auth))

    def send(self, packet: bytes) -> None:
        self._post(b"4" + packet)

    def close(self) -> None:
        self._gets.close()
        self._posts.close()

    def _poll(self) -> None:
        self._polls += 1
        # A mark of its own, by which servers and caches tell a new poll from a repeated one.
        self._gets.ask(self._write_head("GET", f"{self._sid}&t={self._polls}"))

    def _take(self, body: bytes) -> None:
        for packet in body.split(_SEPARATOR):
            kind = packet[:1]
            if kind == b"4":
                self._hear(packet[1:])
            elif kind == b"2":
                self._post(b"3")
            elif kind == b"0":
                self._sid = f"&sid={orjson.loads(packet[1:])['sid']}"
                self._opened.set_result(None)
            elif kind == b"1":
                self.close()
                return
        self._poll()

    def _post(self, packet: bytes) -> None:
        self._waiting.append(packet)
        if not self._is_posting:
            self._flush()

    def _go_on(self, body: bytes) -> None:
        self._is_posting = False
        if self._waiting:
            self._flush()

    def _flush(self) -> None:
        self._is_posting = True
        body = _SEPARATOR.join(self._waiting)
        self._waiting.clear()
        more = f"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {len(body)}\r\n"
        self._posts.ask(self._write_head("POST", self._sid, more) + body)

    def _write_head(self, method: str, sid: str, more: str = "") -> bytes:
        head = _HEAD.format(method=method, sid=sid, host=HOST, port=self._port, more=more)
        return head.encode()

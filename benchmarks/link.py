"""A Socket.IO client over WebSocket that costs next to nothing: frames are read and written by hand.

The generator must not be what is measured. Only what the servers here send is understood: text
frames, compressed or not, and no fragments.
"""

import asyncio
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson

HOST = "127.0.0.1"
_HANDSHAKE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
    "Host: {host}:{port}\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
)
_COMPRESSION = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
_TEXT, _COMPRESSED, _CLOSE, _PING, _PONG = 0x81, 0xC1, 0x88, 0x89, 0x8A
_END_OF_BLOCK = b"\x00\x00\xff\xff"
_MESSAGE = ord("4")
_MASKED = 0x80
_MASK = bytes(4)
"""A mask of zeros is one, too: nothing has to be masked."""

Hear = Callable[[bytes], None]


class Link(asyncio.Protocol):
    """One connection; `hear` gets every Socket.IO packet, without Engine.IO's 4 before it."""

    def __init__(self, port: int, hear: Hear, *, offers_compression: bool = False) -> None:
        self._port = port
        self._hear = hear
        self._offers_compression = offers_compression
        self._inflater: Any = None
        self._rest = b""
        self._shook_hands = False
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self, joins: Mapping[str, Mapping[str, Any]]) -> None:
        """Connect and ask to join namespaces, each with its `auth`."""
        await asyncio.get_running_loop().create_connection(lambda: self, HOST, self._port)
        await self._opened
        for namespace, auth in joins.items():
            self.send(f"0{namespace},".encode() + orjson.dumps(auth))

    def send(self, packet: bytes) -> None:
        self._write(_TEXT, b"4" + packet)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        head = _HANDSHAKE.format(host=HOST, port=self._port)
        offer = _COMPRESSION if self._offers_compression else ""
        self._transport.write(f"{head}{offer}\r\n".encode())

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self._opened, self.closed):
            if not future.done():
                future.set_exception(ConnectionError("closed by the server"))
                future.exception()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._shook_hands:
            self._rest = data
            if not self._shake_hands():
                return
            data = self._rest
        place, size = 0, len(data)
        while size - place >= 2:
            length, start = data[place + 1], place + 2
            if length == 126:
                if size - place < 4:
                    break
                length, start = int.from_bytes(data[place + 2 : place + 4], "big"), place + 4
            elif length == 127:
                if size - place < 10:
                    break
                length, start = int.from_bytes(data[place + 2 : place + 10], "big"), place + 10
            end_at = start + length
            if size < end_at:
                break
            if length and data[place] == _TEXT and data[start] == _MESSAGE:
                self._hear(data[start + 1 : end_at])
            else:
                self._take(data[place], data[start:end_at])
            place = end_at
        self._rest = data[place:]

    def _shake_hands(self) -> bool:
        """Read the server's answer, which is not all there perhaps; whether frames come after it."""
        head, end, rest = self._rest.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 101"):
            self._opened.set_exception(ConnectionError(head[:60].decode()))
            return False
        self._rest = rest
        self._shook_hands = True
        self._opened.set_result(None)
        return True

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == _COMPRESSED:
            self._inflater = self._inflater or zlib.decompressobj(wbits=-zlib.MAX_WBITS)
            kind, payload = _TEXT, self._inflater.decompress(payload + _END_OF_BLOCK)
        if kind == _TEXT:
            if payload[:1] == b"4":
                self._hear(payload[1:])
            elif payload == b"2":
                self._write(_TEXT, b"3")
        elif kind == _PING:
            self._write(_PONG, payload)
        elif kind == _CLOSE:
            self.close()
        else:
            raise ValueError(f"a frame of kind {kind:#x}")

    def _write(self, kind: int, payload: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        size = len(payload)
        if size < 126:
            head = bytes((kind, _MASKED | size))
        elif size < 65_536:
            head = struct.pack("!BBH", kind, _MASKED | 126, size)
        else:
            head = struct.pack("!BBQ", kind, _MASKED | 127, size)
        self._transport.write(head + _MASK + payload)

"""What one client has not taken yet: bounded, and never dropped but with the whole connection."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Protocol

from aiohttp.base_protocol import BaseProtocol

from server.frames import Frame

MAX_QUEUED_PACKETS = 20_000
MAX_QUEUED = 4_000_000
"""Characters waiting for one client; who reads slower than that is cut off and comes back."""


ENOUGH = 16_000
"""Bytes that are not kept until the end of a turn: they are copied with each frame that is added."""


class SendQueue(Protocol):
    """Where the frames for one client wait."""

    @property
    def fill(self) -> float:
        """How full it is; from 1 on it takes nothing."""

    def put(self, frame: Frame) -> bool:
        """Take a frame, unless it is full."""

    def put_all(self, frames: Sequence[Frame]) -> bool:
        """Take one after the other, until it is full."""

    async def drained(self) -> None:
        """Wait until the client has taken what there is, or is gone."""


class Held:
    """Frames that wait for a poll, or for the websocket to be there."""

    __slots__ = ("_empty", "_ended", "_frames", "_news", "_size")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._size = 0
        self._ended = False
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def fill(self) -> float:
        return max(self._size / MAX_QUEUED, len(self._frames) / MAX_QUEUED_PACKETS)

    def put(self, frame: Frame) -> bool:
        if self.fill >= 1:
            return False
        self._add(frame)
        return True

    def put_all(self, frames: Sequence[Frame]) -> bool:
        return all(map(self.put, frames))

    def end(self, last: Frame | None = None) -> None:
        """Nothing more will come, but for this."""
        if last is not None:
            self._add(last)
        self._ended = True
        self._news.set()

    async def take(self, most: int) -> list[Frame]:
        """The next frames, as soon as there is one; none at all at the end."""
        while not (self._frames or self._ended):
            self._news.clear()
            await self._news.wait()
        taken = self._frames[:most]
        del self._frames[:most]
        self._size -= sum(len(frame.text) for frame in taken)
        if not self._frames:
            self._empty.set()
        return taken

    async def drained(self) -> None:
        await self._empty.wait()

    def pour(self, target: SendQueue) -> bool:
        """Let it go on elsewhere, if there is room; whoever still waits here gets nothing."""
        is_taken = target.put_all(self._frames)
        self._frames.clear()
        self._size = 0
        self._empty.set()
        self.end()
        return is_taken

    def _add(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._size += len(frame.text)
        self._empty.clear()
        self._news.set()


class Flusher:
    """Lets what one turn of the loop has for a client leave in one write.

    An answer and a push to the same client are two frames; to write costs more than to make them.
    """

    def __init__(self) -> None:
        self.waiting: list[Flowing] = []

    def flush(self) -> None:
        waiting, self.waiting = self.waiting, []
        for client in waiting:
            client.flush()


class Flowing:
    """Frames that are written at once: what waits, waits in the websocket's own buffer."""

    __slots__ = ("_flusher", "_packets", "_protocol")

    def __init__(self, protocol: BaseProtocol, flusher: Flusher) -> None:
        self._protocol = protocol
        self._flusher = flusher
        self._packets: bytes | None = None

    @property
    def fill(self) -> float:
        transport = self._protocol.transport
        return 0 if transport is None else transport.get_write_buffer_size() / MAX_QUEUED

    def put(self, frame: Frame) -> bool:
        transport = self._protocol.transport
        if transport is None:
            return True
        if transport.get_write_buffer_size() >= MAX_QUEUED:
            return False
        packet = frame.wrapped or frame.wrap()
        if self._packets is None:
            self._packets = packet
            flusher = self._flusher
            if not flusher.waiting:
                asyncio.get_running_loop().call_soon(flusher.flush)
            flusher.waiting.append(self)
        elif len(self._packets) < ENOUGH:
            self._packets += packet
        else:
            self.flush()
            self._packets = packet
        return True

    def put_all(self, frames: Sequence[Frame]) -> bool:
        return self.put(Frame.join(frames)) if frames else True

    def flush(self) -> None:
        packets, self._packets = self._packets, None
        transport = self._protocol.transport
        if packets is not None and transport is not None and not transport.is_closing():
            transport.write(packets)

    async def drained(self) -> None:
        self.flush()
        if self._protocol.writing_paused:
            # Who gives up waiting must not end it for the others.
            await asyncio.shield(self._wait())

    async def _wait(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._protocol._drain_helper()  # noqa: SLF001 - watched by test_engine.py

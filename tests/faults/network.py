"""The network between clients and servers: a balancer without stickiness, and everything
that networks do to connections."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Coroutine, Sequence
from functools import partial

from server.tasks import end_tasks
from tests.faults.cluster import Server

CHECK_EVERY = 0.5
CONNECT_TIMEOUT = 2.0
MAX_PIECE = 24
PIECE_PAUSE = 0.002
_RESET = struct.pack("ii", 1, 0)


class Half(asyncio.Protocol):
    """One of the two connections of a link; holds back its sender while the other one is full."""

    transport: asyncio.Transport
    other: "Half | None" = None

    def __init__(self, network: "Network", *, from_client: bool) -> None:
        self._network = network
        self._from_client = from_client
        self._holds: set[str] = set()
        self._splitting: asyncio.Task[None] | None = None
        self._pieces = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._network.stalled:
            self.hold("stall")
        if self._from_client:
            self._network.admit(self)

    def data_received(self, data: bytes) -> None:
        network, other = self._network, self.other
        if other is None:
            return
        if not self._from_client and network.should_cut(data):
            other.transport.write(data[: len(data) // 2])
            self.reset()
        elif network.splitting or self._splitting is not None:
            self._pieces += data
            if self._splitting is None:
                self.hold("split")
                self._splitting = asyncio.create_task(self._split(other))
        else:
            other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.hold("full")

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.release("full")

    def connection_lost(self, error: Exception | None) -> None:
        self._network.forget(self)
        if self._splitting is not None:
            self._splitting.cancel()
        if self.other is not None:
            if error is not None:
                _linger_not(self.other.transport)
            self.other.transport.close()

    def hold(self, reason: str) -> None:
        self._holds.add(reason)
        self.transport.pause_reading()

    def release(self, reason: str) -> None:
        self._holds.discard(reason)
        if not self._holds and not self.transport.is_closing():
            self.transport.resume_reading()

    def reset(self) -> None:
        """End both connections as a broken network does: with RST, whatever was under way."""
        for half in (self, self.other):
            if half is not None:
                _linger_not(half.transport)
                half.transport.abort()

    async def _split(self, other: "Half") -> None:
        while self._pieces:
            size = random.randint(1, MAX_PIECE) if self._network.splitting else len(self._pieces)
            piece, self._pieces = self._pieces[:size], self._pieces[size:]
            other.transport.write(piece)
            await asyncio.sleep(PIECE_PAUSE)
        self._splitting = None
        self.release("split")


class Network:
    """Takes clients in and brings each new connection to the next server that is ready."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.stalled = False
        self.splitting = False
        self.refusing = False
        self.cut_share = 0.0
        self.port = 0
        self._servers = servers
        self._ready = list(servers)
        self._next = 0
        self._halves: set[Half] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            lambda: Half(self, from_client=True), "127.0.0.1", 0, backlog=1024
        )
        self.port = self._listening.sockets[0].getsockname()[1]
        self._start(self._watch())

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
        self.reset(1.0)
        await end_tasks(self._tasks)

    # -- What networks do --

    def reset(self, share: float, rng: random.Random | None = None) -> int:
        """Break this share of the connections; how many those were."""
        halves = [half for half in self._halves if half.other is not None]
        chosen = [half for half in halves if (rng or random).random() < share]
        for half in chosen:
            half.reset()
        return len(chosen)

    def stall(self) -> None:
        """Nothing moves in either direction; senders soon notice that nobody takes."""
        self.stalled = True
        for half in self._halves:
            half.hold("stall")

    def flow(self) -> None:
        """Undo everything."""
        self.stalled = self.splitting = self.refusing = False
        self.cut_share = 0.0
        for half in list(self._halves):
            half.release("stall")

    def should_cut(self, data: bytes) -> bool:
        """Whether this beginning of a response to a poll is where the connection ends."""
        return (
            self.cut_share > 0
            and data.startswith(b"HTTP/1.1 200")
            and random.random() < self.cut_share
        )

    # -- Balancing --

    def admit(self, half: Half) -> None:
        if self.refusing:
            half.reset()
            return
        half.hold("connecting")
        self._halves.add(half)
        self._start(self._connect(half))

    def forget(self, half: Half) -> None:
        self._halves.discard(half)

    async def _connect(self, half: Half) -> None:
        loop = asyncio.get_running_loop()
        for _ in self._servers:
            server = self._choose()
            far = Half(self, from_client=False)
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    await loop.create_connection(partial(_same, far), "127.0.0.1", server.port)
            except (OSError, TimeoutError):
                continue
            far.other, half.other = half, far
            self._halves.add(far)
            half.release("connecting")
            if half.transport.is_closing():
                far.transport.close()
            return
        half.reset()

    def _choose(self) -> Server:
        candidates = self._ready or list(self._servers)
        self._next += 1
        return candidates[self._next % len(candidates)]

    async def _watch(self) -> None:
        while True:
            ready = await asyncio.gather(*(server.is_ready() for server in self._servers))
            self._ready = [s for s, is_ready in zip(self._servers, ready, strict=True) if is_ready]
            await asyncio.sleep(CHECK_EVERY)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _same(half: Half) -> Half:
    return half


def _linger_not(transport: asyncio.Transport) -> None:
    found = transport.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

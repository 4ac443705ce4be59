"""Fan-out: what one person is told goes to hundreds of their sockets."""

import asyncio
import itertools
import time
from typing import Any
from uuid import uuid4

import orjson

from benchmarks.link import Link
from benchmarks.loads.marks import BEGIN, END, mark

NAMESPACE = "/chat"
AT_ONCE = 2
"""Messages on their way: enough that the server never waits for us."""

NEWEST = 4 * AT_ONCE
WARM_UP = 1.0
PATIENCE = 20.0

_ACK, _JOINED = f"3{NAMESPACE},".encode(), f"0{NAMESPACE},".encode()
_CREATED = f'2{NAMESPACE},["message:created",'.encode()


class Crowd:
    """The sockets of the reader, and one that writes."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._couple = given["couples"][0]
        (self._port,) = given["ports"]
        self._sockets: int = given["sockets"]
        self._acks = itertools.count()
        self.sent = self.heard = self.acknowledged = self.doubled = self.misordered = 0
        self._newest: dict[bytes, int] = {}
        """The seqs of the newest messages, as they were told: to all sockets in the same words."""

        self.is_going_on = True
        self._joined = asyncio.Semaphore(0)
        self._changed = asyncio.Event()
        self._writer = Link(self._port, self._hear_answers)

    async def open(self) -> None:
        writer, reader = self._couple["tokens"]
        for _ in range(self._sockets):
            link = Link(self._port, Reader(self).hear)
            await link.open({NAMESPACE: {"token": reader}})
        await self._writer.open({NAMESPACE: {"token": writer}})
        for _ in range(self._sockets + 1):
            await self._joined.acquire()

    async def write(self) -> None:
        """Send as soon as fewer than AT_ONCE are on their way to the last socket."""
        while self.is_going_on:
            while self.heard < (self.sent + 1 - AT_ONCE) * self._sockets:
                self._changed.clear()
                await self._changed.wait()
            self.sent += 1
            request = {
                "chat_id": self._couple["chat_id"],
                "client_ref": str(uuid4()),
                "text": "x" * 100,
            }
            event = orjson.dumps(["message:send", request])
            self._writer.send(f"2{NAMESPACE},{next(self._acks)}".encode() + event)

    async def settle(self) -> int:
        """Wait for the rest; how many deliveries never came."""
        in_time = time.perf_counter() + PATIENCE
        while time.perf_counter() < in_time:
            if self.acknowledged == self.sent and self.heard >= self.sent * self._sockets:
                break
            await asyncio.sleep(0.05)
        return self.acknowledged * self._sockets - self.heard

    def join(self) -> None:
        self._joined.release()

    def read(self, packet: bytes) -> int:
        """The seq of the message; what was just read for one socket is not read again for others."""
        seq = self._newest.get(packet)
        if seq is None:
            seq = int(orjson.loads(packet[len(_JOINED) :])[1]["seq"])
            self._newest = {**dict(list(self._newest.items())[1 - NEWEST :]), packet: seq}
        return seq

    def count(self) -> None:
        self.heard += 1
        if self.heard % self._sockets == 0:
            self._changed.set()

    def _hear_answers(self, packet: bytes) -> None:
        if packet.startswith(_ACK):
            self.acknowledged += b'[{"data"' in packet
        elif packet.startswith(_JOINED):
            self._joined.release()


class Reader:
    """One socket of the person who is told."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._last = 0

    def hear(self, packet: bytes) -> None:
        crowd = self._crowd
        if packet.startswith(_CREATED):
            seq = crowd.read(packet)
            crowd.doubled += seq == self._last
            crowd.misordered += self._last != 0 and seq not in {self._last, self._last + 1}
            self._last = seq
            crowd.count()
        elif packet.startswith(_JOINED):
            crowd.join()


async def run(given: dict[str, Any]) -> dict[str, Any]:
    crowd = Crowd(given)
    await crowd.open()
    writing = asyncio.create_task(crowd.write())
    await asyncio.sleep(WARM_UP)
    before = crowd.heard
    mark(BEGIN)
    await asyncio.sleep(given["seconds"])
    mark(END)
    deliveries = crowd.heard - before
    crowd.is_going_on = False
    await writing
    return {
        "deliveries": deliveries,
        "lost": await crowd.settle(),
        "duplicated": crowd.doubled,
        "misordered": crowd.misordered,
    }

"""A storm: everybody comes back at once, each with a place in the streams to go on from."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import orjson

from benchmarks.link import Link
from benchmarks.loads.chat import find_percentiles
from benchmarks.loads.marks import BEGIN, END, mark

AT_ONCE = 500
"""Connections that are not let in yet: about as many as wait for a listening socket of Node. One of
asyncio or aiohttp lets 128 wait unless told otherwise; the system makes the others try again, and
breaks off in the end."""

BEHIND = 20
"""Events of the first namespace that each has missed."""


@dataclass(slots=True)
class Place:
    """Where a stream stands."""

    head: int
    epoch: str


class Comer:
    """One client that joins its namespaces and, where there are streams, catches up."""

    def __init__(self, port: int, namespaces: list[str], *, follows: bool) -> None:
        self._left = set(namespaces)
        self._behind = dict.fromkeys(namespaces, 0) | {namespaces[0]: BEHIND}
        self._follows = follows
        self._heads: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self.caught_up = self.gaps = 0
        self._done = asyncio.Event()
        self._is_lost = False
        self.places: dict[str, Place] = {}
        self.link = Link(port, self._hear)

    async def come(self, token: str, after: dict[str, Place]) -> None:
        """Raises: ConnectionError, when the connection does not last until then."""
        auths = {}
        for namespace, behind in self._behind.items():
            place = after.get(namespace)
            since = {"after": place.head - behind, "epoch": place.epoch} if place else {}
            auths[namespace] = {"token": token, **since}
        self.link.closed.add_done_callback(self._lose)
        await self.link.open(auths)
        await self._done.wait()
        if self._is_lost:
            raise ConnectionError("closed by the server")

    def _lose(self, closed: asyncio.Future[None]) -> None:
        self._is_lost = bool(self._left)
        self._done.set()

    def _hear(self, packet: bytes) -> None:
        kind, (name, _, body) = packet[:1], packet[1:].partition(b",")
        namespace = name.decode()
        if kind == b"0" and not self._follows:
            self._finish(namespace)
        elif kind == b"4":
            raise ConnectionError(packet.decode())
        elif kind == b"2" and self._follows:
            event, data, meta = orjson.loads(body)
            if event == "stream:ready":
                self.places[namespace] = Place(data["head"], data["epoch"])
                self._heads[namespace] = data["head"]
                self._last[namespace] = data["from"]
                self.gaps += data["reset"]
                if data["from"] >= data["head"]:
                    self._finish(namespace)
            elif (seq := meta.get("seq")) is not None:
                self._catch_up(namespace, seq)

    def _catch_up(self, namespace: str, seq: int) -> None:
        self.caught_up += 1
        self.gaps += seq != self._last[namespace] + 1
        self._last[namespace] = seq
        if seq == self._heads[namespace]:
            self._finish(namespace)

    def _finish(self, namespace: str) -> None:
        self._left.discard(namespace)
        if not self._left:
            self._done.set()


async def run(given: dict[str, Any]) -> dict[str, Any]:
    (port,) = given["ports"]
    follows, namespaces = given["follows"], given["namespaces"]
    tokens = [token for couple in given["couples"] for token in couple["tokens"]]
    places: dict[str, dict[str, Place]] = {token: {} for token in tokens}
    gate = asyncio.Semaphore(AT_ONCE)
    times: list[float] = []
    comers: list[Comer] = []
    broken = 0

    async def come(token: str) -> None:
        nonlocal broken
        async with gate:
            start = time.perf_counter()
            while True:
                comer = Comer(port, namespaces, follows=follows)
                comers.append(comer)
                try:
                    await comer.come(token, places[token])
                    break
                except ConnectionError:
                    # As a client does, which comes again; the time goes on.
                    broken += 1
            times.append(time.perf_counter() - start)
        places[token] = comer.places

    await asyncio.gather(*map(come, tokens))
    before = len(comers)
    times.clear()
    start = time.perf_counter()
    mark(BEGIN)
    wanted: int = given["connections"]
    await asyncio.gather(*(come(tokens[n % len(tokens)]) for n in range(wanted)))
    mark(END)
    seconds = time.perf_counter() - start
    for comer in comers:
        comer.link.close()
    return {
        "connections": wanted,
        "rate": wanted / seconds,
        "ms": find_percentiles(times),
        "caught_up": sum(comer.caught_up for comer in comers[before:]),
        "broken": broken,
        "gaps": sum(comer.gaps for comer in comers),
    }

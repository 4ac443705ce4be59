"""One change told to many people: somebody comes or goes, and hundreds of others see it."""

import asyncio
from functools import partial
from typing import Any

import orjson

from benchmarks.link import Link
from benchmarks.loads.marks import BEGIN, END, mark

WARM_UP = 1.0
PATIENCE = 20.0


class Tally:
    """What all watchers together were told."""

    def __init__(self) -> None:
        self.heard = self.lost = self.doubled = self.misordered = 0


class Coming:
    """One person who comes and goes; the next time once everybody knows of the last."""

    def __init__(self, tally: Tally, watchers: int) -> None:
        self._tally = tally
        self._watchers = watchers
        self._knows = bytearray(watchers)
        self._left = 0
        self._online = False
        self._told = asyncio.Event()

    def expect(self, *, online: bool) -> None:
        self._online = online
        self._knows = bytearray(self._watchers)
        self._left = self._watchers
        self._told.clear()

    def note(self, watcher: int, *, online: bool) -> None:
        tally = self._tally
        tally.heard += 1
        if online is not self._online:
            tally.misordered += 1
        elif self._knows[watcher]:
            tally.doubled += 1
        else:
            self._knows[watcher] = 1
            self._left -= 1
            if not self._left:
                self._told.set()

    async def wait_told(self) -> None:
        """Until all know; those who still do not after a long time never will."""
        try:
            await asyncio.wait_for(self._told.wait(), PATIENCE)
        except TimeoutError:
            self._tally.lost += self._left


class Scene:
    """Some who are watched, and all who watch each of them."""

    def __init__(self, given: dict[str, Any]) -> None:
        (self._port,) = given["ports"]
        self._namespace: str = given["watching"]
        self._asks_to_watch = not given["follows"]
        self._watched: list[dict[str, Any]] = given["watched"]
        self._watchers: list[str] = given["watchers"]
        self._event = f'2{self._namespace},["presence",'.encode()
        self._joined = f"0{self._namespace},".encode()
        self._answered = f"3{self._namespace},".encode()
        self._read: dict[bytes, tuple[Coming, bool]] = {}
        self._ready = asyncio.Semaphore(0)
        self.tally = Tally()
        self._comings = {
            one["id"]: Coming(self.tally, len(self._watchers)) for one in self._watched
        }
        self.is_going_on = True

    async def open(self) -> None:
        """Let those who watch in, and wait until each of them does."""
        watch = orjson.dumps(["presence:watch", {"user_ids": list(self._comings)}])
        for number, token in enumerate(self._watchers):
            link = Link(self._port, partial(self._hear, number))
            await link.open({self._namespace: {"token": token}})
            await self._ready.acquire()
            if self._asks_to_watch:
                link.send(f"2{self._namespace},0".encode() + watch)
                await self._ready.acquire()

    async def come_and_go(self, person: dict[str, Any]) -> None:
        """On one connection: what is told of, not connecting, is to be measured."""
        coming, joined = self._comings[person["id"]], asyncio.Semaphore(0)

        def hear(packet: bytes) -> None:
            if packet.startswith(self._joined):
                joined.release()

        link, join = Link(self._port, hear), {self._namespace: {"token": person["token"]}}
        coming.expect(online=True)
        await link.open(join)
        await joined.acquire()
        await coming.wait_told()
        while self.is_going_on:
            coming.expect(online=False)
            link.send(f"1{self._namespace},".encode())
            await coming.wait_told()
            coming.expect(online=True)
            link.send(self._joined + orjson.dumps(join[self._namespace]))
            await joined.acquire()
            await coming.wait_told()

    async def run(self, seconds: float) -> int:
        """How many deliveries there were in these seconds."""
        tasks = [asyncio.create_task(self.come_and_go(person)) for person in self._watched]
        await asyncio.sleep(WARM_UP)
        before = self.tally.heard
        mark(BEGIN)
        await asyncio.sleep(seconds)
        mark(END)
        deliveries = self.tally.heard - before
        self.is_going_on = False
        await asyncio.gather(*tasks)
        return deliveries

    def _hear(self, watcher: int, packet: bytes) -> None:
        if packet.startswith(self._event):
            # All are told the same, and so it is read once.
            read = self._read.get(packet)
            if read is None:
                data = orjson.loads(packet[len(self._joined) :])[1]
                read = self._comings[data["user_id"]], data["online"]
                self._read = {**dict(list(self._read.items())[-8:]), packet: read}
            coming, online = read
            coming.note(watcher, online=online)
        elif packet.startswith((self._joined, self._answered)):
            self._ready.release()


async def run(given: dict[str, Any]) -> dict[str, Any]:
    scene = Scene(given)
    await scene.open()
    deliveries = await scene.run(given["seconds"])
    tally = scene.tally
    return {
        "deliveries": deliveries,
        "lost": tally.lost,
        "duplicated": tally.doubled,
        "misordered": tally.misordered,
    }

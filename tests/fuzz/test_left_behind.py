"""Whatever clients did: once they are gone, no task, no entry and no memory is left of them."""

import asyncio
import gc
import tracemalloc
from functools import _lru_cache_wrapper
from random import Random

import pytest
from aiohttp import ClientSession, WSMsgType

from server.transport import Connection
from tests.fuzz.fuzzer import fuzz
from tests.fuzz.links import open_polling, open_socket, write_body
from tests.fuzz.mutations import make_noise, mutate
from tests.fuzz.oracle import BrokenText, Frame
from tests.fuzz.packets import Scene, make_event
from tests.fuzz.seeds import SEEDS
from tests.fuzz.setting import Census, at_once, unharmed, wait_until_back
from tests.instance import Instance
from tests.server.raw import RawPolling, RawSocket, connect_packet

# The door knows no database: once is enough.
pytestmark = [pytest.mark.embedded, pytest.mark.alone]

ROUNDS = 5
TOLERANCE = 200_000
"""Bytes by which the last round may end above the second: less than 1 kB a connection."""


def forget_what_is_cached() -> None:
    """What caches hold may stay: each has bounds of its own."""
    gc.unfreeze()
    for cache in gc.get_objects():
        if isinstance(cache, _lru_cache_wrapper) and cache.cache_parameters()["maxsize"]:
            cache.cache_clear()


async def measure(server: Instance, scenes: list[Scene], seed: int, *, cases: int) -> list[int]:
    """Bytes that are held after each round of the same cases."""
    held: list[int] = []
    before = Census.take(server)
    tracemalloc.start()
    try:
        for _ in range(ROUNDS):
            for make in (make_noise, make_event):
                for open_link in (open_socket, open_polling):
                    await fuzz(server, scenes, seed, open_link, make, cases=cases)
            await wait_until_back(server, before)
            forget_what_is_cached()
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return held


@pytest.mark.parametrize("seed", SEEDS)
async def test_memory_is_the_same_after_every_round(
    fuzzed: Instance, scenes: list[Scene], seed: int
) -> None:
    held = await measure(fuzzed, scenes, seed, cases=6)
    assert held[-1] - held[1] < TOLERANCE, held


async def test_memory_that_is_left_behind_is_found(
    fuzzed: Instance, scenes: list[Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Connection] = []
    close = Connection.close

    def close_and_keep(self: Connection) -> None:
        kept.append(self)
        close(self)

    monkeypatch.setattr(Connection, "close", close_and_keep)
    held = await measure(fuzzed, scenes, 1, cases=6)
    assert held[-1] - held[1] > TOLERANCE, held
    assert kept


def make_storm(rng: Random, scene: Scene) -> list[Frame]:
    """A join or two, and then many packets without waiting for any answer."""
    joined = tuple(rng.sample(scene.namespaces, 2))
    frames: list[Frame] = [connect_packet(place, scene.token) for place in joined]
    for _ in range(rng.randint(1, 30)):
        make = rng.choice((make_event, make_event, make_event, mutate, make_noise))
        frames += make(rng, scene, joined)
    return frames


@pytest.mark.parametrize("seed", SEEDS)
async def test_who_sends_a_storm_and_vanishes_leaves_nothing(
    fuzzed: Instance, scenes: list[Scene], seed: int
) -> None:
    async def vanish(number: int) -> None:
        rng = Random(f"{seed} storm {number}")
        frames = make_storm(rng, rng.choice(scenes))
        async with RawSocket.open(fuzzed.url) as socket:
            for frame in frames:
                if isinstance(frame, BrokenText):
                    await socket._websocket.send_frame(frame.data, WSMsgType.TEXT)
                else:
                    await socket.send(frame)
            response = socket._websocket._response
            assert response.connection is not None
            if rng.random() < 0.5 and response.connection.transport is not None:
                response.connection.transport.abort()

    async def vanish_many(first: int) -> None:
        for number in range(first, first + 40):
            try:
                await vanish(number)
            except ConnectionError:
                # The server was quicker to close.
                continue

    async with (
        unharmed(fuzzed) as chatting,
        at_once(*(vanish_many(first) for first in (0, 40, 80))) as done,
    ):
        chatting.give_turn()
        await done


@pytest.mark.parametrize("seed", SEEDS)
async def test_polling_clients_that_vanish_leave_nothing(
    fuzzed: Instance, scenes: list[Scene], seed: int
) -> None:
    async def poll_and_vanish(number: int) -> None:
        rng = Random(f"{seed} polling storm {number}")
        frames = make_storm(rng, rng.choice(scenes))
        async with ClientSession() as http:
            polling = await RawPolling(http, fuzzed.url).__aenter__()
            async with http.post(polling.address, data=write_body(frames)) as response:
                assert response.status in (200, 400)
            polls = [asyncio.create_task(polling.get()) for _ in range(rng.randint(1, 2))]
            await asyncio.wait(polls, timeout=rng.random() / 10)
            for poll in polls:
                poll.cancel()
            await asyncio.gather(*polls, return_exceptions=True)
        # Whoever vanished without a poll open is only missed at the next ping.
        async with ClientSession() as http, http.post(polling.address, data=b"1") as response:
            assert response.status in (200, 400)

    async with unharmed(fuzzed) as chatting:
        for number in range(60):
            await poll_and_vanish(number)
            chatting.give_turn()

"""A client that does not read costs bounded memory, and nobody else anything."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession

from server import sending
from server.wire import Wire
from tests.instance import Instance, Person
from tests.server.raw import Closed, RawPolling, RawSocket
from tests.server.trial import PLACE, numbers, signal, tell, wait_until, wires_of

BULK = "x" * 60_000


@asynccontextmanager
async def open_stalled(kernel: Instance, person: Person) -> AsyncIterator[tuple[RawSocket, Wire]]:
    """A device that has joined and reads no further."""
    async with RawSocket.open(kernel.url, small_window=True) as socket:
        await socket.join(PLACE, person.token)
        await socket.wait_for(f"2{PLACE},")
        yield socket, wires_of(kernel)[socket.opening["sid"]]


async def test_a_client_that_never_reads_is_cut_off_while_another_is_served(
    kernel: Instance, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_QUEUED", 300_000)
    quick = await kernel.connect(person, PLACE)
    async with open_stalled(kernel, person) as (_, wire):
        number, most = 0, 0.0
        while wire.refusal is None:
            await tell(kernel, [person], number, text=BULK)
            await quick.wait_for_seq(number + 1, namespace=PLACE)
            number, most = number + 1, max(most, wire.queue.fill)
            assert number < 500
        await wait_until(lambda: wire.sid not in wires_of(kernel), "the slow one is forgotten")
        assert wire.refusal == "too_slow"
        assert most < 1 + (len(BULK) + 1000) / 300_000
        assert not wire.queue.fill
    assert numbers(quick) == list(range(number))
    back = await kernel.connect(person, PLACE, after=number - 2)
    await back.wait_for_seq(number, namespace=PLACE)


async def test_signals_are_dropped_before_pushes(
    kernel: Instance, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_QUEUED", 1_200_000)
    async with open_stalled(kernel, person) as (socket, wire):
        sent = 0
        while wire.queue.fill < 0.5:
            await tell(kernel, [person], sent, text=BULK)
            sent += 1
        await signal(kernel, [person], 666)
        await tell(kernel, [person], 777)
        heard = [await socket.receive() for _ in range(sent + 1)]
        await signal(kernel, [person], 888)
        heard.append(await socket.receive())
    told = [json.loads(packet[len(f"2{PLACE},") :])[1]["number"] for packet in heard]
    assert told == [*range(sent), 777, 888]


async def test_a_polling_client_that_stays_away_is_cut_off(
    kernel: Instance, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_QUEUED_PACKETS", 50)
    async with ClientSession() as session, RawPolling(session, kernel.url) as polling:
        await polling.join(PLACE, person.token)
        (wire,) = wires_of(kernel).values()
        await tell(kernel, [person], *range(60))
        assert wire.refusal == "too_slow"
        assert wire.queue.fill <= 52 / 50
        with pytest.raises(Closed):
            await polling.wait_for("never")


async def test_a_long_replay_waits_for_its_reader(
    kernel: Instance, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_QUEUED_PACKETS", 250)
    await tell(kernel, [person] * 700, 1)
    client = await kernel.connect(person, PLACE, after=0)
    await client.wait_for_seq(700, namespace=PLACE)
    assert len(numbers(client)) == 700

"""Every push once, in order, whatever was lost on the way."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobs.upkeep import prune_all
from server import delivery
from server.bus import Notice
from server.context import Context
from server.wire import Wire
from storage import events
from tests.backend import Backend
from tests.client import Client
from tests.instance import Instance, Person
from tests.server.trial import (
    PLACE,
    delivery_of,
    log_silently,
    numbers,
    signal,
    start_trial,
    tell,
    wires_of,
)


async def ready(client: Client) -> dict[str, Any]:
    data: dict[str, Any] = (await client.wait_for("stream:ready", namespace=PLACE)).data
    return data


def epoch_of(kernel: Instance) -> str:
    return delivery_of(kernel).epoch


async def prune(kernel: Instance, *, keep: int = 10_000, later: timedelta = timedelta(0)) -> None:
    async with Context.open(kernel.runtime) as ctx:
        await prune_all(replace(ctx, now=ctx.now + later), keep)


async def test_without_after_one_begins_at_the_head(kernel: Instance, person: Person) -> None:
    await tell(kernel, [person], 1, 2, 3)
    client = await kernel.connect(person, PLACE)
    assert await ready(client) == {"head": 3, "from": 3, "epoch": epoch_of(kernel), "reset": False}
    await tell(kernel, [person], 4)
    await client.wait_for_seq(4, namespace=PLACE)
    assert numbers(client) == [4]


async def test_a_new_person_begins_at_zero(kernel: Instance, person: Person) -> None:
    client = await kernel.connect(person, PLACE, after=0, epoch=epoch_of(kernel))
    assert await ready(client) == {"head": 0, "from": 0, "epoch": epoch_of(kernel), "reset": False}


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_with_after_the_missed_are_replayed_then_the_live_follow(
    kernel: Instance, person: Person, transport: str
) -> None:
    await tell(kernel, [person], *range(250))
    client = await kernel.connect(
        person, PLACE, after=5, epoch=epoch_of(kernel), transports=(transport,)
    )
    assert await ready(client) == {
        "head": 250,
        "from": 5,
        "epoch": epoch_of(kernel),
        "reset": False,
    }
    await tell(kernel, [person], 250)
    await client.wait_for_seq(251, namespace=PLACE)
    assert numbers(client) == list(range(5, 251))
    assert client.told[PLACE][0].event == "stream:ready"
    assert [told.meta["at"] for told in client.pushes(PLACE)] == sorted(
        told.meta["at"] for told in client.pushes(PLACE)
    )


@pytest.mark.parametrize(
    ("auth", "reset"),
    [
        ({"after": 3}, False),
        ({"after": 2}, True),
        ({"after": 7}, False),
        ({"after": 8}, True),
        ({"after": 5, "epoch": "another"}, True),
        ({"epoch": "another"}, True),
        ({"after": 2**53 - 1}, True),
    ],
)
async def test_what_cannot_be_replayed_resets(
    kernel: Instance, person: Person, auth: dict[str, Any], reset: bool
) -> None:
    await tell(kernel, [person], *range(7))
    await prune(kernel, keep=4)
    client = await kernel.connect(person, PLACE, **auth)
    start = await ready(client)
    assert (start["reset"], start["head"]) == (reset, 7)
    assert start["from"] == (7 if reset else auth["after"])
    await tell(kernel, [person], 7)
    await client.wait_for_seq(8, namespace=PLACE)
    assert numbers(client) == list(range(start["from"], 8))


async def test_what_is_older_than_kept_resets(backend: Backend) -> None:
    async with start_trial(backend, stream_retention_days=2) as server:
        person = await server.add_person()
        await tell(server, [person], 1, 2)
        await prune(server, later=timedelta(days=1.9))
        assert not (await ready(await server.connect(person, PLACE, after=0)))["reset"]
        await prune(server, later=timedelta(days=2.1))
        assert (await ready(await server.connect(person, PLACE, after=0)))["reset"]
        assert not (await ready(await server.connect(person, PLACE, after=2)))["reset"]


async def test_who_is_too_far_behind_is_reset(
    kernel: Instance, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MAX_REPLAY", 5)
    await tell(kernel, [person], *range(8))
    assert (await ready(await kernel.connect(person, PLACE, after=2)))["reset"]
    assert not (await ready(await kernel.connect(person, PLACE, after=3)))["reset"]


async def test_a_new_epoch_closes_connections_and_old_positions_reset(
    kernel: Instance, person: Person
) -> None:
    await tell(kernel, [person], 1, 2)
    old = epoch_of(kernel)
    client = await kernel.connect(person, PLACE)
    async with Context.open(kernel.runtime) as ctx:
        new = await events.renew_epoch(ctx.db)
    delivery_of(kernel).recovered()
    await client.wait_until_left(PLACE)
    again = await kernel.connect(person, PLACE, after=2, epoch=old)
    assert await ready(again) == {"head": 2, "from": 2, "epoch": new, "reset": True}
    assert not (await ready(await kernel.connect(person, PLACE, after=1, epoch=new)))["reset"]


def notices(logged: list[events.Logged]) -> list[Notice]:
    return [Notice(e.user_id, e.namespace, e.event, e.data, e.at, e.seq) for e in logged]


async def test_what_the_bus_brings_out_of_order_is_told_in_order(
    kernel: Instance, person: Person
) -> None:
    client = await kernel.connect(person, PLACE)
    await ready(client)
    one, two, three = notices(await log_silently(kernel, person, 1, 2, 3))
    for notice in (three, one, one, two, three, two):
        delivery_of(kernel).receive([notice])
    await client.wait_for_seq(3, namespace=PLACE)
    await tell(kernel, [person], 4)
    await client.wait_for_seq(4, namespace=PLACE)
    assert numbers(client) == [1, 2, 3, 4]


async def test_a_gap_is_filled_from_the_log(kernel: Instance, person: Person) -> None:
    client = await kernel.connect(person, PLACE)
    await ready(client)
    logged = notices(await log_silently(kernel, person, *range(400)))
    delivery_of(kernel).receive(logged[:1])
    for notice in logged[300:]:
        delivery_of(kernel).receive([notice])
    await client.wait_for_seq(400, namespace=PLACE)
    assert numbers(client) == list(range(400))


async def test_a_gap_in_a_log_since_shortened_resets(kernel: Instance, person: Person) -> None:
    client = await kernel.connect(person, PLACE)
    await ready(client)
    await log_silently(kernel, person, *range(9))
    await prune(kernel, keep=2)
    delivery_of(kernel).recovered()
    again = await client.wait_for("stream:ready", namespace=PLACE, count=2)
    assert (again.data["reset"], again.data["head"], again.data["from"]) == (True, 9, 9)
    await tell(kernel, [person], 9)
    await client.wait_for_seq(10, namespace=PLACE)
    assert numbers(client) == [9]


async def test_the_check_of_the_tail_finds_what_the_bus_lost(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "CHECK_TAIL", 0.1)
    async with start_trial(backend) as server:
        person, quiet = await server.add_person(), await server.add_person()
        client, other = await server.connect(person, PLACE), await server.connect(quiet, PLACE)
        for number in range(3):
            await log_silently(server, person, number)
            await client.wait_for_seq(number + 1, namespace=PLACE)
        assert numbers(client) == [0, 1, 2]
        assert numbers(other) == []


async def test_signals_reach_only_who_is_there(kernel: Instance, person: Person) -> None:
    await signal(kernel, [person], 1)
    client = await kernel.connect(person, PLACE, after=0)
    await signal(kernel, [person], 2)
    moved = await client.wait_for("thing:moved", namespace=PLACE)
    assert (moved.data["number"], set(moved.meta)) == (2, {"at"})


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_devices_that_come_and_go_amid_the_sending_miss_and_repeat_nothing(
    kernel: Instance, person: Person, transport: str
) -> None:
    async def come_and_go(device: int) -> list[int]:
        heard: list[int] = []
        while len(heard) < 300:
            client = await kernel.connect(person, PLACE, after=len(heard), transports=(transport,))
            await client.wait_for_seq(min(300, len(heard) + 40 + device), namespace=PLACE)
            await client.close()
            heard += numbers(client)
        return heard

    async def send() -> None:
        for first in range(0, 300, 3):
            await asyncio.gather(*(tell(kernel, [person], n) for n in range(first, first + 3)))

    async with asyncio.TaskGroup() as group:
        devices = [group.create_task(come_and_go(device)) for device in range(4)]
        group.create_task(send())
    heard = [device.result() for device in devices]
    assert sorted(heard[0]) == list(range(300))
    assert heard == [heard[0]] * 4


async def test_a_connection_cut_in_the_middle_goes_on_where_it_was(
    kernel: Instance, person: Person
) -> None:
    sending = asyncio.create_task(tell(kernel, [person], *range(200)))
    heard: list[int] = []
    while len(heard) < 200:
        client = await kernel.connect(person, PLACE, after=len(heard))
        await client.wait_for_seq(min(200, len(heard) + 30), namespace=PLACE)
        for wire in list(wires_of(kernel).values()):
            _cut_cable(wire)
        await client.wait_until_left(PLACE)
        heard += numbers(client)
    await sending
    assert heard == list(range(200))


def _cut_cable(wire: Wire) -> None:
    if not wire.closing:
        wire.abort()

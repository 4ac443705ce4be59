"""Redis hung, gone and back: slower across instances, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.backend import Backend
from tests.instance import Instance
from tests.server.own_redis import OwnRedis
from tests.server.trial import (
    PLACE,
    numbers,
    signal,
    start_trial,
    tell,
    wait_for_bus,
    wait_until,
)

pytestmark = pytest.mark.scaled


@pytest.fixture
async def pair(own_redis: OwnRedis, backend: Backend) -> AsyncIterator[tuple[Instance, Instance]]:
    own = Backend(backend.database_url, own_redis.url, backend.data_dir)
    async with start_trial(own) as one, start_trial(own) as two:
        await wait_for_bus(one, two)
        yield one, two


async def bus_of(server: Instance) -> str:
    status, body = await server.request("GET", "/health/ready")
    assert (status, body["status"], body["database"]) == (200, "ready", "ok")
    return str(body["bus"])


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_redis_all_is_delivered_and_it_comes_back(
    own_redis: OwnRedis, pair: tuple[Instance, Instance], how: str
) -> None:
    one, two = pair
    person = await one.add_person()
    here, there = await one.connect(person, PLACE), await two.connect(person, PLACE)
    assert await bus_of(one) == "ok"

    if how == "killed":
        await own_redis.kill()
    else:
        own_redis.freeze()
    async with asyncio.timeout(1):
        await tell(one, [person], 1, 2)
        await here.wait_for_seq(2, namespace=PLACE)
    async with asyncio.timeout(5):
        await there.wait_for_seq(2, namespace=PLACE)
    for server in pair:
        await wait_until(
            lambda server=server: not server.runtime.bus.healthy, "the loss is noticed"
        )
        assert await bus_of(server) == "degraded"
    late = await two.connect(person, PLACE, after=0)
    await late.wait_for_seq(2, namespace=PLACE)

    if how == "killed":
        await own_redis.start()
    else:
        own_redis.thaw()
    await wait_for_bus(one, two)
    await tell(one, [person], 3)
    await signal(one, [person], 4)
    for device in (here, there, late):
        await device.wait_for_seq(3, namespace=PLACE)
        await device.wait_for("thing:moved", namespace=PLACE)
        assert numbers(device) == [1, 2, 3]


async def test_after_its_subscriptions_are_killed_nothing_is_lost(
    own_redis: OwnRedis, pair: tuple[Instance, Instance]
) -> None:
    one, two = pair
    person = await one.add_person()
    client = await two.connect(person, PLACE)
    sending = asyncio.create_task(tell(one, [person], *range(150)))
    await client.wait_for_seq(20, namespace=PLACE)
    assert await own_redis.kill_subscriptions() >= 2
    await sending
    await client.wait_for_seq(150, namespace=PLACE)
    assert numbers(client) == list(range(150))
    await wait_for_bus(two)
    await signal(one, [person], 1)
    await client.wait_for("thing:moved", namespace=PLACE)


async def test_sessions_that_end_are_cut_everywhere_within_two_seconds_without_redis(
    own_redis: OwnRedis, pair: tuple[Instance, Instance]
) -> None:
    one, two = pair
    person = await one.add_person()
    other = await one.sign_in(person.email)
    client = await two.connect(person, PLACE)
    own_redis.freeze()
    async with asyncio.timeout(2):
        await one.ask(other, "/account", "session:end", {"session_id": person.session_id})
        assert await client.wait_until_left(PLACE) == "server disconnect"
    own_redis.thaw()

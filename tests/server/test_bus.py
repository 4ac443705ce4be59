"""Both buses pass one suite: a hint, at most once, and who is there."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from server.bus import Bus, Cut, Message, Notice
from server.bus import redis as redis_bus
from server.bus.memory import MemoryBus
from server.bus.redis import RedisBus
from server.bus.seals import Seals
from tests.backend import REDIS, SCALED
from tests.server.trial import wait_until

SEALS = Seals(["a secret of these instances"])
NewBus = Callable[[], Awaitable[tuple[Bus, "Ears"]]]


class Ears:
    """What the bus told this instance."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.gone: list[int] = []
        self.recoveries = 0
        self._news = asyncio.Event()

    def receive(self, messages: Sequence[Message]) -> None:
        self.heard += messages
        self._news.set()

    def recovered(self) -> None:
        self.recoveries += 1
        self._news.set()

    def departed(self, user_ids: Collection[int]) -> None:
        self.gone.extend(user_ids)
        self._news.set()

    async def wait_for(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def new_bus() -> AsyncIterator[NewBus]:
    """Start one more bus of one deployment; the memory's kind has only one."""
    deployment = uuid.uuid4().hex
    async with AsyncExitStack() as stack:

        async def start() -> tuple[Bus, Ears]:
            bus: Bus = RedisBus(REDIS, deployment, SEALS) if SCALED else MemoryBus()
            ears = Ears()
            await bus.start(ears)
            stack.push_async_callback(bus.stop)
            await wait_until(lambda: bus.healthy, "the bus is up")
            return bus, ears

        yield start


def read_unreadable() -> float:
    return REGISTRY.get_sample_value("emotrack_bus_unreadable_total") or 0


def notice(user_id: int, seq: int | None = 1, text: str = "ё\n\u2028") -> Notice:
    at = datetime(2026, 11, 21, 9, 30, 0, 123456, UTC)
    return Notice(user_id, "/chat", "thing:added", f'{{"text":"{text}"}}', at, seq)


async def test_people_subscribed_to_are_heard_of_others_not(new_bus: NewBus) -> None:
    bus, ears = await new_bus()
    bus.subscribe(1)
    bus.publish([notice(1, 1), notice(2, 1), notice(1, None), Cut(1, (4, 5)), Cut(2, (6,))])
    await ears.wait_for(lambda: len(ears.heard) == 3)
    assert ears.heard == [notice(1, 1), notice(1, None), Cut(1, (4, 5))]


async def test_after_unsubscribing_nothing_is_heard(new_bus: NewBus) -> None:
    bus, ears = await new_bus()
    bus.subscribe(1)
    bus.subscribe(2)
    bus.unsubscribe(1)
    bus.publish([notice(1), notice(2)])
    await ears.wait_for(lambda: ears.heard)
    assert ears.heard == [notice(2)]


async def test_one_may_subscribe_again_at_once(new_bus: NewBus) -> None:
    bus, ears = await new_bus()
    for seq in range(20):
        bus.subscribe(1)
        bus.publish([notice(1, seq)])
        bus.unsubscribe(1)
    await ears.wait_for(lambda: len(ears.heard) == 20)
    assert [message.seq for message in ears.heard if isinstance(message, Notice)] == [*range(20)]


async def test_publishing_after_the_stop_is_harmless(new_bus: NewBus) -> None:
    bus, ears = await new_bus()
    bus.subscribe(1)
    await bus.stop()
    bus.publish([notice(1)])
    assert ears.heard == []


async def test_who_arrives_is_there_until_they_depart(new_bus: NewBus) -> None:
    bus, _ = await new_bus()
    assert await bus.arrive([1, 3]) == {1, 3}
    assert await bus.find_online([1, 2]) == {1}
    assert await bus.find_online([]) == set()
    assert await bus.depart([1]) == {1}
    assert await bus.find_online([1, 2]) == set()


@pytest.mark.scaled
async def test_instances_hear_each_other(new_bus: NewBus) -> None:
    (one, ears), (two, others) = await new_bus(), await new_bus()
    one.subscribe(1)
    two.subscribe(1)
    two.subscribe(2)
    one.publish([notice(1), notice(2), Cut(1, (3,))])
    await others.wait_for(lambda: len(others.heard) == 3)
    assert others.heard == [notice(1), notice(2), Cut(1, (3,))]
    assert ears.heard == [notice(1), Cut(1, (3,))], "one's own messages are heard once"


@pytest.mark.scaled
async def test_a_person_is_there_while_any_instance_holds_them(new_bus: NewBus) -> None:
    (one, _), (two, _) = await new_bus(), await new_bus()
    assert await one.arrive([1, 2]) == {1, 2}
    assert await two.arrive([1, 3]) == {3}
    assert await one.depart([1, 2]) == {2}
    assert await one.find_online([1]) == {1}
    assert await two.depart([1]) == {1}
    assert await one.find_online([1]) == set()


@pytest.mark.scaled
async def test_an_instance_that_stops_takes_its_people_along(new_bus: NewBus) -> None:
    (one, _), (two, _) = await new_bus(), await new_bus()
    await one.arrive([1])
    await two.arrive([2])
    await one.stop()
    assert await two.find_online([1, 2]) == {2}


@pytest.mark.scaled
async def test_deployments_on_one_redis_do_not_mix(new_bus: NewBus) -> None:
    (one, ears) = await new_bus()
    other, others = RedisBus(REDIS, uuid.uuid4().hex, SEALS), Ears()
    await other.start(others)
    await wait_until(lambda: other.healthy, "the other is up")
    one.subscribe(1)
    other.subscribe(1)
    await one.arrive([1])
    one.publish([notice(1)])
    await ears.wait_for(lambda: ears.heard)
    assert await other.find_online([1]) == set()
    await other.stop()
    assert others.heard == []


@pytest.mark.scaled
async def test_many_messages_of_a_moment_arrive_in_their_order(new_bus: NewBus) -> None:
    (one, _), (two, others) = await new_bus(), await new_bus()
    for user_id in (1, 2):
        two.subscribe(user_id)
    sent: list[Message] = [Cut(2, (7,)), *(notice(1 + seq % 2, seq) for seq in range(1200))]
    one.publish(sent)
    await others.wait_for(lambda: len(others.heard) == len(sent))
    assert others.heard == sent


@pytest.mark.scaled
async def test_what_nobody_of_ours_sealed_is_not_heard(new_bus: NewBus) -> None:
    bus, ears = await new_bus()
    assert isinstance(bus, RedisBus)
    bus.subscribe(1)
    others = Seals(["another secret"])
    forged = b"0" * 16 + redis_bus._SEPARATOR + redis_bus._encode(notice(1, 5))
    here, there = bus._channel, f"{bus._channel}:else"
    async with Redis.from_url(REDIS) as redis:
        for message in (
            forged,
            b"",
            others.seal(here, forged),
            SEALS.seal(there, forged),
            SEALS.seal(here, forged)[:-1],
        ):
            await redis.publish(here, message)
        await redis.publish(here, SEALS.seal(here, forged))
        await ears.wait_for(lambda: ears.heard)
    assert ears.heard == [notice(1, 5)]


@pytest.mark.scaled
async def test_what_a_newer_version_says_in_another_way_is_passed_over(new_bus: NewBus) -> None:
    bus, ears = await new_bus()
    assert isinstance(bus, RedisBus)
    bus.subscribe(1)
    said = redis_bus._encode(notice(1, 5))
    unknown = (b"1,2\n[]\n{}", b"", b"1\n[1]\n{}", b"1\n{\n{}", said.replace(b"2026-", b"20268-"))
    before = read_unreadable()
    async with Redis.from_url(REDIS) as redis:
        content = redis_bus._SEPARATOR.join([b"f" * 16, *unknown, said])
        await redis.publish(bus._channel, SEALS.seal(bus._channel, content))
        await ears.wait_for(lambda: ears.heard)
    assert ears.heard == [notice(1, 5)]
    assert read_unreadable() == before + len(unknown)


async def test_seals_are_good_while_keys_are_changed() -> None:
    old, both, new = Seals(["old"]), Seals(["new", "old"]), Seals(["new"])
    assert both.open("here", old.seal("here", b"said")) == b"said"
    assert new.open("here", both.seal("here", b"said")) == b"said"
    assert new.open("here", old.seal("here", b"said")) is None


@pytest.mark.scaled
async def test_whoever_nobody_hears_says_nothing_until_another_one_comes(new_bus: NewBus) -> None:
    one, _ = await new_bus()

    def is_silent() -> bool:
        one.publish([notice(1)])
        return one.waiting == 0

    await wait_until(is_silent, "it is alone")
    other, ears = await new_bus()
    other.subscribe(1)
    await wait_until(lambda: not is_silent(), "the other one has said that it is there")
    await ears.wait_for(lambda: ears.heard)


@pytest.mark.scaled
async def test_whoever_is_alone_again_is_silent_again(new_bus: NewBus) -> None:
    (one, _), (other, _) = await new_bus(), await new_bus()

    def is_silent() -> bool:
        one.publish([notice(1)])
        return one.waiting == 0

    await wait_until(lambda: not is_silent(), "they have heard of each other")
    await other.stop()
    await wait_until(is_silent, "it is alone")


@pytest.mark.scaled
async def test_to_say_nothing_tells_nobody_whether_one_is_alone(new_bus: NewBus) -> None:
    (one, _), (other, ears) = await new_bus(), await new_bus()
    other.subscribe(1)
    one.publish([notice(1, 1)])
    await ears.wait_for(lambda: ears.heard)

    one.publish([])
    await asyncio.sleep(0)
    one.publish([notice(1, 2)])

    await ears.wait_for(lambda: len(ears.heard) == 2)

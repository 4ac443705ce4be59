"""Both caches pass one suite: what was put is there for a while, and nothing ever fails."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import date

import pytest
from redis.asyncio import Redis

from server import cache as caches
from server.bus.seals import Seals
from server.cache import MAX_VALUE, Cache, MemoryCache, RedisCache
from tests.backend import REDIS, SCALED
from tests.conftest import StartInstance
from tests.diaries import start_diary
from tests.server.own_redis import OwnRedis
from tests.stand_ins.waiting import eventually

SEALS = Seals(["a secret of these instances"])
MARCH = {"from": "2026-03-01", "to": "2026-03-31", "period": "week"}


@pytest.fixture
async def cache() -> AsyncIterator[Cache]:
    cache: Cache = RedisCache(REDIS, uuid.uuid4().hex, SEALS) if SCALED else MemoryCache()
    yield cache
    await cache.close()


async def test_what_was_put_is_there(cache: Cache) -> None:
    assert await cache.get("one") is None
    await cache.put("one", '{"text":"ё\\n"}', 60)
    await cache.put("two", "", 60)
    assert await cache.get("one") == '{"text":"ё\\n"}'
    assert await cache.get("two") == ""
    await cache.put("one", "another", 60)
    assert await cache.get("one") == "another"


async def test_it_runs_out(cache: Cache) -> None:
    await cache.put("one", "1", 1)
    await cache.put("two", "2", 60)

    async def is_gone() -> bool:
        return await cache.get("one") is None

    await eventually(is_gone, "it has run out")
    assert await cache.get("two") == "2"


async def test_what_is_too_long_is_not_kept(cache: Cache) -> None:
    await cache.put("long", "x" * MAX_VALUE, 60)
    await cache.put("longer", "x" * (MAX_VALUE + 1), 60)
    assert await cache.get("long") == "x" * MAX_VALUE
    assert await cache.get("longer") is None


@pytest.mark.embedded
async def test_what_was_used_longest_ago_makes_room() -> None:
    now = 0.0
    cache = MemoryCache(room=30, clock=lambda: now)
    for key in "abc":
        await cache.put(key, key * 9, 5)
    assert await cache.get("a") == "a" * 9
    await cache.put("d", "d" * 9, 10)
    assert [await cache.get(key) is not None for key in "abcd"] == [True, False, True, True]
    now = 5
    assert [await cache.get(key) is not None for key in "acd"] == [False, False, True]
    for _ in range(3):
        await cache.put("d", "d" * 19, 10)
    await cache.put("e", "e" * 9, 10)
    assert [await cache.get(key) is not None for key in "de"] == [True, True]
    await cache.put("f", "f" * 40, 10)
    assert await cache.get("f") is None


@pytest.mark.scaled
async def test_instances_share_it_and_deployments_do_not() -> None:
    deployment = uuid.uuid4().hex
    one, two = [RedisCache(REDIS, deployment, SEALS) for _ in range(2)]
    other = RedisCache(REDIS, uuid.uuid4().hex, SEALS)
    await one.put("key", "value", 60)
    assert await two.get("key") == "value"
    assert await other.get("key") is None
    for cache in (one, two, other):
        await cache.close()


@pytest.mark.scaled
async def test_what_nobody_of_ours_sealed_is_not_believed() -> None:
    deployment = uuid.uuid4().hex
    ours = RedisCache(REDIS, deployment, SEALS)
    theirs = RedisCache(REDIS, deployment, Seals(["another secret"]))
    await theirs.put("one", "forged", 60)
    await ours.put("two", "true", 60)
    place = f"emotrack:{deployment}:cache:"
    async with Redis.from_url(REDIS) as redis:
        await redis.copy(f"{place}two", f"{place}three")
        await redis.set(f"{place}four", "short", ex=60)
    assert [await ours.get(key) for key in ("one", "two", "three", "four")] == [
        None,
        "true",
        None,
        None,
    ]
    for cache in (ours, theirs):
        await cache.close()


@pytest.mark.scaled
@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_redis_nothing_is_there_and_nobody_waits_long(
    own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(caches, "REST", 0.5)
    cache = RedisCache(own_redis.url, uuid.uuid4().hex, SEALS)
    await cache.put("one", "1", 60)
    assert await cache.get("one") == "1"

    if how == "killed":
        await own_redis.kill()
    else:
        own_redis.freeze()
    async with asyncio.timeout(2):
        assert [await cache.get("one") for _ in range(100)] == [None] * 100
        await cache.put("one", "2", 60)

    if how == "killed":
        await own_redis.start()
    else:
        own_redis.thaw()

    async def is_back() -> bool:
        await cache.put("two", "2", 60)
        return await cache.get("two") == "2"

    await eventually(is_back, "Redis is asked again")
    await cache.close()


@pytest.mark.scaled
async def test_statistics_are_reckoned_anew_without_redis(
    own_redis: OwnRedis, start: StartInstance
) -> None:
    server = await start(redis_url=own_redis.url)
    diary = await start_diary(server)
    await diary.add_on(date(2026, 3, 5), 7)
    before = await diary.ask("series:get", **MARCH)
    own_redis.freeze()
    async with asyncio.timeout(3):
        assert await diary.ask("series:get", **MARCH) == before
    own_redis.thaw()

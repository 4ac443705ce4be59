"""Statements that are alone: one after the other on one connection, but never behind a slow one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from storage.database import Database, is_unavailable
from storage.driver import Prepared
from storage.one_by_one import OneByOne
from tests.instance import Instance
from tests.stand_ins.waiting import eventually

pytestmark = pytest.mark.scaled

SOON = 0.01
NEVER = 60.0


@pytest.fixture
async def database(server: Instance) -> AsyncIterator[Database]:
    """With a pool that nobody else uses."""
    made = Database(server.runtime.database.url)
    yield made
    await made.close()


@asynccontextmanager
async def one_by_one(database: Database, *, patience: float) -> AsyncIterator[OneByOne]:
    made = OneByOne(database.writer, patience)
    try:
        yield made
    finally:
        await made.close()


async def ask(line: OneByOne, expression: str, *, source: str = "") -> Any:
    """The value of an expression."""
    ((value,),) = await line.fetch(Prepared(f"SELECT {expression} {source}", [], {}), ())
    return value


async def find_backend(line: OneByOne) -> int:
    found: int = await ask(line, "pg_backend_pid()")
    return found


def count_lent(database: Database) -> int:
    return database.pools["writer"].checkedout()


async def count_running(line: OneByOne, number: float) -> int:
    """How many statements are under way that have this number in them, but for this one."""
    others = f"query LIKE '%pg_sleep({number})%' AND pid <> pg_backend_pid() AND state = 'active'"
    found: int = await ask(line, "count(*)", source=f"FROM pg_stat_activity WHERE {others}")
    return found


async def test_all_go_over_one_connection_in_their_order(database: Database) -> None:
    done: list[int] = []

    async def go(place: int) -> int:
        backend = await find_backend(line)
        done.append(place)
        return backend

    async with one_by_one(database, patience=NEVER) as line:
        backends = await asyncio.gather(*map(go, range(20)))
        assert count_lent(database) == 1

    assert len(set(backends)) == 1
    assert done == list(range(20))
    assert count_lent(database) == 0


async def test_who_comes_after_a_slow_one_goes_on_beside_it(database: Database) -> None:
    async with one_by_one(database, patience=SOON) as line:
        slow = asyncio.create_task(ask(line, "pg_sleep(2)::text"))
        async with asyncio.timeout(1):
            assert await ask(line, "7") == 7
            assert await ask(line, "8") == 8
        assert not slow.done()
        await slow
        # Both lines had a connection, of which one is kept.
        assert count_lent(database) == 1


async def test_what_fails_fails_alone(database: Database) -> None:
    async with one_by_one(database, patience=NEVER) as line:
        failing = asyncio.create_task(ask(line, "1 / 0"))
        good = asyncio.create_task(ask(line, "7"))
        with pytest.raises(Exception, match="division by zero"):
            await failing
        assert await good == 7


async def test_who_breaks_off_while_waiting_has_asked_for_nothing(database: Database) -> None:
    async with one_by_one(database, patience=NEVER) as line:
        slow = asyncio.create_task(ask(line, "pg_sleep(0.3)::text"))
        waiting = asyncio.create_task(ask(line, "pg_sleep(59)::text"))
        await asyncio.sleep(0)
        waiting.cancel()
        async with asyncio.timeout(2):
            await slow
            assert await ask(line, "7") == 7


async def test_who_breaks_off_does_not_break_off_what_has_begun(database: Database) -> None:
    async with (
        one_by_one(database, patience=NEVER) as line,
        one_by_one(database, patience=NEVER) as other,
    ):
        slow = asyncio.create_task(ask(line, "pg_sleep(0.317)::text"))

        async def is_running() -> bool:
            return await count_running(other, 0.317) == 1

        await eventually(is_running, "it to begin")
        slow.cancel()
        await asyncio.wait([slow])
        assert await is_running()
        assert await ask(line, "7") == 7
        assert not await is_running()


async def test_a_connection_that_was_lost_is_not_kept(database: Database) -> None:
    async with (
        one_by_one(database, patience=NEVER) as line,
        one_by_one(database, patience=NEVER) as other,
    ):
        before = await find_backend(line)
        assert await ask(other, f"pg_terminate_backend({before})")

        async def is_back() -> bool:
            try:
                return await find_backend(line) != before
            except Exception as error:
                if not is_unavailable(error):
                    raise
                return False

        await eventually(is_back, "another connection")

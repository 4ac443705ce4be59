"""Statements that are alone: one after the other, but never behind a slow one."""

import asyncio

import pytest

from storage.one_by_one import OneByOne

SOON = 0.01
NEVER = 60.0


async def test_nobody_is_in_beside_somebody_else() -> None:
    inside = most = 0
    one_by_one = OneByOne(NEVER)

    async def go_in() -> None:
        nonlocal inside, most
        async with one_by_one.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(go_in() for _ in range(10)))

    assert most == 1


async def test_who_comes_after_a_slow_one_goes_on_beside_it() -> None:
    one_by_one, end = OneByOne(SOON), asyncio.Event()

    async def be_slow() -> None:
        async with one_by_one.turn():
            await end.wait()

    slow = asyncio.create_task(be_slow())
    await asyncio.sleep(0)
    async with asyncio.timeout(NEVER), one_by_one.turn():
        assert not slow.done()
    end.set()
    await slow


@pytest.mark.parametrize("is_waiting", [False, True])
async def test_who_breaks_off_leaves_the_way_free(is_waiting: bool) -> None:
    one_by_one, entered = OneByOne(NEVER), asyncio.Event()

    async def stay() -> None:
        async with one_by_one.turn():
            entered.set()
            await asyncio.Event().wait()

    first = asyncio.create_task(stay())
    await entered.wait()
    second = asyncio.create_task(stay())
    await asyncio.sleep(0)
    for task in [second, first] if is_waiting else [first, second]:
        task.cancel()
        await asyncio.wait([task])

    async with asyncio.timeout(NEVER), one_by_one.turn():
        pass

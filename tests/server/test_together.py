"""Questions of one moment and the queries that answer them."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from server.together import Together

pytestmark = pytest.mark.embedded  # No database has a part in it.


class Library:
    """Answers with the square, once it is let; knows nothing of negative numbers."""

    def __init__(self) -> None:
        self.queries: list[Sequence[int]] = []
        self.is_broken = False
        self.entered = asyncio.Event()
        self.open = asyncio.Event()

    async def find(self, keys: Sequence[int]) -> Mapping[int, int]:
        self.queries.append(keys)
        self.entered.set()
        await self.open.wait()
        if self.is_broken:
            raise ConnectionError
        return {key: key * key for key in keys if key >= 0}


async def test_who_asks_meanwhile_is_answered_by_the_next_query() -> None:
    library = Library()
    together = Together(library.find, most=3)
    asked = [asyncio.create_task(together.ask(key)) for key in (1, 2, 2, -3, 4, 5)]
    await library.entered.wait()
    late = asyncio.create_task(together.ask(1))
    await asyncio.sleep(0)
    library.open.set()
    assert await asyncio.gather(*asked) == [1, 4, 4, None, 16, 25]
    assert await late == 1
    assert sum(map(len, library.queries)) == 6, "what was asked during the query is asked anew"
    assert max(map(len, library.queries)) <= 3


async def test_a_failure_is_of_those_who_asked_and_not_of_the_next() -> None:
    library = Library()
    library.is_broken = True
    library.open.set()
    together = Together(library.find, most=10)
    failed = await asyncio.gather(together.ask(1), together.ask(2), return_exceptions=True)
    assert all(isinstance(one, ConnectionError) for one in failed)
    library.is_broken = False
    assert await together.ask(3) == 9


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    library = Library()
    together = Together(library.find, most=10)
    impatient, patient = (asyncio.create_task(together.ask(7)) for _ in range(2))
    await library.entered.wait()
    impatient.cancel()
    library.open.set()
    assert await patient == 49
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_a_query_that_nobody_waits_for_is_over_before_it_is_closed() -> None:
    library = Library()
    together = Together(library.find, most=10)
    gone = asyncio.create_task(together.ask(7))
    await library.entered.wait()
    gone.cancel()
    closing = asyncio.create_task(together.close())
    await asyncio.sleep(0)
    assert not closing.done()
    library.open.set()
    await closing
    assert together._running is None

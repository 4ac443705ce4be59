"""Questions of one moment, answered by one query."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Generic, TypeVar

PAUSE = 0.005
"""Seconds in which more may ask before the next query: those of a crowd would be many small ones."""

CLOSE_TIMEOUT = 3.0

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class Together(Generic[Key, Answer]):
    """Who asks while a query is under way is answered by the next one, with all others who asked.

    When thousands come back at once, the database is asked some dozens of times, over one
    connection. Each answer is read after its question was asked.
    """

    def __init__(
        self, find: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Answer]]], most: int
    ) -> None:
        """`find` answers up to `most` keys; those it leaves out have no answer."""
        self._find = find
        self._most = most
        self._asked: dict[Key, list[asyncio.Future[Answer | None]]] = {}
        self._running: asyncio.Task[None] | None = None

    async def ask(self, key: Key) -> Answer | None:
        """Raises: what the query raised."""
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(key, []).append(future)
        if self._running is None:
            # Nobody's request: it must not carry the id of the one that started it.
            self._running = asyncio.create_task(self._run(), context=contextvars.Context())
        return await future

    async def close(self) -> None:
        """Let the query come to its end: those who asked may have gone, and it holds a connection."""
        if self._running is not None:
            await asyncio.wait([self._running], timeout=CLOSE_TIMEOUT)

    async def _run(self) -> None:
        while self._asked:
            asked = {key: self._asked.pop(key) for key in list(islice(self._asked, self._most))}
            try:
                found = await self._find(list(asked))
            except Exception as error:
                for future in _list_waiting(chain.from_iterable(asked.values())):
                    future.set_exception(error)
            else:
                for key, futures in asked.items():
                    for future in _list_waiting(futures):
                        future.set_result(found.get(key))
            if self._asked:
                await asyncio.sleep(PAUSE)
        self._running = None


def _list_waiting(
    futures: Iterable[asyncio.Future[Answer | None]],
) -> Iterator[asyncio.Future[Answer | None]]:
    """Whoever gave up waits no more."""
    return (future for future in futures if not future.done())

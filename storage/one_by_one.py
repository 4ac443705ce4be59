"""Statements that are transactions by themselves: they cost less one after the other than side by side."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from storage.driver import Prepared, announce, fetch_on, give_back


class _Asked(NamedTuple):
    prepared: Prepared
    values: Sequence[Any]
    answer: asyncio.Future[Sequence[Any]]
    came_at: float


class OneByOne:
    """Carries statements out in their order, but lets none wait for a slow one.

    The next one leaves before the answer of the last is looked at. The pool lends the connection
    for good: to take it out and give it back costs a server a fifteenth of all that it does.
    """

    def __init__(self, engine: AsyncEngine, patience: float) -> None:
        """`patience` is the longest wait, in seconds: then there is another line beside the first."""
        self._engine = engine
        self._patience = patience
        self._waiting: deque[_Asked] = deque()
        self._lines: set[asyncio.Task[None]] = set()
        self._kept: Any = None
        self._next_look: asyncio.TimerHandle | None = None

    async def fetch(self, prepared: Prepared, values: Sequence[Any]) -> Sequence[Any]:
        """The driver's records; `values` are the parameters, arranged.

        Whoever gives up waiting takes back what has not begun, and only that.
        """
        # Here, for those who watch may ask on whose behalf it is.
        announce(self._engine.sync_engine, prepared, values)
        answer: asyncio.Future[Sequence[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(prepared, values, answer, monotonic()))
        if not self._lines:
            self._begin()
        elif self._next_look is None:
            self._look_later()
        return await answer

    async def close(self) -> None:
        """Let what has begun come to its end, and give the connection back."""
        while self._lines:
            await asyncio.wait(self._lines)
        if self._next_look is not None:
            self._next_look.cancel()
        if (kept := self._take()) is not None:
            give_back(kept)

    def _begin(self) -> None:
        # Nobody's request: it must not carry the id of the one that started it.
        self._lines.add(asyncio.create_task(self._go_on(), context=contextvars.Context()))

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._next_look = loop.call_later(self._patience, self._look)

    def _look(self) -> None:
        self._next_look = None
        if self._waiting:
            if monotonic() >= self._waiting[0].came_at + self._patience:
                self._begin()
            self._look_later()

    async def _go_on(self) -> None:
        try:
            while self._waiting:
                asked = self._waiting.popleft()
                if not asked.answer.done():
                    await self._answer(asked)
        finally:
            # Without waiting: whoever asks from now on must begin another line.
            self._lines.difference_update({asyncio.current_task()})

    async def _answer(self, asked: _Asked) -> None:
        connection = self._take()
        try:
            if connection is None:
                connection = await self._engine.raw_connection()
            records = await fetch_on(connection, asked.prepared, asked.values)
        except Exception as error:
            if connection is not None:
                give_back(connection, error)
            if not asked.answer.done():
                asked.answer.set_exception(error)
        else:
            self._keep(connection)
            if not asked.answer.done():
                asked.answer.set_result(records)

    def _take(self) -> Any:
        """The connection that is kept, if there is one and nobody has closed it meanwhile."""
        kept, self._kept = self._kept, None
        if kept is not None and kept.driver_connection.is_closed():
            give_back(kept)
            return None
        return kept

    def _keep(self, connection: Any) -> None:
        if self._kept is None:
            self._kept = connection
        else:
            give_back(connection)

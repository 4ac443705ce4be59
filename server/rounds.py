"""Work that gathers: the first of it is done at once, what comes meanwhile together."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

CLOSE_TIMEOUT = 3.0


class Rounds:
    """Calls `work` as long as there `is_more`, with a pause after each round."""

    def __init__(
        self, is_more: Callable[[], bool], work: Callable[[], Awaitable[None]], pause: float
    ) -> None:
        self._is_more = is_more
        self._work = work
        self._pause = pause
        self._running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Never waits."""
        if self._running is None:
            # Nobody's request: it must not carry the id of the one that happened to start it.
            self._running = asyncio.create_task(self._run(), context=contextvars.Context())

    async def close(self) -> None:
        if self._running is not None:
            await asyncio.wait([self._running], timeout=CLOSE_TIMEOUT)

    async def _run(self) -> None:
        while self._is_more():
            await self._work()
            await asyncio.sleep(self._pause)
        self._running = None

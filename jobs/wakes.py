"""Telling the workers, at once after the commit that made a job due."""

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from taskiq.kicker import AsyncKicker

from jobs.broker import MAX_WAITING, WAKE, Brokers
from server.log import get_logger
from server.outgoing import Queue
from server.runtime import Runtime
from server.tasks import end_tasks
from storage.outbox import Wake

log = get_logger(__name__)


class Wakes:
    """The process's way to the workers; open as long as it may commit anything."""

    def __init__(self, runtime: Runtime, brokers: Brokers) -> None:
        self._runtime = runtime
        self._brokers = brokers
        self._waiting: deque[Wake] = deque(maxlen=MAX_WAITING)
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self, wakes: Sequence[Wake]) -> None:
        """Never waits. What cannot be told is told again by the scheduler."""
        self._waiting.extend(wakes)
        self._news.set()

    async def __aenter__(self) -> Self:
        for broker in self._brokers.values():
            await broker.startup()
        self._task = asyncio.create_task(self._run())
        self._runtime.waker = self
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._runtime.waker = None
        if self._task is not None:
            await end_tasks([self._task])
        for broker in self._brokers.values():
            await broker.shutdown()

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                wake = self._waiting.popleft()
                try:
                    await self._tell(wake)
                except Exception as error:
                    log.warning("wakes.lost", error=type(error).__name__, lost=len(self._waiting))
                    self._waiting.clear()

    async def _tell(self, wake: Wake) -> None:
        broker = self._brokers[Queue(wake.queue)]
        kicker: AsyncKicker[[int], None] = AsyncKicker(WAKE, broker, labels={})
        await kicker.kiq(wake.job_id)

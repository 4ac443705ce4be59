"""The worker: does jobs, so many of each queue at a time."""

import asyncio
from types import TracebackType
from typing import Self

from taskiq.receiver import Receiver

from jobs.broker import Brokers
from server.outgoing import Queue
from server.tasks import end_tasks

SLOTS = {Queue.GENERAL: 8, Queue.PUSH: 16, Queue.MAIL: 8, Queue.FILES: 2}
"""Jobs at a time. Queues share nothing: a provider that hangs holds up its own queue alone."""

LEAVE_AFTER = 10.0
"""Seconds that running jobs have to end when the worker stops; then they are handed back."""


class Worker:
    def __init__(self, brokers: Brokers) -> None:
        self._receivers = [
            Receiver(broker, max_async_tasks=SLOTS[queue], run_startup=False)
            for queue, broker in brokers.items()
        ]
        self._leaving = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(receiver.listen(self._leaving)) for receiver in self._receivers
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LEAVE_AFTER)
            await end_tasks(self._tasks)

"""The worker: does jobs, so many of each queue at a time."""

import asyncio
from types import TracebackType
from typing import Any, Self

from taskiq.receiver import Receiver

from jobs.broker import WAKE, Brokers
from jobs.perform import perform
from server import incoming
from server.log import get_logger
from server.outgoing import Queue
from server.runtime import Runtime
from server.tasks import end_tasks
from storage.database import is_unavailable

log = get_logger(__name__)

SLOTS = {
    Queue.GENERAL: 8,
    Queue.PUSH: 16,
    Queue.MAIL: 8,
    Queue.FILES: 2,
    Queue.AI: 16,
    Queue.EXPORTS: 2,
}
"""Jobs at a time. Queues share nothing: a provider that hangs holds up its own queue alone."""

LEAVE_AFTER = 10.0
"""Seconds that running jobs have to end when the worker stops; then they are handed back."""


class Worker:
    def __init__(self, runtime: Runtime, brokers: Brokers) -> None:
        self._runtime = runtime
        self._brokers = brokers
        self._leaving = asyncio.Event()
        self._listening: list[asyncio.Task[None]] = []
        self._performing: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        folder = self._runtime.settings.data_dir / "incoming"
        await asyncio.to_thread(incoming.clear, folder)

        async def wake(job_id: int) -> None:
            performing = asyncio.create_task(perform(self._runtime, job_id))
            self._performing.add(performing)
            performing.add_done_callback(self._performing.discard)
            try:
                await performing
            except Exception as error:
                if not is_unavailable(error):
                    raise
                # The job is still there, and will be told of again.
                log.warning("worker.unavailable", error=type(error).__name__)

        for queue, broker in self._brokers.items():
            broker.register_task(wake, task_name=WAKE)
            receiver = Receiver(broker, max_async_tasks=SLOTS[queue], run_startup=False)
            self._listening.append(asyncio.create_task(receiver.listen(self._leaving)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.set()
        await asyncio.wait(self._listening, timeout=LEAVE_AFTER)
        # The receiver would wait for them as long as they take.
        await end_tasks(self._performing)
        await end_tasks(self._listening)

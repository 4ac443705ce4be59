"""The relay: from the outbox to the workers, at once after a commit and again when overdue."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from taskiq import AsyncBroker

from jobs.broker import register_wake
from jobs.upkeep import Prune, prune
from server.context import Context
from server.log import get_logger
from server.runtime import Runtime
from server.tasks import end_tasks
from storage import outbox

log = get_logger(__name__)

POLL = 1.0
MAX_RUNNING = 16


class Relay:
    """Runs beside a server, with the workers of an in-process broker or in front of others."""

    def __init__(self, runtime: Runtime, broker: AsyncBroker) -> None:
        self._runtime = runtime
        self._broker = broker
        self._wake = register_wake(broker, runtime)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._broker.startup()
        async with Context.open(self._runtime) as ctx:
            ctx.enqueue(prune, Prune(), key="prune")
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            await end_tasks([self._task])
            await asyncio.gather(*self._running.values(), return_exceptions=True)
        await self._broker.shutdown()

    async def _run(self) -> None:
        while True:
            self._runtime.jobs_added.clear()
            try:
                await self._send_due()
            except Exception as error:
                log.warning("relay.failed", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._runtime.jobs_added.wait(), POLL)

    async def _send_due(self) -> None:
        room = MAX_RUNNING - len(self._running)
        if room <= 0:
            return
        async with self._runtime.database.session(write=False) as db:
            due = await outbox.list_due_jobs(db, self._runtime.clock(), MAX_RUNNING + room)
        for job_id in [job_id for job_id in due if job_id not in self._running][:room]:
            self._running[job_id] = asyncio.create_task(self._send(job_id))

    async def _send(self, job_id: int) -> None:
        try:
            sent = await self._wake.kiq(job_id)
            await sent.wait_result()
        finally:
            del self._running[job_id]
            # There may be more than there was room for.
            self._runtime.jobs_added.set()

"""The scheduler: wakes workers for jobs whose time has come, and for those that were forgotten."""

import asyncio
from types import TracebackType
from typing import Self

from jobs.upkeep import plan_upkeep
from server.context import Context
from server.log import get_logger
from server.outgoing import Queue
from server.runtime import Runtime
from server.tasks import end_tasks
from server.work import WAKE_TRUST
from storage import outbox

log = get_logger(__name__)

EVERY = 1.0
UPKEEP_EVERY = 600
"""Ticks after which it is seen to that upkeep is planned, whatever became of it."""

MAX_WAKES = 500


class Scheduler:
    """Several may run: a row is locked while it is told of, and then waits for its next time."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
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

    async def _run(self) -> None:
        tick = 0
        while True:
            try:
                if tick % UPKEEP_EVERY == 0:
                    await plan_upkeep(self._runtime)
                await wake_overdue(self._runtime)
                tick += 1
            except Exception as error:
                log.warning("scheduler.failed", error=type(error).__name__)
            await asyncio.sleep(EVERY)


async def wake_overdue(runtime: Runtime) -> None:
    """One tick: each queue has its own share, so that none hides another's jobs."""
    async with Context.open(runtime, write=False) as ctx:
        overdue = await outbox.find_overdue(ctx.db, Queue, ctx.now)
    for queue in overdue:
        async with Context.open(runtime) as ctx:
            due = await outbox.wake_overdue(
                ctx.db, queue, now=ctx.now, trust=WAKE_TRUST, limit=MAX_WAKES
            )
        if due and runtime.waker is not None:
            runtime.waker.wake(due)

"""Doing one job: claimed for a while, done and deleted in one transaction, or tried again."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from server import metrics
from server.context import Caller, Context
from server.log import get_logger
from server.outgoing import Job, Value
from server.runtime import Runtime
from storage import outbox

log = get_logger(__name__)

TIMEOUT = 60.0
LEASE = timedelta(seconds=90)
"""Longer than any job may take: when it is over, whoever had the job is dead or frozen."""

MAX_ATTEMPTS = 12
FIRST_RETRY = 2.0
LAST_RETRY = 3600.0

Function = Callable[[Context, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Implementation:
    job: Job[Any]
    function: Function


JOBS: dict[str, Implementation] = {}


def implements(job: Job[Value]) -> Callable[[Function], Function]:
    """Declare the function that does a job. It may run again: it must not matter."""

    def declare(function: Function) -> Function:
        if job.name in JOBS:
            raise TypeError(f"job {job.name} is implemented twice")
        JOBS[job.name] = Implementation(job, function)
        return function

    return declare


async def perform(runtime: Runtime, job_id: int) -> None:
    """Do the job with this id, unless somebody else does or did."""
    async with Context.open(runtime) as ctx:
        row = await outbox.claim_job(ctx.db, job_id, now=ctx.now, lease=LEASE)
    if row is None:
        return
    caller = Caller(request_id=row.request_id)
    structlog.contextvars.bind_contextvars(request_id=row.request_id, job=row.job)
    try:
        async with asyncio.timeout(TIMEOUT), Context.open(runtime, caller) as ctx:
            implementation = JOBS[row.job]
            payload = implementation.job.payload.model_validate_json(row.payload)
            await implementation.function(ctx, payload)
            await outbox.finish_job(ctx.db, row)
    except Exception as error:
        await _try_again(runtime, row, error)
    else:
        metrics.jobs_done.labels(row.job, "ok").inc()


async def _try_again(runtime: Runtime, row: outbox.Job, error: Exception) -> None:
    kind = type(error).__name__
    async with Context.open(runtime) as ctx:
        if row.attempts >= MAX_ATTEMPTS:
            log.error("job.dead", exc_info=error)
            metrics.jobs_done.labels(row.job, "dead").inc()
            await outbox.bury_job(ctx.db, row, error=kind)
            return
        log.warning("job.failed", error=kind, attempt=row.attempts)
        metrics.jobs_done.labels(row.job, "failed").inc()
        backoff = min(FIRST_RETRY * 2 ** (row.attempts - 1), LAST_RETRY)
        due_at = ctx.now + timedelta(seconds=backoff * random.uniform(0.75, 1.25))  # noqa: S311 - jitter
        await outbox.postpone_job(ctx.db, row, due_at=due_at, error=kind)

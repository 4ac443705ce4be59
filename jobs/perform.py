"""Doing one job: claimed for a while, done and deleted in one transaction, or tried again."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from server import metrics
from server.context import Caller, Context
from server.log import get_logger
from server.outgoing import Job, Value
from server.runtime import Runtime
from server.tasks import end_tasks
from storage import dead_jobs, outbox

log = get_logger(__name__)

LEASE = timedelta(seconds=15)
"""How long a claim holds that nobody renews: then whoever had the job is dead or frozen."""

RENEW_EVERY = 5.0
MAX_FAILURES = 12
MAX_CRASHES = 5
"""Times in a row that a job's worker may die: it is likely that the job kills it."""

FIRST_RETRY = 2.0
LAST_RETRY = 3600.0

Function = Callable[[Context, Any], Awaitable[None]]


class Retry(Exception):
    """It did not work, and whoever refused says when to come again."""

    def __init__(self, after: timedelta) -> None:
        super().__init__(after)
        self.after = after


class GiveUp(Exception):
    """It will never work. The reason is for operators: no personal text."""


class ClaimLost(Exception):
    """The claim ran out and somebody else has the job: this work must not stand."""


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
    """Do the job with this id, unless somebody else does or did, or it is not due."""
    async with Context.open(runtime) as ctx:
        row = await outbox.claim_job(ctx.db, job_id, now=ctx.now, lease=LEASE)
    if row is None:
        return
    structlog.contextvars.bind_contextvars(request_id=row.request_id, job=row.job, job_id=row.id)
    if row.crashes >= MAX_CRASHES:
        await _bury(runtime, row, "crashed")
        return
    metrics.job_lag.labels(row.queue).observe((ctx.now - row.due_at).total_seconds())
    with (
        metrics.jobs_running.labels(row.queue).track_inprogress(),
        metrics.job_seconds.labels(row.job).time(),
    ):
        await _attempt(runtime, row)


async def _attempt(runtime: Runtime, row: outbox.Job) -> None:
    try:
        async with _renewed(runtime, row):
            await _run(runtime, row)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await asyncio.shield(_hand_back(runtime, row))
        metrics.jobs_done.labels(row.job, "handed_back").inc()
        raise
    except ClaimLost:
        log.warning("job.claim_lost")
        metrics.jobs_done.labels(row.job, "lost").inc()
    except GiveUp as error:
        await _bury(runtime, row, str(error), error)
    except Exception as error:
        await _try_again(runtime, row, error)
    else:
        log.debug("job.done")
        metrics.jobs_done.labels(row.job, "ok").inc()


async def _run(runtime: Runtime, row: outbox.Job) -> None:
    caller = Caller(request_id=row.request_id, job_id=row.id)
    implementation = JOBS[row.job]
    async with (
        asyncio.timeout(implementation.job.timeout),
        Context.open(runtime, caller) as ctx,
    ):
        payload = implementation.job.payload.model_validate_json(row.payload)
        await implementation.function(ctx, payload)
        if not await outbox.finish_job(ctx.db, row):
            raise ClaimLost


@contextlib.asynccontextmanager
async def _renewed(runtime: Runtime, row: outbox.Job) -> AsyncIterator[None]:
    """Keep the claim while the job takes its time."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY)
            try:
                async with Context.open(runtime) as ctx:
                    await outbox.extend_claim(ctx.db, row, now=ctx.now, lease=LEASE)
            except Exception as error:
                log.warning("job.not_renewed", error=type(error).__name__)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        await end_tasks([renewing])


async def _try_again(runtime: Runtime, row: outbox.Job, error: Exception) -> None:
    kind = type(error).__name__
    if row.failures + 1 >= MAX_FAILURES:
        await _bury(runtime, row, kind, error)
        return
    log.warning("job.failed", error=kind, failures=row.failures + 1)
    metrics.jobs_done.labels(row.job, "failed").inc()
    async with Context.open(runtime) as ctx:
        due_at = ctx.now + (error.after if isinstance(error, Retry) else _backoff(row.failures))
        await outbox.postpone_job(ctx.db, row, due_at=due_at, error=kind)


def _backoff(failures: int) -> timedelta:
    seconds = min(FIRST_RETRY * 2**failures, LAST_RETRY)
    return timedelta(seconds=seconds * random.uniform(0.75, 1.25))  # noqa: S311 - jitter


async def _bury(
    runtime: Runtime, row: outbox.Job, reason: str, error: Exception | None = None
) -> None:
    log.error("job.dead", reason=reason, exc_info=error)
    metrics.jobs_done.labels(row.job, "dead").inc()
    async with Context.open(runtime) as ctx:
        await dead_jobs.bury(ctx.db, row, now=ctx.now, error=reason)


async def _hand_back(runtime: Runtime, row: outbox.Job) -> None:
    """This worker leaves: another one may have the job at once."""
    async with Context.open(runtime) as ctx:
        await outbox.release_job(ctx.db, row)

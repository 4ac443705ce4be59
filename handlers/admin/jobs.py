"""Admin: what operators see of the machinery and may do about it."""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Annotated

from pydantic import Field as Bounds

from server.context import Context
from server.contract import Namespace
from server.errors import NotFound
from server.limits import Rate
from server.outgoing import Queue
from server.payload import Change, Id, Instant, Nothing, Page, PageRequest, Payload
from storage import dead_jobs, outbox
from storage.accounts import Role

RATE = Rate(60, per=10)
ADMIN = frozenset({Role.ADMIN})
STEP = 200
"""Dead jobs that one transaction takes."""

Settle = Callable[..., Awaitable[list[dead_jobs.DeadJob]]]


class DeadJob(Payload):
    """A job that was given up. What it was to do stays with it."""

    id: Id
    job: str
    key: str | None
    queue: Queue
    attempts: int
    error: str
    died_at: Instant
    request_id: str

    @classmethod
    def of(cls, row: dead_jobs.DeadJob) -> "DeadJob":
        return cls(
            id=row.id,
            job=row.job,
            key=row.key,
            queue=Queue(row.queue),
            attempts=row.attempts,
            error=row.error,
            died_at=row.died_at,
            request_id=row.request_id,
        )


class ListDeadJobs(PageRequest):
    job: Annotated[str, Bounds(max_length=60, examples=["accounts.mail_recovery"])] | None = None


class SettleJob(Change):
    job_id: Id


class Waiting(Payload):
    """One queue: how many jobs are due, and since when the oldest is."""

    queue: Queue
    due: int
    oldest: Instant | None


class Backlog(Payload):
    queues: list[Waiting]
    dead: int


admin = Namespace("/admin", "For admins: jobs that were given up, and what waits.")


@admin.on("job:list", roles=ADMIN, rate=RATE, reads=True)
async def list_jobs(ctx: Context, request: ListDeadJobs) -> Page[DeadJob]:
    """Jobs that were given up, the latest first."""
    rows, total = await dead_jobs.list_latest(
        ctx.db, skip=request.skip, limit=request.limit, job=request.job
    )
    return Page[DeadJob].of(request, [DeadJob.of(row) for row in rows], total)


@admin.on("job:retry", roles=ADMIN, rate=RATE)
async def retry_job(ctx: Context, request: SettleJob) -> Nothing:
    """Try a job again that was given up, from its first attempt on.

    Raises: not_found.
    """
    if not await retry_jobs(ctx, [request.job_id]):
        raise NotFound
    return Nothing()


@admin.on("job:drop", roles=ADMIN, rate=RATE)
async def drop_job(ctx: Context, request: SettleJob) -> Nothing:
    """Forget a job that was given up.

    Raises: not_found.
    """
    if not await drop_jobs(ctx, [request.job_id]):
        raise NotFound
    return Nothing()


@admin.on("backlog:get", roles=ADMIN, rate=RATE, reads=True)
async def get_backlog(ctx: Context, request: Nothing) -> Backlog:
    """What is due in each queue, and how many jobs were given up."""
    backlogs = await outbox.count_backlog(ctx.db, list(Queue), ctx.now)
    found = {backlog.queue: backlog for backlog in backlogs}
    return Backlog(
        queues=[
            Waiting(queue=queue, due=found[queue].due, oldest=found[queue].oldest)
            if queue in found
            else Waiting(queue=queue, due=0, oldest=None)
            for queue in Queue
        ],
        dead=await dead_jobs.count(ctx.db),
    )


async def retry_jobs(ctx: Context, ids: Collection[int] | None = None) -> int:
    """Try dead jobs again, these or all; how many there were."""
    return await _settle(ctx, "job.retried", ids, partial(dead_jobs.revive, now=ctx.now))


async def drop_jobs(ctx: Context, ids: Collection[int] | None = None) -> int:
    """Forget dead jobs, these or all; how many there were."""
    return await _settle(ctx, "job.dropped", ids, dead_jobs.drop)


async def _settle(ctx: Context, deed: str, ids: Collection[int] | None, settle: Settle) -> int:
    if ids is not None:
        return await _settle_some(ctx, deed, ids, settle)
    async with ctx.work() as work:
        dead = await dead_jobs.count(work.db)
    settled = 0
    # As many as there are now: what is tried again may die again meanwhile.
    for _ in range(0, dead, STEP):
        async with ctx.work() as work:
            settled += await _settle_some(work, deed, None, settle)
    return settled


async def _settle_some(ctx: Context, deed: str, ids: Collection[int] | None, settle: Settle) -> int:
    rows = await settle(ctx.db, ids=ids, limit=STEP)
    if rows:
        ctx.audit(deed, job_ids=[row.id for row in rows])
    return len(rows)

"""The outbox: a row is a job that is to be done, written with the change that asked for it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Index,
    Integer,
    String,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from storage.many import TEXT, Bound, Insertion, Many, core
from storage.schema import NEVER_REUSED, Key, Moment, Table

_HAS_KEY = "key IS NOT NULL"


class Job(Table):
    """A job somebody waits for. `wake_at` is when to tell a worker (again) that it is due."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "uq_outbox_job_key",
            "job",
            "key",
            unique=True,
            postgresql_where=text(_HAS_KEY),
            sqlite_where=text(_HAS_KEY),
        ),
        Index(None, "queue", "wake_at"),
        Index(None, "queue", "due_at"),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    job: Mapped[str] = mapped_column(String(60))
    key: Mapped[str | None] = mapped_column(String(300))
    queue: Mapped[str] = mapped_column(String(20))
    payload: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(String(40))
    due_at: Mapped[datetime]
    wake_at: Mapped[datetime]
    claimed_until: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    claims: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    failures: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    crashes: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    error: Mapped[str | None] = mapped_column(String(100))


JOBS = core(Job)


def _settle(added: Any, *, move: bool) -> Any:
    new, is_running = added.excluded, JOBS.c.claimed_until.is_not(None)
    changes: dict[str, Any] = {"payload": new.payload, "revision": JOBS.c.revision + 1}
    if move:
        # The claim of one that runs goes on; after it the row is due at its new time.
        changes["wake_at"] = case((is_running, JOBS.c.wake_at), else_=new.wake_at)
        changes["due_at"] = new.due_at
    else:
        changes["due_at"] = case((is_running, new.due_at), else_=JOBS.c.due_at)
    return added.on_conflict_do_update(
        index_elements=[JOBS.c.job, JOBS.c.key], index_where=text(_HAS_KEY), set_=changes
    ).returning(JOBS.c.id, JOBS.c.queue, JOBS.c.due_at)


_COLUMNS = ("job", "key", "queue", "payload", "request_id", "due_at", "wake_at")


def _cancel(asked: FromClause) -> Any:
    is_one = and_(JOBS.c.job == asked.c.job, JOBS.c.key == asked.c.key)
    pending = select(JOBS.c.id).join(asked, is_one).where(JOBS.c.claimed_until.is_(None))
    # By key, as those who ask for jobs lock them too.
    locked = pending.order_by(JOBS.c.job, JOBS.c.key).with_for_update(of=JOBS)
    return delete(JOBS).where(JOBS.c.id.in_(locked))


def _find_overdue(asked: FromClause) -> Any:
    overdue = select(JOBS.c.id).where(
        JOBS.c.queue == asked.c.queue, JOBS.c.wake_at <= bindparam("now", type_=Moment())
    )
    return select(asked.c.queue).where(overdue.exists())


_KEEP = Insertion(Job, *_COLUMNS, finish=partial(_settle, move=False))
_MOVE = Insertion(Job, *_COLUMNS, finish=partial(_settle, move=True))
_CANCEL = Many(_cancel, job=TEXT, key=TEXT)
_OVERDUE = Many(_find_overdue, queue=TEXT)


@dataclass(frozen=True, slots=True)
class NewJob:
    job: str
    key: str | None
    queue: str
    payload: str
    request_id: str
    due_at: datetime
    move: bool = False


@dataclass(frozen=True, slots=True)
class Wake:
    """That a job is due, for the workers of its queue."""

    queue: str
    job_id: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in one queue: how many jobs are overdue, and since when the oldest is."""

    queue: str
    due: int
    oldest: datetime


def add_jobs(jobs: Iterable[NewJob], *, now: datetime, trust: timedelta) -> list[Bound]:
    """What stores the jobs; for each it returns (id, queue, due_at), for `find_due`.

    A pending job of the same key takes the new payload. It keeps its time, unless it is to move
    or is running just now: then it runs once more. Whoever stores the jobs wakes the workers;
    `trust` is how long others wait before they do it too.
    """
    kept: list[NewJob] = []
    moved: list[NewJob] = []
    for job in _last_of_each_key(jobs):
        (moved if job.move else kept).append(job)
    return [
        Bound(part, [_describe(job, now, trust) for job in some])
        for part, some in ((_KEEP, kept), (_MOVE, moved))
        if some
    ]


def keep_there() -> Any:
    """For PostgreSQL: store the job that `describe_kept` gives, unless it is there.

    If it is there, whoever does it just now does it once more, as with any that is asked for again.
    """
    given = select(*(bindparam(f"job_{name}", type_=JOBS.c[name].type) for name in _COLUMNS))
    added = postgresql.insert(JOBS).from_select(list(_COLUMNS), given, include_defaults=False)
    return added.on_conflict_do_update(
        index_elements=[JOBS.c.job, JOBS.c.key],
        index_where=text(_HAS_KEY),
        set_={"revision": JOBS.c.revision + 1},
    )


def describe_kept(job: NewJob) -> dict[str, Any]:
    """The values of `keep_there`, by their names."""
    row = _describe(job, job.due_at, timedelta(0))
    return {f"job_{name}": value for name, value in zip(_COLUMNS, row, strict=True)}


def find_due(stored: Iterable[tuple[int, str, datetime]], now: datetime) -> list[Wake]:
    """The jobs among these that workers are to be told of at once."""
    return [Wake(queue, job_id) for job_id, queue, due_at in stored if due_at <= now]


def _describe(job: NewJob, now: datetime, trust: timedelta) -> tuple[Any, ...]:
    wake_at = job.due_at + trust if job.due_at <= now else job.due_at
    return job.job, job.key, job.queue, job.payload, job.request_id, job.due_at, wake_at


async def cancel_jobs(db: AsyncSession, keys: Collection[tuple[str, str | None]]) -> None:
    """Forget pending jobs by (job, key); those that somebody is doing just now go on."""
    await _CANCEL.run(db, keys)


async def find_overdue(db: AsyncSession, queues: Iterable[str], now: datetime) -> list[str]:
    """Those of the queues that have jobs that workers must be told of."""
    return [row.queue for row in await _OVERDUE.run(db, [(queue,) for queue in queues], now=now)]


async def wake_overdue(
    db: AsyncSession, queue: str, *, now: datetime, trust: timedelta, limit: int
) -> list[Wake]:
    """The jobs of a queue that workers must be told of; nobody else tells them for a while."""
    overdue = (
        select(Job.id)
        .where(Job.queue == queue, Job.wake_at <= now)
        .order_by(Job.wake_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    woken = await db.scalars(
        update(Job)
        .where(Job.id.in_(overdue))
        .values(wake_at=now + trust)
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )
    return [Wake(queue, job_id) for job_id in sorted(woken)]


async def claim_job(
    db: AsyncSession, job_id: int, *, now: datetime, lease: timedelta
) -> Job | None:
    """Take a job for the time of the lease, after which it is free again; None if it is not free.

    A claim that nobody ended is a crash of whoever had the job.
    """
    return (
        await db.scalars(
            update(Job)
            .where(Job.id == job_id, Job.due_at <= now, _is_free(now))
            .values(
                claimed_until=now + lease,
                wake_at=now + lease,
                claims=Job.claims + 1,
                crashes=Job.crashes + case((Job.claimed_until.is_(None), 0), else_=1),
            )
            .returning(Job)
            .execution_options(synchronize_session=False)
        )
    ).one_or_none()


async def extend_claim(db: AsyncSession, job: Job, *, now: datetime, lease: timedelta) -> bool:
    """Keep a job for longer; False when somebody else has it or it is gone."""
    kept = await db.scalar(
        update(Job)
        .where(_is_ours(job))
        .values(claimed_until=now + lease, wake_at=now + lease)
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )
    return kept is not None


async def finish_job(db: AsyncSession, job: Job) -> bool:
    """Delete the row with the work it asked for, or free it if it was asked for again meanwhile.

    False when the job is not ours any more: then the work must not stand either.
    """
    done = await db.scalar(
        delete(Job).where(_is_ours(job), Job.revision == job.revision).returning(Job.id)
    )
    if done is not None:
        return True
    freed = await db.scalar(
        update(Job)
        .where(_is_ours(job))
        .values(claimed_until=None, wake_at=Job.due_at, failures=0, crashes=0, error=None)
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )
    return freed is not None


async def postpone_job(db: AsyncSession, job: Job, *, due_at: datetime, error: str) -> None:
    """Free a job that did not succeed, to be tried again."""
    await db.execute(
        update(Job)
        .where(_is_ours(job))
        .values(
            due_at=due_at,
            wake_at=due_at,
            claimed_until=None,
            failures=Job.failures + 1,
            crashes=0,
            error=error[:100],
        )
        .execution_options(synchronize_session=False)
    )


async def release_job(db: AsyncSession, job: Job) -> None:
    """Give a job back undone, for others to take."""
    await db.execute(
        update(Job)
        .where(_is_ours(job))
        .values(claimed_until=None, wake_at=job.due_at, crashes=0)
        .execution_options(synchronize_session=False)
    )


async def drop_job(db: AsyncSession, job: Job) -> bool:
    """Take a job out of the outbox undone. False when it is not ours any more."""
    return await db.scalar(delete(Job).where(_is_ours(job)).returning(Job.id)) is not None


async def count_backlog(db: AsyncSession, queues: Collection[str], now: datetime) -> list[Backlog]:
    """What is overdue in each of these queues that has anything overdue."""
    rows = await db.execute(
        select(Job.queue, func.count(Job.id), func.min(Job.due_at))
        # The index leads over the queue to what is due, past all that is planned for later.
        .where(Job.queue.in_(queues), Job.due_at <= now)
        .group_by(Job.queue)
    )
    return [Backlog(*row) for row in rows]


def _last_of_each_key(jobs: Iterable[NewJob]) -> list[NewJob]:
    """In one order for everybody: rows are locked as they are written."""
    latest = {(job.job, job.key or str(place)): job for place, job in enumerate(jobs)}
    return [latest[name] for name in sorted(latest)]


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(Job.claimed_until.is_(None), Job.claimed_until < now)


def _is_ours(job: Job) -> ColumnElement[bool]:
    """Whether the claim that this row was read with still holds."""
    return and_(Job.id == job.id, Job.claims == job.claims)

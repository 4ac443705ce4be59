"""The outbox: a row is a job that is to be done, written with the change that asked for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Index,
    Integer,
    String,
    Text,
    delete,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from storage.database import insert
from storage.schema import NEVER_REUSED, DatabaseClock, Key, Table

_PENDING = "dead_at IS NULL"


class Job(Table):
    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "uq_outbox_job_key",
            "job",
            "key",
            unique=True,
            postgresql_where=text(f"{_PENDING} AND key IS NOT NULL"),
            sqlite_where=text(f"{_PENDING} AND key IS NOT NULL"),
        ),
        Index(
            "ix_outbox_due_at",
            "due_at",
            postgresql_where=text(_PENDING),
            sqlite_where=text(_PENDING),
        ),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    job: Mapped[str] = mapped_column(String(60))
    key: Mapped[str | None] = mapped_column(String(300))
    payload: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(String(40))
    due_at: Mapped[datetime]
    claimed_until: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    error: Mapped[str | None] = mapped_column(String(500))
    dead_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class NewJob:
    job: str
    key: str | None
    payload: str
    request_id: str
    due_at: datetime


async def add_jobs(db: AsyncSession, jobs: Iterable[NewJob]) -> None:
    """Store the jobs. A pending one of the same key keeps its time and takes the new payload."""
    for job in sorted(jobs, key=lambda job: (job.job, job.key or "")):
        statement = insert(db, Job).values(
            job=job.job,
            key=job.key,
            payload=job.payload,
            request_id=job.request_id,
            due_at=job.due_at,
        )
        if job.key is not None:
            statement = statement.on_conflict_do_update(
                index_elements=[Job.job, Job.key],
                index_where=text(f"{_PENDING} AND key IS NOT NULL"),
                set_={
                    "payload": statement.excluded.payload,
                    "revision": Job.revision + 1,
                },
            )
        await db.execute(statement)


async def list_due_jobs(db: AsyncSession, now: datetime, limit: int) -> list[int]:
    """The ids of jobs that somebody should do now, longest due first."""
    return list(
        await db.scalars(
            select(Job.id)
            .where(Job.dead_at.is_(None), Job.due_at <= now, _is_free(now))
            .order_by(Job.due_at)
            .limit(limit)
        )
    )


async def claim_job(
    db: AsyncSession, job_id: int, *, now: datetime, lease: timedelta
) -> Job | None:
    """Take a job for the time of the lease, after which it is due again; None if it is not free."""
    return (
        await db.scalars(
            update(Job)
            .where(Job.id == job_id, Job.dead_at.is_(None), Job.due_at <= now, _is_free(now))
            .values(claimed_until=now + lease, attempts=Job.attempts + 1)
            .returning(Job)
        )
    ).one_or_none()


async def finish_job(db: AsyncSession, job: Job) -> None:
    """Delete the row with the work it asked for, or leave it due if it was asked for again."""
    done = await db.execute(
        delete(Job).where(Job.id == job.id, Job.revision == job.revision).returning(Job.id)
    )
    if done.first() is None:
        await db.execute(update(Job).where(Job.id == job.id).values(claimed_until=None, attempts=0))


async def postpone_job(db: AsyncSession, job: Job, *, due_at: datetime, error: str) -> None:
    await db.execute(
        update(Job)
        .where(Job.id == job.id)
        .values(due_at=due_at, claimed_until=None, error=error[:500])
    )


async def bury_job(db: AsyncSession, job: Job, *, error: str) -> None:
    """Give the job up; the row stays for people to see."""
    await db.execute(
        update(Job)
        .where(Job.id == job.id)
        .values(
            dead_at=DatabaseClock(),
            claimed_until=None,
            error=error[:500],
        )
    )


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(Job.claimed_until.is_(None), Job.claimed_until < now)

"""Jobs that were given up, for people to look at, try again or forget."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Index, Integer, String, Text, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from storage import outbox
from storage.database import insert
from storage.schema import Table, big_integer


class DeadJob(Table):
    """A job that was given up, for people to look at."""

    __tablename__ = "dead_jobs"
    __table_args__ = (Index(None, "died_at"),)

    id: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    job: Mapped[str] = mapped_column(String(60))
    key: Mapped[str | None] = mapped_column(String(300))
    queue: Mapped[str] = mapped_column(String(20))
    payload: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(String(40))
    attempts: Mapped[int] = mapped_column(Integer)
    error: Mapped[str] = mapped_column(String(100))
    died_at: Mapped[datetime]


async def bury(db: AsyncSession, job: outbox.Job, *, now: datetime, error: str) -> None:
    """Give a job up: it leaves the outbox and stays for people to see."""
    if not await outbox.drop_job(db, job):
        return
    db.add(
        DeadJob(
            id=job.id,
            job=job.job,
            key=job.key,
            queue=job.queue,
            payload=job.payload,
            request_id=job.request_id,
            attempts=job.claims,
            error=error[:100],
            died_at=now,
        )
    )


async def list_latest(
    db: AsyncSession, *, skip: int, limit: int, job: str | None = None
) -> tuple[list[DeadJob], int]:
    """Jobs that were given up, the latest first."""
    wanted = [DeadJob.job == job] if job else []
    total = (await db.execute(select(func.count(DeadJob.id)).where(*wanted))).scalar_one()
    rows = await db.scalars(
        select(DeadJob)
        .where(*wanted)
        .order_by(DeadJob.died_at.desc(), DeadJob.id.desc())
        .offset(skip)
        .limit(limit)
    )
    return list(rows), total


async def drop(
    db: AsyncSession, *, ids: Collection[int] | None = None, limit: int = 1000
) -> list[DeadJob]:
    """Forget dead jobs, these or the oldest; the ones that were there."""
    wanted = (
        DeadJob.id.in_(ids)
        if ids is not None
        else DeadJob.id.in_(select(DeadJob.id).order_by(DeadJob.died_at, DeadJob.id).limit(limit))
    )
    return list(await db.scalars(delete(DeadJob).where(wanted).returning(DeadJob)))


async def revive(
    db: AsyncSession, *, now: datetime, ids: Collection[int] | None = None, limit: int = 1000
) -> list[DeadJob]:
    """Put dead jobs back into the outbox, due at once; the ones that were there.

    One whose key somebody has asked for again stays out: the pending one does its work.
    """
    dead = await drop(db, ids=ids, limit=limit)
    rows = [
        {
            "id": row.id,
            "job": row.job,
            "key": row.key,
            "queue": row.queue,
            "payload": row.payload,
            "request_id": row.request_id,
            "due_at": now,
            "wake_at": now,
        }
        for row in sorted(dead, key=lambda row: (row.job, row.key or "", row.id))
    ]
    if rows:
        await db.execute(insert(db, outbox.Job).on_conflict_do_nothing(), rows)
    return dead


async def prune(db: AsyncSession, before: datetime) -> None:
    await db.execute(delete(DeadJob).where(DeadJob.died_at < before))


async def count(db: AsyncSession) -> int:
    return (await db.execute(select(func.count(DeadJob.id)))).scalar_one()

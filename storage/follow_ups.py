"""Jobs in the outbox that the process which asked for them does itself, many at once."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.many import INT, TEXT, Many
from storage.outbox import JOBS
from storage.schema import Moment


def _is_pending(given: FromClause) -> ColumnElement[bool]:
    name = bindparam("name", type_=TEXT)
    return and_(JOBS.c.job == name, JOBS.c.key == given.c.key, JOBS.c.claimed_until.is_(None))


def _revisions(given: FromClause) -> Any:
    return select(JOBS.c.key, JOBS.c.revision).join(given, _is_pending(given))


def _lock(given: FromClause, which: ColumnElement[bool]) -> Any:
    """Their ids; by key, as those who ask for jobs lock them too."""
    pending = select(JOBS.c.id).join(given, and_(_is_pending(given), which))
    return pending.order_by(JOBS.c.key).with_for_update(of=JOBS)


def _forget(given: FromClause) -> Any:
    return delete(JOBS).where(JOBS.c.id.in_(_lock(given, JOBS.c.revision == given.c.revision)))


def _put_off(given: FromClause) -> Any:
    later = bindparam("later", type_=Moment())
    return (
        update(JOBS)
        .where(JOBS.c.id.in_(_lock(given, JOBS.c.due_at < later)))
        .values(due_at=later, wake_at=later)
    )


_REVISIONS = Many(_revisions, key=TEXT)
_FORGET = Many(_forget, key=TEXT, revision=INT)
_PUT_OFF = Many(_put_off, key=TEXT)


async def find_revisions(db: AsyncSession, job: str, keys: Iterable[str]) -> list[tuple[str, int]]:
    """The pending jobs of these keys, each as (key, revision)."""
    rows = await _REVISIONS.run(db, [(key,) for key in keys], name=job)
    return [(key, revision) for key, revision in rows]


async def forget_jobs(
    db: AsyncSession, job: str, done: Sequence[tuple[str, int]], *, later: datetime
) -> None:
    """Forget jobs that were done at these revisions; those asked for since then wait on."""
    await _FORGET.run(db, done, name=job)
    await _PUT_OFF.run(db, [(key,) for key, _ in done], name=job, later=later)

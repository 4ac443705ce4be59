"""Answers on their way."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.assessments.tables import Draft, TestVersion
from storage.database import insert


async def lock_draft(
    db: AsyncSession, user_id: int, test_id: int, version_id: int, now: datetime
) -> Draft:
    """The person's draft, made at need; nobody else changes it before this transaction ends."""
    empty = insert(db, Draft).values(
        user_id=user_id, test_id=test_id, version_id=version_id, answers=[], updated_at=now
    )
    await db.execute(empty.on_conflict_do_nothing())
    mine = select(Draft).where(Draft.user_id == user_id, Draft.test_id == test_id)
    return (await db.scalars(mine.with_for_update())).one()


async def find_draft(
    db: AsyncSession, user_id: int, test_id: int
) -> tuple[Draft, TestVersion] | None:
    row = (
        await db.execute(
            select(Draft, TestVersion)
            .join(TestVersion, TestVersion.id == Draft.version_id)
            .where(Draft.user_id == user_id, Draft.test_id == test_id)
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


async def list_drafts_after(
    db: AsyncSession, user_id: int, *, after: int, limit: int
) -> list[tuple[Draft, TestVersion]]:
    """A person's drafts by test."""
    rows = await db.execute(
        select(Draft, TestVersion)
        .join(TestVersion, TestVersion.id == Draft.version_id)
        .where(Draft.user_id == user_id, Draft.test_id > after)
        .order_by(Draft.test_id)
        .limit(limit)
    )
    return [(draft, version) for draft, version in rows]


async def keep_draft(
    db: AsyncSession, draft: Draft, version_id: int, answers: list[Any], now: datetime
) -> None:
    draft.version_id, draft.answers, draft.updated_at = version_id, answers, now
    await db.flush()


async def delete_draft(db: AsyncSession, user_id: int, test_id: int) -> bool:
    """Whether there was one."""
    gone = await db.execute(
        delete(Draft)
        .where(Draft.user_id == user_id, Draft.test_id == test_id)
        .returning(Draft.user_id)
    )
    return gone.first() is not None

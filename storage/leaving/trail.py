"""The audit trail of somebody who has left: the rows in which they are named."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.audit import AuditEntry

CHUNK = 500
PAGE = 2000


async def list_deeds(db: AsyncSession, user_id: int) -> list[AuditEntry]:
    """Some of the rows that a person did, or that are about them."""
    rows = await db.scalars(
        select(AuditEntry)
        .where(or_(AuditEntry.actor_id == user_id, AuditEntry.subject_id == user_id))
        .limit(CHUNK)
    )
    return list(rows)


async def list_deeds_of(db: AsyncSession, actor_id: int, after: int) -> list[AuditEntry]:
    """The next rows of what somebody did."""
    rows = await db.scalars(
        select(AuditEntry)
        .where(AuditEntry.actor_id == actor_id, AuditEntry.id > after)
        .order_by(AuditEntry.id)
        .limit(PAGE)
    )
    return list(rows)


async def list_deeds_of_nobody(db: AsyncSession, after: Sequence[Any]) -> list[AuditEntry]:
    """The next rows of what those did who are erased, by (pseudonym, id)."""
    wanted = select(AuditEntry).where(AuditEntry.actor_id < 0)
    if after:
        wanted = wanted.where(tuple_(AuditEntry.actor_id, AuditEntry.id) > tuple(after))
    rows = await db.scalars(wanted.order_by(AuditEntry.actor_id, AuditEntry.id).limit(PAGE))
    return list(rows)


async def rewrite_deeds(db: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Each row with its `id`, and what it says now."""
    if rows:
        await db.execute(update(AuditEntry), rows)

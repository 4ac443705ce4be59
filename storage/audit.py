"""The audit trail: who did what to whom, written in the transaction it tells of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from storage.database import insert
from storage.schema import NEVER_REUSED, Key, Number, Table


class AuditEntry(Table):
    """Ids are kept without foreign keys: the trail outlives the people it tells of."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "actor_id", "id"), Index(None, "subject_id", "id"), NEVER_REUSED)

    id: Mapped[Key]
    at: Mapped[datetime]
    actor_id: Mapped[Number | None]
    action: Mapped[str] = mapped_column(String(60))
    subject_id: Mapped[Number | None]
    address: Mapped[str | None] = mapped_column(String(45))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


@dataclass(frozen=True, slots=True)
class Deed:
    action: str
    subject_id: int | None
    detail: dict[str, Any]


async def record_deeds(
    db: AsyncSession,
    deeds: Sequence[Deed],
    *,
    actor_id: int | None,
    address: str | None,
    at: datetime,
) -> None:
    if deeds:
        rows = [
            {
                "at": at,
                "actor_id": actor_id,
                "action": deed.action,
                "subject_id": deed.subject_id,
                "address": address,
                "detail": deed.detail,
            }
            for deed in deeds
        ]
        await db.execute(insert(db, AuditEntry), rows)

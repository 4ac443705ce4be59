"""Patients, as their psychologist sees them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.accounts import User
from storage.assessments import Alert, AlertStatus
from storage.care.relations import Relation, RelationStatus
from storage.chat import Chat
from storage.mood import Entry


class Sort(StrEnum):
    SINCE = "since"
    NAME = "name"
    LAST_SEEN = "last_seen"
    UNREAD = "unread"
    ALERTS = "alerts"
    MOOD = "mood"


@dataclass(frozen=True, slots=True)
class PatientRow:
    """A patient, since when they are one, and the chat with them, if there is one."""

    user: User
    since: datetime | None
    chat_id: int | None
    unread: int | None


def _last_entry(of: Any, column: Any) -> Any:
    return (
        select(column)
        .where(Entry.user_id == of)
        .order_by(Entry.local_date.desc(), Entry.at.desc(), Entry.id.desc())
        .limit(1)
        .correlate_except(Entry)
        .scalar_subquery()
    )


def _count_alerts() -> Any:
    return (
        select(func.count())
        .select_from(Alert)
        .where(Alert.patient_id == User.id, Alert.status != AlertStatus.RESOLVED)
        .correlate(User)
        .scalar_subquery()
    )


_ORDERS: dict[Sort, Callable[[], Any]] = {
    Sort.SINCE: Relation.since.desc,
    Sort.NAME: User.name.asc,
    Sort.LAST_SEEN: lambda: User.last_seen_at.desc().nulls_last(),
    Sort.UNREAD: lambda: Chat.psychologist_unread.desc().nulls_last(),
    Sort.ALERTS: lambda: _count_alerts().desc(),
    Sort.MOOD: lambda: _last_entry(User.id, Entry.score).asc().nulls_last(),
}
"""What calls for attention comes first: many alerts, many messages, a low mood."""


async def list_patients(
    db: AsyncSession, psychologist_id: int, *, sort: Sort, skip: int, limit: int
) -> tuple[list[PatientRow], int]:
    wanted = (
        Relation.psychologist_id == psychologist_id,
        Relation.status == RelationStatus.ACTIVE,
    )
    total = (await db.execute(select(func.count()).where(*wanted))).scalar_one()
    rows = await db.execute(
        select(User, Relation.since, Chat.id, Chat.psychologist_unread)
        .select_from(Relation)
        .join(User, User.id == Relation.patient_id)
        .outerjoin(
            Chat,
            (Chat.psychologist_id == Relation.psychologist_id)
            & (Chat.patient_id == Relation.patient_id),
        )
        .where(*wanted)
        .order_by(_ORDERS[sort](), User.id.desc())
        .offset(skip)
        .limit(limit)
    )
    return [PatientRow(*row) for row in rows], total


async def find_last_moods(db: AsyncSession, user_ids: Collection[int]) -> dict[int, Entry]:
    """The last entry in each person's diary: of the latest day, and the latest moment of it."""
    last = select(_last_entry(User.id, Entry.id)).where(User.id.in_(user_ids))
    rows = await db.scalars(select(Entry).where(Entry.id.in_(last)))
    return {entry.user_id: entry for entry in rows}

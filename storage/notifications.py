"""Notifications: the feed of things that wait for a person."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, func, select, tuple_, update
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from storage.accounts import User
from storage.database import insert
from storage.schema import NEVER_REUSED, Key, Table, UserId

_UNREAD = "read_at IS NULL"


class Notification(Table):
    """`subject` names what it is about; there is one unread notification about a thing."""

    __tablename__ = "notifications"
    __table_args__ = (
        Index(None, "user_id", "id"),
        Index(
            "uq_notifications_unread_subject",
            "user_id",
            "subject",
            unique=True,
            postgresql_where=sql(_UNREAD),
            sqlite_where=sql(_UNREAD),
        ),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    user_id: Mapped[UserId]
    type: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(80))
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(String(500))
    link: Mapped[str] = mapped_column(String(200))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class NewNotification:
    user_id: int
    type: str
    subject: str
    title: str
    text: str
    link: str
    data: dict[str, Any]


async def lock_feeds(db: AsyncSession, user_ids: Collection[int]) -> None:
    """Let nobody else change these feeds meanwhile: a total counts what others do not see yet."""
    await db.execute(
        select(User.id)
        .where(User.id.in_(user_ids))
        .order_by(User.id)
        .with_for_update(key_share=True)
    )


async def add_notifications(
    db: AsyncSession, notes: Sequence[NewNotification], now: datetime
) -> list[Notification]:
    """Add those whose subject has no unread notification yet; the ones that were added."""
    if not notes:
        return []
    rows = [
        {
            "user_id": note.user_id,
            "type": note.type,
            "subject": note.subject,
            "title": note.title,
            "text": note.text,
            "link": note.link,
            "data": note.data,
            "created_at": now,
        }
        for note in sorted(notes, key=lambda note: (note.user_id, note.subject))
    ]
    return list(
        await db.scalars(
            insert(db, Notification).values(rows).on_conflict_do_nothing().returning(Notification)
        )
    )


async def list_notifications(
    db: AsyncSession,
    user_id: int,
    *,
    unread: bool | None,
    type: str | None,
    skip: int,
    limit: int,
) -> tuple[list[Notification], int]:
    wanted = [Notification.user_id == user_id]
    if unread is not None:
        wanted.append(
            Notification.read_at.is_(None) if unread else Notification.read_at.is_not(None)
        )
    if type is not None:
        wanted.append(Notification.type == type)
    total = (await db.execute(select(func.count()).where(*wanted))).scalar_one()
    rows = await db.scalars(
        select(Notification)
        .where(*wanted)
        .order_by(Notification.id.desc())
        .offset(skip)
        .limit(limit)
    )
    return list(rows), total


async def owns_notification(db: AsyncSession, user_id: int, notification_id: int) -> bool:
    return (
        await db.scalar(
            select(Notification.id).where(
                Notification.id == notification_id, Notification.user_id == user_id
            )
        )
    ) is not None


async def mark_read(
    db: AsyncSession, user_id: int, now: datetime, *, notification_id: int | None = None
) -> list[int]:
    """Read one notification or all; the ids of those that were unread."""
    statement = update(Notification).where(
        Notification.user_id == user_id, Notification.read_at.is_(None)
    )
    if notification_id is not None:
        statement = statement.where(Notification.id == notification_id)
    return sorted(await db.scalars(statement.values(read_at=now).returning(Notification.id)))


async def mark_subjects_read(
    db: AsyncSession, subjects: Collection[tuple[int, str]], now: datetime
) -> dict[int, list[int]]:
    """Read what is unread about each (user_id, subject); for each user the ids that were."""
    if not subjects:
        return {}
    rows = await db.execute(
        update(Notification)
        .where(
            tuple_(Notification.user_id, Notification.subject).in_(sorted(subjects)),
            Notification.read_at.is_(None),
        )
        .values(read_at=now)
        .returning(Notification.user_id, Notification.id)
    )
    ids: dict[int, list[int]] = defaultdict(list)
    for user_id, notification_id in sorted(rows.all()):
        ids[user_id].append(notification_id)
    return ids


async def count_unread(db: AsyncSession, user_ids: Collection[int]) -> dict[int, int]:
    rows = await db.execute(
        select(Notification.user_id, func.count())
        .where(Notification.user_id.in_(user_ids), Notification.read_at.is_(None))
        .group_by(Notification.user_id)
    )
    return dict.fromkeys(user_ids, 0) | dict(rows.all())

"""The feed: things that wait for a person."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, true, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.accounts import User
from storage.given import core, given, insert_rows, is_any
from storage.notifications.tables import Notification


@dataclass(frozen=True, slots=True)
class NewNotification:
    user_id: int
    type: str
    subject: str
    title: str
    text: str
    link: str
    data: dict[str, Any]
    in_app: bool = True


async def lock_feeds(db: AsyncSession, user_ids: Collection[int]) -> None:
    """Let nobody else change these feeds meanwhile: a total counts what others do not see yet."""
    await db.execute(
        select(User.id)
        .where(is_any(db, User.id, user_ids))
        .order_by(User.id)
        .with_for_update(key_share=True)
    )


async def add_notifications(
    db: AsyncSession, notes: Sequence[NewNotification], now: datetime
) -> list[Row[Any]]:
    """Add those whose subject has no unread notification yet; the rows that were added."""
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
            "in_app": note.in_app,
            "created_at": now,
        }
        for note in sorted(notes, key=lambda note: (note.user_id, note.subject))
    ]
    statement = insert_rows(db, Notification, rows).on_conflict_do_nothing()
    return list(await db.execute(statement.returning(*core(Notification).columns)))


async def change_notifications(
    db: AsyncSession, notes: Sequence[NewNotification]
) -> list[Notification]:
    """Give those that say something else now their new words; the ones that changed."""
    changed: list[Notification] = []
    for note in notes:
        statement = (
            update(Notification)
            .where(
                Notification.user_id == note.user_id,
                Notification.subject == note.subject,
                Notification.read_at.is_(None),
                tuple_(Notification.title, Notification.text, Notification.link)
                != (note.title, note.text, note.link),
            )
            .values(title=note.title, text=note.text, link=note.link, data=note.data)
            .returning(Notification)
            .execution_options(populate_existing=True)
        )
        changed += await db.scalars(statement)
    return changed


async def find_unread(db: AsyncSession, user_id: int, subject: str) -> Notification | None:
    """The unread notification about something, in the feed or not."""
    return (
        await db.scalars(
            select(Notification).where(
                Notification.user_id == user_id,
                Notification.subject == subject,
                Notification.read_at.is_(None),
            )
        )
    ).one_or_none()


async def list_notifications(
    db: AsyncSession,
    user_id: int,
    *,
    unread: bool | None,
    type: str | None,
    skip: int,
    limit: int,
) -> tuple[list[Notification], int]:
    wanted = [Notification.user_id == user_id, Notification.in_app]
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
        Notification.user_id == user_id, Notification.read_at.is_(None), Notification.in_app
    )
    if notification_id is not None:
        statement = statement.where(Notification.id == notification_id)
    return sorted(await db.scalars(statement.values(read_at=now).returning(Notification.id)))


async def mark_subjects_read(
    db: AsyncSession, subjects: Collection[tuple[int, str]], now: datetime
) -> dict[int, list[int]]:
    """Read what is unread about each (user_id, subject); for each feed the ids that were."""
    if not subjects:
        return {}
    seen = given(db, sorted(subjects), user_id=int, subject=str)
    rows = await db.execute(
        update(core(Notification))
        .where(
            Notification.user_id == seen.c.user_id,
            Notification.subject == seen.c.subject,
            Notification.read_at.is_(None),
        )
        .values(read_at=now)
        .returning(Notification.user_id, Notification.id, Notification.in_app)
    )
    ids: dict[int, list[int]] = defaultdict(list)
    for user_id, notification_id, in_app in sorted(rows.all()):
        if in_app:
            ids[user_id].append(notification_id)
    return ids


async def count_unread(
    db: AsyncSession, user_ids: Collection[int], *, but: str | None = None
) -> dict[int, int]:
    """How many are unread in each person's feed, leaving out one type."""
    rows = await db.execute(
        select(Notification.user_id, func.count())
        .where(
            is_any(db, Notification.user_id, user_ids),
            Notification.read_at.is_(None),
            Notification.in_app,
            Notification.type != but if but else true(),
        )
        .group_by(Notification.user_id)
    )
    return dict.fromkeys(user_ids, 0) | dict(rows.all())

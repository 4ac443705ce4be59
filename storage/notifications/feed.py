"""The feed: things that wait for a person."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import FromClause, Row, bindparam, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.accounts import User
from storage.many import INT, TEXT, Insertion, Many, core
from storage.notifications.tables import Notification
from storage.schema import Moment

USERS, NOTES = core(User), core(Notification)


def _lock(asked: FromClause) -> Any:
    return (
        select(USERS.c.id)
        .join(asked, USERS.c.id == asked.c.user_id)
        .order_by(USERS.c.id)
        .with_for_update(key_share=True, of=USERS)
    )


def _see(seen: FromClause) -> Any:
    return (
        update(NOTES)
        .where(
            NOTES.c.user_id == seen.c.user_id,
            NOTES.c.subject == seen.c.subject,
            NOTES.c.read_at.is_(None),
        )
        .values(read_at=bindparam("now", type_=Moment()))
        .returning(NOTES.c.user_id, NOTES.c.id, NOTES.c.in_app)
    )


def _count(asked: FromClause) -> Any:
    return (
        select(NOTES.c.user_id, func.count())
        .join(asked, NOTES.c.user_id == asked.c.user_id)
        .where(
            NOTES.c.read_at.is_(None),
            NOTES.c.in_app,
            NOTES.c.type != bindparam("but", type_=TEXT),
        )
        .group_by(NOTES.c.user_id)
    )


_LOCK = Many(_lock, user_id=INT)
_SEE = Many(_see, user_id=INT, subject=TEXT)
_COUNT = Many(_count, user_id=INT)
_ADD = Insertion(
    Notification,
    "user_id",
    "type",
    "subject",
    "title",
    "text",
    "link",
    "data",
    "in_app",
    "created_at",
    finish=lambda added: added.on_conflict_do_nothing().returning(*NOTES.c),
)


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
    await _LOCK.run(db, [(user_id,) for user_id in user_ids])


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
    return list(await _ADD.run(db, rows))


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


async def list_notifications_after(
    db: AsyncSession, user_id: int, *, after: int, limit: int
) -> list[Notification]:
    """A person's feed by id."""
    rows = await db.scalars(
        select(Notification)
        .where(Notification.user_id == user_id, Notification.id > after, Notification.in_app)
        .order_by(Notification.id)
        .limit(limit)
    )
    return list(rows)


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
    rows = await _SEE.run(db, sorted(subjects), now=now)
    ids: dict[int, list[int]] = defaultdict(list)
    for user_id, notification_id, in_app in sorted(rows):
        if in_app:
            ids[user_id].append(notification_id)
    return ids


async def count_unread(
    db: AsyncSession, user_ids: Collection[int], *, but: str | None = None
) -> dict[int, int]:
    """How many are unread in each person's feed, leaving out one type."""
    rows = await _COUNT.run(db, [(user_id,) for user_id in user_ids], but=but or "")
    return dict.fromkeys(user_ids, 0) | dict(rows)

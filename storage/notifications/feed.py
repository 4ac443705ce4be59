"""The feed: things that wait for a person."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, func, select, update
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
        .where(_is_about(seen))
        .values(read_at=bindparam("now", type_=Moment()))
        .returning(NOTES.c.user_id, NOTES.c.id, NOTES.c.in_app)
    )


def _is_about(asked: FromClause) -> ColumnElement[bool]:
    return and_(
        NOTES.c.user_id == asked.c.user_id,
        NOTES.c.subject == asked.c.subject,
        NOTES.c.read_at.is_(None),
    )


def _find(asked: FromClause) -> Any:
    return select(
        NOTES.c.user_id,
        NOTES.c.subject,
        NOTES.c.title,
        NOTES.c.text,
        NOTES.c.link,
        NOTES.c.version,
    ).join(asked, _is_about(asked))


def _has_version(asked: FromClause) -> ColumnElement[bool]:
    return and_(
        NOTES.c.user_id == asked.c.user_id, NOTES.c.subject == asked.c.subject, NOTES.c.version > 0
    )


def _find_dismissed(asked: FromClause) -> Any:
    return (
        select(NOTES.c.user_id, NOTES.c.subject)
        .join(asked, _has_version(asked))
        .where(NOTES.c.read_at.is_not(None))
    )


def _end_versions(over: FromClause) -> Any:
    return update(NOTES).where(_has_version(over)).values(version=0)


def _grow(more: FromClause) -> Any:
    return update(NOTES).where(_is_about(more)).values(version=more.c.version)


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
_FIND = Many(_find, user_id=INT, subject=TEXT)
_FIND_DISMISSED = Many(_find_dismissed, user_id=INT, subject=TEXT)
_END_VERSIONS = Many(_end_versions, user_id=INT, subject=TEXT)
_GROW = Many(_grow, user_id=INT, subject=TEXT, version=INT)
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
    "version",
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
    version: int = 0
    """Of what it is about; a higher one than was told of is told of again."""


async def find_dismissed(
    db: AsyncSession, subjects: Collection[tuple[int, str]]
) -> set[tuple[int, str]]:
    """Those (user_id, subject) whose notification was read while what it tells of goes on."""
    return {(row[0], row[1]) for row in await _FIND_DISMISSED.run(db, list(subjects))}


async def end_versions(db: AsyncSession, subjects: Collection[tuple[int, str]]) -> None:
    """What these (user_id, subject) tell of is over."""
    await _END_VERSIONS.run(db, subjects)


async def lock_feeds(db: AsyncSession, user_ids: Collection[int]) -> None:
    """Let nobody else change these feeds meanwhile: a total counts what others do not see yet."""
    await _LOCK.run(db, [(user_id,) for user_id in user_ids])


async def add_notifications(
    db: AsyncSession, notes: Sequence[NewNotification], now: datetime
) -> list[Any]:
    """Add those whose subject has no unread notification yet; the rows that were added."""
    if not notes:
        return []
    rows = [
        (
            note.user_id,
            note.type,
            note.subject,
            note.title,
            note.text,
            note.link,
            note.data,
            note.in_app,
            note.version,
            now,
        )
        for note in sorted(notes, key=lambda note: (note.user_id, note.subject))
    ]
    return list(await _ADD.run(db, rows))


async def renew_notifications(
    db: AsyncSession, notes: Sequence[NewNotification]
) -> tuple[list[Notification], list[NewNotification]]:
    """Let what is there unread say what is so now; those with other words, those with more."""
    if not notes:
        return [], []
    rows = await _FIND.run(db, [(note.user_id, note.subject) for note in notes])
    there = {(row.user_id, row.subject): row for row in rows}
    found = [(note, there[_key(note)]) for note in notes if _key(note) in there]
    changed = [await _reword(db, note) for note, row in found if _words(note) != _words(row)]
    grown = [note for note, row in found if note.version > row.version]
    await _GROW.run(db, [(*_key(note), note.version) for note in grown])
    return [row for row in changed if row is not None], grown


async def _reword(db: AsyncSession, note: NewNotification) -> Notification | None:
    statement = (
        update(Notification)
        .where(
            Notification.user_id == note.user_id,
            Notification.subject == note.subject,
            Notification.read_at.is_(None),
        )
        .values(title=note.title, text=note.text, link=note.link, data=note.data)
        .returning(Notification)
        .execution_options(populate_existing=True)
    )
    return (await db.scalars(statement)).one_or_none()


def _key(note: NewNotification) -> tuple[int, str]:
    return note.user_id, note.subject


def _words(note: Any) -> tuple[str, str, str]:
    return note.title, note.text, note.link


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

"""Copies: where others' logs, replies, notifications and jobs may tell of a person."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, delete, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.dead_jobs import DeadJob
from storage.events import LogEntry
from storage.goals import Goal, Reminder, Split
from storage.notifications import Notification
from storage.outbox import Job
from storage.replies import Reply
from storage.uploads import Upload

CHUNK = 200
JOBS_CHUNK = 1000

Line = tuple[int, str, str]
"""The id, the name and the payload of a job."""


class LoggedCopy(NamedTuple):
    namespace: str
    seq: int
    event: str
    data: str


class ReplyCopy(NamedTuple):
    event: str
    client_ref: UUID
    answer: str


async def list_logged(
    db: AsyncSession, user_id: int, ids: Collection[int], after: Sequence[Any]
) -> list[LoggedCopy]:
    """The next entries in somebody's log that have any of these numbers in them."""
    wanted = select(LogEntry.namespace, LogEntry.seq, LogEntry.event, LogEntry.data).where(
        LogEntry.user_id == user_id, _mentions(LogEntry.data, ids)
    )
    if after:
        wanted = wanted.where(tuple_(LogEntry.namespace, LogEntry.seq) > tuple(after))
    rows = await db.execute(wanted.order_by(LogEntry.namespace, LogEntry.seq).limit(CHUNK))
    return [LoggedCopy(*row) for row in rows]


async def rewrite_logs(
    db: AsyncSession, user_id: int, rows: Collection[tuple[LoggedCopy, str]]
) -> None:
    """Let entries say something else, each in its place."""
    if rows:
        await db.execute(
            update(LogEntry),
            [
                {"user_id": user_id, "namespace": row.namespace, "seq": row.seq, "data": data}
                for row, data in rows
            ],
        )


async def list_replies(
    db: AsyncSession, user_id: int, ids: Collection[int], after: Sequence[Any]
) -> list[ReplyCopy]:
    wanted = select(Reply.event, Reply.client_ref, Reply.answer).where(
        Reply.user_id == user_id, _mentions(Reply.answer, ids)
    )
    if after:
        event, client_ref = after
        wanted = wanted.where(
            tuple_(Reply.event, Reply.client_ref) > tuple_(event, UUID(client_ref))
        )
    rows = await db.execute(wanted.order_by(Reply.event, Reply.client_ref).limit(CHUNK))
    return [ReplyCopy(*row) for row in rows]


async def rewrite_replies(
    db: AsyncSession, user_id: int, rows: Collection[tuple[ReplyCopy, str]]
) -> None:
    if rows:
        await db.execute(
            update(Reply),
            [
                {
                    "user_id": user_id,
                    "event": row.event,
                    "client_ref": row.client_ref,
                    "answer": answer,
                }
                for row, answer in rows
            ],
        )


async def list_notified(
    db: AsyncSession, user_id: int, about: Mapping[str, int], *, after: int, but_title: str
) -> list[Notification]:
    """The next notifications of somebody with any of these in their data, and another title."""
    data = cast(Notification.data, Text)
    says = [f'"{key}": {value}{end}' for key, value in about.items() for end in (",", "}")]
    rows = await db.scalars(
        select(Notification)
        .where(
            Notification.user_id == user_id,
            Notification.id > after,
            Notification.title != but_title,
            or_(*(data.contains(text, autoescape=True) for text in says)),
        )
        .order_by(Notification.id)
        .limit(CHUNK)
    )
    return list(rows)


async def rename_notified(db: AsyncSession, ids: Collection[int], title: str) -> None:
    await db.execute(
        update(Notification)
        .where(Notification.id.in_(ids))
        .values(title=title)
        .execution_options(synchronize_session=False)
    )


async def list_jobs(db: AsyncSession, table: type[Job | DeadJob], after: int) -> list[Line]:
    rows = await db.execute(
        select(table.id, table.job, table.payload)
        .where(table.id > after)
        .order_by(table.id)
        .limit(JOBS_CHUNK)
    )
    return [(job_id, job, payload) for job_id, job, payload in rows]


async def delete_jobs(db: AsyncSession, table: type[Job | DeadJob], ids: Collection[int]) -> None:
    """Somebody who is doing one of them finds their claim lost, and their work undone."""
    await db.execute(delete(table).where(table.id.in_(sorted(ids))))


async def list_things(db: AsyncSession, user_id: int) -> dict[str, set[int]]:
    """The ids by which jobs name what is a person's, by the names they have there."""
    mine = select(Goal.id).where(Goal.user_id == user_id)
    return {
        "reminder_id": set(await db.scalars(select(Reminder.id).where(Reminder.goal_id.in_(mine)))),
        "split_id": set(await db.scalars(select(Split.id).where(Split.user_id == user_id))),
        "upload_id": set(await db.scalars(select(Upload.id).where(Upload.owner_id == user_id))),
    }


async def list_upload_ids(db: AsyncSession, owner_id: int, limit: int) -> list[int]:
    rows = await db.scalars(
        select(Upload.id).where(Upload.owner_id == owner_id).order_by(Upload.id).limit(limit)
    )
    return list(rows)


def _mentions(text: Any, ids: Collection[int]) -> ColumnElement[bool]:
    """Whether JSON as we write it has one of these numbers as a value."""
    return or_(
        *(text.contains(f'":{one}{end}', autoescape=True) for one in ids for end in (",", "}"))
    )

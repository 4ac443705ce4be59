"""First answers to requests that carry a `client_ref`, given again when the request is repeated."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, Text, Uuid, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from storage.database import insert
from storage.schema import Table, UserKey

PRUNE_CHUNK = 1000


class Reply(Table):
    __tablename__ = "replies"
    __table_args__ = (Index(None, "at"),)

    user_id: Mapped[UserKey]
    event: Mapped[str] = mapped_column(String(100), primary_key=True)
    client_ref: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    answer: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


async def claim_reply(
    db: AsyncSession, user_id: int, event: str, client_ref: UUID, request_hash: str, now: datetime
) -> Reply | None:
    """Reserve the answer of this request, or return the one it already had.

    A twin that runs at the same moment waits here until the first one is committed.
    """
    reserved = await db.execute(
        insert(db, Reply)
        .values(
            user_id=user_id,
            event=event,
            client_ref=client_ref,
            request_hash=request_hash,
            answer="",
            at=now,
        )
        .on_conflict_do_nothing()
        .returning(Reply.user_id)
    )
    if reserved.first() is not None:
        return None
    return (await db.scalars(select(Reply).where(*_key(user_id, event, client_ref)))).one()


async def store_reply(
    db: AsyncSession, user_id: int, event: str, client_ref: UUID, answer: str
) -> None:
    await db.execute(update(Reply).where(*_key(user_id, event, client_ref)).values(answer=answer))


async def prune_replies(db: AsyncSession, before: datetime) -> int:
    """Forget up to a chunk of the answers older than `before`; how many that were."""
    key = tuple_(Reply.user_id, Reply.event, Reply.client_ref)
    oldest = (
        select(Reply.user_id, Reply.event, Reply.client_ref)
        .where(Reply.at < before)
        .order_by(Reply.at)
        .limit(PRUNE_CHUNK)
    )
    gone = await db.execute(delete(Reply).where(key.in_(oldest)).returning(Reply.user_id))
    return len(gone.all())


def _key(user_id: int, event: str, client_ref: UUID) -> tuple[Any, ...]:
    return (Reply.user_id == user_id, Reply.event == event, Reply.client_ref == client_ref)

"""Parting: relations and chats of whoever leaves, as they stay for the other one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, null, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.care import Relation
from storage.chat import SIDES, Chat, ChatStatus, Message, Place, is_member

RELATIONS_CHUNK = 20
MESSAGES_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Pairing:
    """A chat and its other person."""

    chat_id: int
    other_id: int


async def lock_relations(db: AsyncSession, user_id: int, after: Sequence[Any]) -> list[Relation]:
    """A person's next relations, by (psychologist, patient)."""
    key = tuple_(Relation.psychologist_id, Relation.patient_id)
    wanted = select(Relation).where(
        or_(Relation.psychologist_id == user_id, Relation.patient_id == user_id)
    )
    if after:
        wanted = wanted.where(key > tuple(after))
    rows = await db.scalars(
        wanted.order_by(Relation.psychologist_id, Relation.patient_id)
        .limit(RELATIONS_CHUNK)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def find_next_chat(db: AsyncSession, user_id: int, at_least: int) -> Pairing | None:
    """A person's chat with the least id that is not less than this."""
    row = (
        await db.execute(
            select(Chat.id, Chat.psychologist_id, Chat.patient_id)
            .where(
                or_(Chat.psychologist_id == user_id, Chat.patient_id == user_id),
                Chat.id >= at_least,
            )
            .order_by(Chat.id)
            .limit(1)
        )
    ).one_or_none()
    if row is None:
        return None
    chat_id, psychologist_id, patient_id = row
    return Pairing(chat_id, patient_id if psychologist_id == user_id else psychologist_id)


async def list_chat_ids(db: AsyncSession, user_id: int) -> list[int]:
    rows = await db.scalars(
        select(Chat.id).where(or_(Chat.psychologist_id == user_id, Chat.patient_id == user_id))
    )
    return list(rows)


async def end_chat(db: AsyncSession, chat_id: int) -> bool:
    """Close a chat that is locked; False when it was closed."""
    closed = await db.scalar(
        update(Chat)
        .where(Chat.id == chat_id, Chat.status == ChatStatus.OPEN)
        .values(status=ChatStatus.CLOSED)
        .returning(Chat.id)
    )
    return closed is not None


async def empty_messages(
    db: AsyncSession, chat_id: int, sender_id: int, after: int
) -> tuple[int, int | None]:
    """Empty up to a chunk of somebody's messages in a chat, from those that follow a seq.

    How many these were, and the last one's seq if there may be more. One that was deleted has
    still had the hash of what was asked for, by which a short text can be guessed.
    """
    some = (
        select(Message.seq)
        .where(
            Message.chat_id == chat_id,
            Message.seq > after,
            Message.sender_id == sender_id,
            Message.request_hash != "",
        )
        .order_by(Message.seq)
        .limit(MESSAGES_CHUNK)
    )
    rows = await db.execute(
        update(Message)
        .where(Message.chat_id == chat_id, Message.seq.in_(some))
        .values(text="", request_hash="", deleted=True, files=0)
        .returning(Message.seq)
        .execution_options(synchronize_session=False)
    )
    seqs = list(rows.scalars())
    return len(seqs), max(seqs) if len(seqs) == MESSAGES_CHUNK else None


async def remove_member(db: AsyncSession, chat_id: int, user_id: int) -> bool:
    """Nothing is counted for them any more, and nothing told; False when it was so before."""
    moved = {
        f"{side}_{name}": case(
            (getattr(Chat, f"{side}_id") == user_id, null()), else_=getattr(Chat, f"{side}_{name}")
        )
        for side in SIDES
        for name in Place._fields
    }
    gone = await db.scalar(
        update(Chat)
        .where(Chat.id == chat_id, is_member(user_id))
        .values(moved)
        .returning(Chat.id)
        .execution_options(synchronize_session=False)
    )
    return gone is not None

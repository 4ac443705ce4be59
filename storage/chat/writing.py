"""Changing chats: opening, closing, sending, deleting, and moving markers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    func,
    literal,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import flag_modified

from storage.chat.tables import Attachment, Chat, ChatStatus, Marker, Member, Message, Receipt
from storage.database import insert


@dataclass(frozen=True, slots=True)
class Talk:
    """A chat whose rows are locked until the transaction ends."""

    chat: Chat
    members: dict[int, Member] = field(default_factory=dict)
    unread_before: dict[int, int] = field(default_factory=dict)

    @property
    def member_ids(self) -> list[int]:
        return sorted(self.members)

    def other(self, user_id: int) -> Member:
        (other,) = (member for member in self.members.values() if member.user_id != user_id)
        return other


async def open_chat(
    db: AsyncSession, psychologist_id: int, patient_id: int, now: datetime
) -> tuple[int, bool]:
    """The pair's chat, made or opened again at need; its id, and whether anything changed."""
    statement = insert(db, Chat).values(
        psychologist_id=psychologist_id,
        patient_id=patient_id,
        status=ChatStatus.OPEN,
        last_at=now,
        created_at=now,
    )
    opened = await db.scalar(
        statement.on_conflict_do_update(
            index_elements=[Chat.psychologist_id, Chat.patient_id],
            set_={"status": ChatStatus.OPEN},
            where=Chat.status == ChatStatus.CLOSED,
        ).returning(Chat.id)
    )
    if opened is None:
        chat_id = (
            await db.execute(select(Chat.id).where(*_pair(psychologist_id, patient_id)))
        ).scalar_one()
        return chat_id, False
    members = [{"chat_id": opened, "user_id": user_id} for user_id in (psychologist_id, patient_id)]
    await db.execute(insert(db, Member).values(members).on_conflict_do_nothing())
    return opened, True


async def close_chat(db: AsyncSession, psychologist_id: int, patient_id: int) -> int | None:
    """Close the pair's chat; its id, or None when there was no open one."""
    return await db.scalar(
        update(Chat)
        .where(*_pair(psychologist_id, patient_id), Chat.status == ChatStatus.OPEN)
        .values(status=ChatStatus.CLOSED)
        .returning(Chat.id)
    )


async def lock_talks(db: AsyncSession, chat_ids: Collection[int]) -> dict[int, Talk]:
    """The chats with both members, locked in the order of their ids."""
    rows = await db.execute(
        select(Chat, Member)
        .join(Member, Member.chat_id == Chat.id)
        .where(Chat.id.in_(chat_ids))
        .order_by(Chat.id, Member.user_id)
        .with_for_update(),
        execution_options={"populate_existing": True},
    )
    talks: dict[int, Talk] = {}
    for chat, member in rows:
        talk = talks.setdefault(chat.id, Talk(chat))
        talk.members[member.user_id] = member
        talk.unread_before[member.user_id] = member.unread
    return talks


async def find_sent(
    db: AsyncSession, refs: Sequence[tuple[int, UUID]]
) -> dict[tuple[int, UUID], Message]:
    """The messages that these senders sent under these `client_ref`s before."""
    rows = await db.scalars(
        select(Message).where(tuple_(Message.sender_id, Message.client_ref).in_(refs))
    )
    return {(row.sender_id, row.client_ref): row for row in rows}


def add_message(
    db: AsyncSession,
    talk: Talk,
    sender_id: int,
    *,
    text: str,
    client_ref: UUID,
    request_hash: str,
    upload_ids: Sequence[int],
    now: datetime,
) -> Message:
    """Append a message; it reads everything before it, and is one more unread for the other."""
    mine, other, chat = talk.members[sender_id], talk.other(sender_id), talk.chat
    chat.last_seq += 1
    chat.last_at = now
    if mine.read_seq < chat.last_seq - 1:
        db.add(_receipt(mine, Marker.READ, chat.last_seq, now))
    mine.read_seq = mine.delivered_seq = chat.last_seq
    mine.unread = 0
    other.unread += 1
    _write_whole(mine, other)
    message = Message(
        chat_id=chat.id,
        seq=chat.last_seq,
        sender_id=sender_id,
        client_ref=client_ref,
        request_hash=request_hash,
        text=text,
        created_at=now,
        edited_at=None,
        deleted=False,
        files=len(upload_ids),
    )
    db.add(message)
    db.add_all(
        Attachment(chat_id=chat.id, seq=message.seq, place=place, upload_id=upload_id)
        for place, upload_id in enumerate(upload_ids)
    )
    return message


def delete_message(talk: Talk, message: Message) -> None:
    """Empty a message; it is no longer unread, but keeps its place."""
    other = talk.other(message.sender_id)
    if message.seq > other.read_seq:
        other.unread -= 1
    message.text = ""
    message.deleted = True
    message.files = 0


async def get_message(db: AsyncSession, chat_id: int, seq: int) -> Message | None:
    return await db.get(Message, (chat_id, seq), populate_existing=True)


def mark_delivered(db: AsyncSession, member: Member, seq: int, now: datetime) -> bool:
    """Move the delivered marker up to `seq`; False when it was there already."""
    if seq <= member.delivered_seq:
        return False
    member.delivered_seq = seq
    db.add(_receipt(member, Marker.DELIVERED, seq, now))
    return True


def mark_read(db: AsyncSession, member: Member, seq: int, unread: int, now: datetime) -> bool:
    """Move the read marker up to `seq`, after which `unread` remain; False when it was there."""
    if seq <= member.read_seq:
        return False
    member.read_seq = seq
    member.delivered_seq = max(member.delivered_seq, seq)
    member.unread = unread
    _write_whole(member)
    db.add(_receipt(member, Marker.READ, seq, now))
    return True


async def count_passed(db: AsyncSession, moves: Sequence[tuple[Talk, Member, int]]) -> list[int]:
    """For each read marker and the seq it moves to: how many unread messages it passes."""
    short = {place: move for place, move in enumerate(moves) if move[2] < move[0].chat.last_seq}
    # At the end of the chat nothing is left to count.
    passed = [member.unread for _, member, _ in moves]
    if short:
        counts = union_all(
            *(
                select(literal(place).label("place"), func.count().label("count")).where(
                    Message.chat_id == talk.chat.id,
                    Message.seq > member.read_seq,
                    Message.seq <= seq,
                    Message.deleted.is_(False),
                )
                for place, (talk, member, seq) in short.items()
            )
        )
        for place, count in await db.execute(counts):
            passed[place] = count
    return passed


def _write_whole(*members: Member) -> None:
    """Write the same columns for every member, so that a batch is one statement."""
    for member in members:
        for name in ("read_seq", "delivered_seq", "unread"):
            flag_modified(member, name)


def _receipt(member: Member, kind: Marker, seq: int, now: datetime) -> Receipt:
    return Receipt(chat_id=member.chat_id, user_id=member.user_id, kind=kind, seq=seq, at=now)


def _pair(psychologist_id: int, patient_id: int) -> tuple[Any, ...]:
    return (Chat.psychologist_id == psychologist_id, Chat.patient_id == patient_id)

"""Chat: conversations of two, their messages, and how far each of the two has got."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased, mapped_column

from storage.accounts import User
from storage.database import insert
from storage.schema import NEVER_REUSED, Key, Number, Table, UserId, UserKey, big_integer

MAX_CHATS = 1000
"""Chats with unread messages, or people to tell of presence, that are listed at once."""


class ChatStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Marker(StrEnum):
    DELIVERED = "delivered"
    READ = "read"


class Chat(Table):
    """The one conversation of a pair. `last_seq` numbers its messages without a gap."""

    __tablename__ = "chats"
    __table_args__ = (
        UniqueConstraint("psychologist_id", "patient_id"),
        Index(None, "patient_id"),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    psychologist_id: Mapped[UserId]
    patient_id: Mapped[UserId]
    status: Mapped[str] = mapped_column(String(10))
    last_seq: Mapped[Number] = mapped_column(default=0, server_default="0")
    last_at: Mapped[datetime]
    created_at: Mapped[datetime]


class Member(Table):
    """How far one person has got in a chat.

    A person's own message reads everything before it, so what follows `read_seq` is all the
    other's, and `unread` is how much of that has not been deleted.
    """

    __tablename__ = "chat_members"
    __table_args__ = (
        Index("ix_chat_members_user_id", "user_id", "chat_id"),
        Index(
            "ix_chat_members_unread",
            "user_id",
            postgresql_where=sql("unread > 0"),
            sqlite_where=sql("unread > 0"),
        ),
    )

    chat_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UserKey]
    read_seq: Mapped[Number] = mapped_column(default=0, server_default="0")
    delivered_seq: Mapped[Number] = mapped_column(default=0, server_default="0")
    unread: Mapped[Number] = mapped_column(default=0, server_default="0")


class Message(Table):
    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("sender_id", "client_ref"),)

    chat_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    sender_id: Mapped[UserId]
    client_ref: Mapped[UUID] = mapped_column(Uuid)
    request_hash: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    edited_at: Mapped[datetime | None]
    deleted: Mapped[bool] = mapped_column(default=False, server_default="0")


class Receipt(Table):
    """A marker's moves: a message was read when the first move reached it."""

    __tablename__ = "receipts"

    chat_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UserKey]
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    seq: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    at: Mapped[datetime]


Psychologist = aliased(User, name="psychologist")
Patient = aliased(User, name="patient")


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


@dataclass(frozen=True, slots=True)
class View:
    """A chat as one of its people sees it."""

    chat: Chat
    psychologist: User
    patient: User
    member: Member
    last_message: Message | None


@dataclass(frozen=True, slots=True)
class Reached:
    """When the other person got a message, and when they read it."""

    delivered_at: datetime | None = None
    read_at: datetime | None = None


class Receipts:
    """The moves of markers around a span of messages."""

    def __init__(self, rows: Iterable[Receipt]) -> None:
        self._moves: dict[tuple[int, int, str], list[tuple[int, datetime]]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: row.seq):
            self._moves[row.chat_id, row.user_id, row.kind].append((row.seq, row.at))
        self._people = {(chat_id, user_id) for chat_id, user_id, _ in self._moves}

    def reached(self, message: Message) -> Reached:
        read = delivered = None
        for chat_id, user_id in self._people:
            if chat_id == message.chat_id and user_id != message.sender_id:
                read = self._first(message, user_id, Marker.READ)
                delivered = self._first(message, user_id, Marker.DELIVERED)
        # Who has read a message has got it.
        got = min((at for at in (read, delivered) if at is not None), default=None)
        return Reached(delivered_at=got, read_at=read)

    def _first(self, message: Message, user_id: int, kind: Marker) -> datetime | None:
        moves = self._moves.get((message.chat_id, user_id, kind), [])
        place = bisect_left(moves, message.seq, key=lambda move: move[0])
        return moves[place][1] if place < len(moves) else None


# -- Opening and closing --


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


# -- Seeing --


async def get_view(db: AsyncSession, chat_id: int, user_id: int) -> View | None:
    row = (
        await db.execute(
            _views(user_id).where(Chat.id == chat_id),
            execution_options={"populate_existing": True},
        )
    ).one_or_none()
    return View(*row) if row else None


async def list_views(
    db: AsyncSession, user_id: int, *, skip: int, limit: int
) -> tuple[list[View], int]:
    """A person's chats, the latest message first."""
    total = (await db.execute(select(func.count()).where(Member.user_id == user_id))).scalar_one()
    rows = await db.execute(
        _views(user_id).order_by(Chat.last_at.desc(), Chat.id.desc()).offset(skip).limit(limit)
    )
    return [View(*row) for row in rows], total


async def list_messages(db: AsyncSession, chat_id: int, first: int, last: int) -> list[Message]:
    """The messages from seq `first` to seq `last`, ascending."""
    return list(
        await db.scalars(
            select(Message)
            .where(Message.chat_id == chat_id, Message.seq.between(first, last))
            .order_by(Message.seq)
        )
    )


async def get_receipts(
    db: AsyncSession, chat_id: int, member_ids: Iterable[int], first: int, last: int
) -> Receipts:
    """What is needed to tell when the messages from `first` to `last` were reached.

    A move beyond the span may be the first to have reached its end, so the next one is read too.
    """
    inside = select(Receipt).where(Receipt.chat_id == chat_id, Receipt.seq.between(first, last))
    beyond = [
        select(Receipt)
        .where(
            Receipt.chat_id == chat_id,
            Receipt.user_id == user_id,
            Receipt.kind == kind,
            Receipt.seq > last,
        )
        .order_by(Receipt.seq)
        .limit(1)
        .subquery()
        for user_id in member_ids
        for kind in Marker
    ]
    rows = union_all(inside, *(select(one) for one in beyond)).subquery()
    return Receipts(await db.scalars(select(aliased(Receipt, rows))))


async def get_last_receipts(db: AsyncSession, chats: Iterable[Chat]) -> Receipts:
    """What is needed to tell when the last message of each chat was reached."""
    ends = [(chat.id, chat.last_seq) for chat in chats if chat.last_seq]
    if not ends:
        return Receipts([])
    return Receipts(
        await db.scalars(select(Receipt).where(tuple_(Receipt.chat_id, Receipt.seq).in_(ends)))
    )


async def list_unread(
    db: AsyncSession, user_ids: Collection[int]
) -> dict[int, list[tuple[int, int]]]:
    """For each person their chats with unread messages: (chat_id, unread)."""
    rows = await db.execute(
        select(Member.user_id, Member.chat_id, Member.unread)
        .where(Member.user_id.in_(user_ids), Member.unread > 0)
        .order_by(Member.user_id, Member.chat_id)
        .limit(MAX_CHATS * len(user_ids))
    )
    unread: dict[int, list[tuple[int, int]]] = {user_id: [] for user_id in user_ids}
    for user_id, chat_id, count in rows:
        unread[user_id].append((chat_id, count))
    return unread


async def list_partners(
    db: AsyncSession, user_id: int, among: Collection[int] | None = None
) -> list[User]:
    """The people somebody shares an open chat with, all of them or those of `among`."""
    partner = or_(
        and_(Chat.psychologist_id == user_id, Chat.patient_id == User.id),
        and_(Chat.patient_id == user_id, Chat.psychologist_id == User.id),
    )
    statement = (
        select(User).join(Chat, partner).where(Chat.status == ChatStatus.OPEN).limit(MAX_CHATS)
    )
    if among is not None:
        statement = statement.where(User.id.in_(among))
    return list(await db.scalars(statement.order_by(User.id)))


# -- Writing --


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
    now: datetime,
) -> Message:
    """Append a message; it reads everything before it, and is one more unread for the other."""
    mine, chat = talk.members[sender_id], talk.chat
    chat.last_seq += 1
    chat.last_at = now
    if mine.read_seq < chat.last_seq - 1:
        db.add(_receipt(mine, Marker.READ, chat.last_seq, now))
    mine.read_seq = mine.delivered_seq = chat.last_seq
    mine.unread = 0
    talk.other(sender_id).unread += 1
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
    )
    db.add(message)
    return message


def delete_message(talk: Talk, message: Message) -> None:
    """Empty a message; it is no longer unread, but keeps its place."""
    other = talk.other(message.sender_id)
    if message.seq > other.read_seq:
        other.unread -= 1
    message.text = ""
    message.deleted = True


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


def _receipt(member: Member, kind: Marker, seq: int, now: datetime) -> Receipt:
    return Receipt(chat_id=member.chat_id, user_id=member.user_id, kind=kind, seq=seq, at=now)


def _pair(psychologist_id: int, patient_id: int) -> tuple[Any, ...]:
    return (Chat.psychologist_id == psychologist_id, Chat.patient_id == patient_id)


def _views(user_id: int) -> Any:
    return (
        select(Chat, Psychologist, Patient, Member, Message)
        .join(Member, and_(Member.chat_id == Chat.id, Member.user_id == user_id))
        .join(Psychologist, Psychologist.id == Chat.psychologist_id)
        .join(Patient, Patient.id == Chat.patient_id)
        .outerjoin(Message, and_(Message.chat_id == Chat.id, Message.seq == Chat.last_seq))
    )

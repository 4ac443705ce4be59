"""Seeing chats: lists, histories, receipts, counts and partners."""

import itertools
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    String,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from storage.accounts import User
from storage.chat.tables import (
    NEAR,
    SIDES,
    Attachment,
    Chat,
    ChatStatus,
    Marker,
    Message,
    Place,
    Receipt,
    is_member,
)
from storage.many import INT, Many, core
from storage.uploads import Upload

MAX_CHATS = 1000
"""Chats with unread messages, or people to tell of presence, that are listed at once."""


Psychologist = aliased(User, name="psychologist")
Patient = aliased(User, name="patient")


CHATS, MESSAGES = core(Chat), core(Message)


def _list_unread(asked: FromClause) -> Any:
    sides = [
        select(
            CHATS.c[f"{side}_id"].label("user_id"),
            CHATS.c.id.label("chat_id"),
            CHATS.c[f"{side}_unread"],
        )
        .join(asked, CHATS.c[f"{side}_id"] == asked.c.user_id)
        .where(CHATS.c[f"{side}_unread"] > 0)
        for side in SIDES
    ]
    return union_all(*sides).order_by("user_id", "chat_id").limit(bindparam("limit", type_=INT))


def _find_others(asked: FromClause, mine: str, other: str) -> Any:
    return (
        select(CHATS.c[mine], CHATS.c[other])
        .join(asked, CHATS.c[mine] == asked.c.user_id)
        .where(CHATS.c.status == ChatStatus.OPEN)
        .limit(bindparam("limit", type_=INT))
    )


def _list_people(asked: FromClause) -> Any:
    return select(CHATS.c.psychologist_id, CHATS.c.patient_id).join(asked, CHATS.c.id == asked.c.id)


def _list_standings(asked: FromClause) -> Any:
    sides = (_list_standings_of(asked, *both) for both in itertools.permutations(SIDES))
    return union_all(*sides).order_by("chat_id", "user_id")


def _list_standings_of(asked: FromClause, side: str, other: str) -> Any:
    both_are_there = and_(*(CHATS.c[f"{one}_unread"].is_not(None) for one in SIDES))
    unread, read_seq = CHATS.c[f"{side}_unread"], CHATS.c[f"{side}_read_seq"]
    first, before = MESSAGES.alias(), MESSAGES.alias()

    def is_at(message: Any, seq: Any) -> ColumnElement[bool]:
        return and_(unread > 0, message.c.chat_id == CHATS.c.id, message.c.seq == seq)

    return (
        select(
            CHATS.c.id.label("chat_id"),
            CHATS.c[f"{side}_id"].label("user_id"),
            CHATS.c[f"{other}_id"],
            unread,
            CHATS.c.last_seq,
            first.c.created_at,
            before.c.created_at.label("before"),
        )
        .join(asked, CHATS.c.id == asked.c.id)
        .outerjoin(first, is_at(first, read_seq + 1))
        .outerjoin(before, is_at(before, read_seq))
        .where(both_are_there)
    )


_UNREAD = Many(_list_unread, user_id=INT)
_PEOPLE = Many(_list_people, id=INT)
_STANDINGS = Many(_list_standings, id=INT)
_PATIENTS, _PSYCHOLOGISTS = (
    Many(partial(_find_others, mine=mine, other=other), user_id=INT)
    for mine, other in itertools.permutations([f"{side}_id" for side in SIDES])
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How much somebody has not read in a chat, and how far the chat has got."""

    chat_id: int
    user_id: int
    other_id: int
    unread: int
    last_seq: int
    since: datetime | None
    """When the first message was sent that they have not read."""

    before: datetime | None
    """When the message before that one was."""


@dataclass(frozen=True, slots=True)
class View:
    """A chat as one of its people sees it."""

    chat: Chat
    psychologist: User
    patient: User
    last_message: Message | None
    place: Place


@dataclass(frozen=True, slots=True)
class Reached:
    """When the other person got a message, and when they read it."""

    delivered_at: datetime | None = None
    read_at: datetime | None = None


class Receipts:
    """The moves of markers around a span of messages."""

    def __init__(self, rows: Iterable[Any]) -> None:
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


async def get_view(db: AsyncSession, chat_id: int, user_id: int) -> View | None:
    views = await _see(db, user_id, _views(user_id).where(Chat.id == chat_id))
    return views[0] if views else None


async def list_views(
    db: AsyncSession, user_id: int, *, skip: int, limit: int
) -> tuple[list[View], int]:
    """A person's chats, the latest message first."""
    total = (await db.execute(select(func.count()).where(is_member(user_id)))).scalar_one()
    latest = _views(user_id).order_by(Chat.last_at.desc(), Chat.id.desc())
    return await _see(db, user_id, latest.offset(skip).limit(limit)), total


async def list_views_after(db: AsyncSession, user_id: int, *, after: int, limit: int) -> list[View]:
    """A person's chats by id."""
    following = _views(user_id).where(Chat.id > after).order_by(Chat.id)
    return await _see(db, user_id, following.limit(limit))


async def list_messages(db: AsyncSession, chat_id: int, first: int, last: int) -> list[Message]:
    """The messages from seq `first` to seq `last`, ascending."""
    return list(
        await db.scalars(
            select(Message)
            .where(Message.chat_id == chat_id, Message.seq.between(first, last))
            .order_by(Message.seq)
        )
    )


async def is_undelivered(db: AsyncSession, chat_id: int, user_id: int) -> bool:
    """Whether a person has unread messages in a chat, and no device has got the last one."""
    chat = await db.get(Chat, chat_id, populate_existing=True)
    place = chat.find_place(user_id) if chat else None
    if chat is None or place is None:
        return False
    return place.unread > 0 and place.delivered_seq < chat.last_seq


async def list_attachments(
    db: AsyncSession, messages: Iterable[Message]
) -> dict[tuple[int, int], list[Upload]]:
    """The files of those messages that have any, by (chat_id, seq)."""
    places = [(message.chat_id, message.seq) for message in messages if message.files]
    files: dict[tuple[int, int], list[Upload]] = defaultdict(list)
    if places:
        rows = await db.execute(
            select(Attachment, Upload)
            .join(Upload, Upload.id == Attachment.upload_id)
            .where(tuple_(Attachment.chat_id, Attachment.seq).in_(places))
            .order_by(Attachment.chat_id, Attachment.seq, Attachment.place)
        )
        for attachment, upload in rows:
            files[attachment.chat_id, attachment.seq].append(upload)
    return files


async def is_shown_to(db: AsyncSession, upload_id: int, user_id: int) -> bool:
    """Whether a file is attached in a chat of this person's."""
    found = await db.scalar(
        select(Chat.id)
        .join(Attachment, Attachment.chat_id == Chat.id)
        .where(Attachment.upload_id == upload_id, is_member(user_id))
    )
    return found is not None


async def get_receipts(
    db: AsyncSession, chat_id: int, member_ids: Iterable[int], first: int, last: int
) -> Receipts:
    """What is needed to tell when the messages from `first` to `last` were reached.

    A move beyond the span may be the first to have reached its end, so the next one is read too;
    and so are the messages that are receipts themselves.
    """
    move = (Receipt.chat_id, Receipt.user_id, Receipt.kind, Receipt.seq, Receipt.at)
    inside = select(*move).where(Receipt.chat_id == chat_id, Receipt.seq.between(first, last))
    beyond = [
        select(*move)
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
    answers = select(
        Message.chat_id,
        Message.sender_id,
        literal(Marker.READ, String),
        Message.seq,
        Message.created_at,
    ).where(Message.chat_id == chat_id, Message.seq.between(first, last + NEAR))
    return Receipts(await db.execute(union_all(inside, answers, *(select(one) for one in beyond))))


async def get_last_receipts(db: AsyncSession, chats: Iterable[Chat]) -> Receipts:
    """What is needed to tell when the last message of each chat was reached: nobody has answered."""
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
    rows = await _UNREAD.run(
        db, [(user_id,) for user_id in user_ids], limit=MAX_CHATS * len(user_ids)
    )
    unread: dict[int, list[tuple[int, int]]] = {user_id: [] for user_id in user_ids}
    for user_id, chat_id, count in rows:
        unread[user_id].append((chat_id, count))
    return unread


async def list_people(db: AsyncSession, chat_ids: Collection[int]) -> set[int]:
    """The people of these chats, whoever is in how many of them."""
    rows = await _PEOPLE.run(db, [(chat_id,) for chat_id in chat_ids])
    return {user_id for both in rows for user_id in both}


async def list_standings(db: AsyncSession, chat_ids: Collection[int]) -> list[Standing]:
    """How much each member of these chats has not read; of chats of two."""
    rows = await _STANDINGS.run(db, [(chat_id,) for chat_id in sorted(chat_ids)])
    return [Standing(*row) for row in rows]


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


async def find_partners(db: AsyncSession, user_ids: Collection[int]) -> dict[int, set[int]]:
    """With whom each of these people shares an open chat."""
    asked, limit = [(user_id,) for user_id in user_ids], MAX_CHATS * len(user_ids)
    partners: dict[int, set[int]] = {}
    for find in (_PATIENTS, _PSYCHOLOGISTS):
        for user_id, partner_id in await find.run(db, asked, limit=limit):
            partners.setdefault(user_id, set()).add(partner_id)
    return partners


def _views(user_id: int) -> Any:
    return (
        select(Chat, Psychologist, Patient, Message)
        .join(Psychologist, Psychologist.id == Chat.psychologist_id)
        .join(Patient, Patient.id == Chat.patient_id)
        .outerjoin(Message, and_(Message.chat_id == Chat.id, Message.seq == Chat.last_seq))
        .where(is_member(user_id))
    )


async def _see(db: AsyncSession, user_id: int, views: Any) -> list[View]:
    rows = await db.execute(views, execution_options={"populate_existing": True})
    seen = []
    for chat, psychologist, patient, last_message in rows:
        if place := chat.find_place(user_id):
            seen.append(View(chat, psychologist, patient, last_message, place))
    return seen

"""Chats under lock: read once, changed in memory, written back together."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    FromClause,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from storage.chat.tables import NEAR, SIDES, Attachment, Chat, Marker, Message, Place, Receipt
from storage.many import INT, TEXT, Bound, Insertion, Many, carry_out, core, load
from storage.schema import Moment

CHATS, MESSAGES = core(Chat), core(Message)
_PLACES = [f"{side}_{name}" for side in SIDES for name in Place._fields]


class NewMessage(NamedTuple):
    """As `messages` gets it; the last fields are as for every new one."""

    chat_id: int
    seq: int
    sender_id: int
    client_ref: UUID
    request_hash: str
    text: str
    created_at: datetime
    files: int
    edited_at: None = None
    deleted: bool = False


def _lock(asked: FromClause) -> Any:
    return (
        select(
            CHATS.c.id,
            CHATS.c.status,
            CHATS.c.last_seq,
            *(CHATS.c[f"{side}_id"] for side in SIDES),
            *(CHATS.c[name] for name in _PLACES),
        )
        .join(asked, asked.c.id == CHATS.c.id)
        .order_by(CHATS.c.id)
        .with_for_update(of=CHATS)
    )


def _find_sent(asked: FromClause) -> Any:
    return select(MESSAGES).join(
        asked,
        and_(
            MESSAGES.c.sender_id == asked.c.sender_id,
            MESSAGES.c.client_ref == cast(asked.c.ref, MESSAGES.c.client_ref.type),
        ),
    )


def _move(moved: FromClause) -> Any:
    now = bindparam("now", type_=Moment())
    spoke = moved.c.last_seq > CHATS.c.last_seq
    return (
        update(CHATS)
        .where(CHATS.c.id == moved.c.id)
        .values(
            last_seq=moved.c.last_seq,
            last_at=case((spoke, now), else_=CHATS.c.last_at),
            **{name: moved.c[name] for name in _PLACES},
        )
    )


_LOCK = Many(_lock, id=INT)
_FIND_SENT = Many(_find_sent, sender_id=INT, ref=TEXT)
_GIVEN = len(NewMessage._fields) - len(NewMessage._field_defaults)
"""Columns that a new message has a value for; the rest are the table's defaults."""

_ADD = Insertion(Message, *NewMessage._fields[:_GIVEN])
_ATTACH = Insertion(Attachment, "chat_id", "seq", "place", "upload_id")
_NOTE = Insertion(Receipt, "chat_id", "user_id", "kind", "seq", "at")
_MOVE = Many(_move, id=INT, last_seq=INT, **dict.fromkeys(_PLACES, INT))


@dataclass(slots=True)
class Progress:
    """How far one member of a chat has got."""

    chat_id: int
    user_id: int
    read_seq: int
    delivered_seq: int
    unread: int
    unread_before: int
    moved: bool = False


@dataclass(slots=True)
class Talk:
    """A chat whose rows are locked until the transaction ends; `save_talks` writes its changes."""

    id: int
    status: str
    last_seq: int
    people: Sequence[int]
    """Their ids, in the order of SIDES; of whom those who were erased are no members."""

    members: dict[int, Progress] = field(default_factory=dict)
    messages: list[NewMessage] = field(default_factory=list)
    attachments: list[tuple[Any, ...]] = field(default_factory=list)
    receipts: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def member_ids(self) -> list[int]:
        return sorted(self.members)

    def other(self, user_id: int) -> Progress:
        (other,) = (member for member in self.members.values() if member.user_id != user_id)
        return other


async def lock_talks(db: AsyncSession, chat_ids: Collection[int]) -> dict[int, Talk]:
    """The chats with both members, locked in the order of their ids."""
    return _gather(await _LOCK.run(db, [(chat_id,) for chat_id in chat_ids]))


async def lock_for_messages(
    db: AsyncSession, chat_ids: Collection[int], refs: Sequence[tuple[int, UUID]]
) -> tuple[dict[int, Talk], dict[tuple[int, UUID], Message]]:
    """The chats, as `lock_talks`, and what these senders sent under these `client_ref`s before."""
    rows, sent = await carry_out(
        db,
        [
            Bound(_LOCK, [(chat_id,) for chat_id in chat_ids]),
            Bound(_FIND_SENT, [(user_id, ref.hex) for user_id, ref in refs]),
        ],
    )
    found = {(row.sender_id, row.client_ref): load(Message, row) for row in sent}
    return _gather(rows), found


def _gather(rows: Iterable[Any]) -> dict[int, Talk]:
    talks: dict[int, Talk] = {}
    for chat_id, status, last_seq, first, second, *places in rows:
        talk = talks[chat_id] = Talk(chat_id, status, last_seq, (first, second))
        for user_id, one in zip(talk.people, (places[:3], places[3:]), strict=True):
            if None not in one:
                place = Place(*one)
                talk.members[user_id] = Progress(chat_id, user_id, *place, place.unread)
    return talks


def add_message(
    talk: Talk,
    sender_id: int,
    *,
    text: str,
    client_ref: UUID,
    request_hash: str,
    upload_ids: Sequence[int],
    now: datetime,
) -> NewMessage:
    """Append a message; it reads everything before it, and is one more unread for the other."""
    mine, other = talk.members[sender_id], talk.other(sender_id)
    talk.last_seq = seq = talk.last_seq + 1
    if seq - 1 - mine.read_seq > NEAR:
        _note(talk, mine, Marker.READ, seq, now)
    mine.read_seq = mine.delivered_seq = seq
    mine.unread = 0
    other.unread += 1
    mine.moved = other.moved = True
    message = NewMessage(
        talk.id, seq, sender_id, client_ref, request_hash, text, now, len(upload_ids)
    )
    talk.messages.append(message)
    talk.attachments += [
        (talk.id, seq, place, upload_id) for place, upload_id in enumerate(upload_ids)
    ]
    return message


def delete_message(talk: Talk, message: Message) -> None:
    """Empty a message; it is no longer unread, but keeps its place."""
    other = talk.other(message.sender_id)
    if message.seq > other.read_seq:
        other.unread -= 1
        other.moved = True
    message.text = ""
    message.deleted = True
    message.files = 0


def mark_delivered(talk: Talk, member: Progress, seq: int, now: datetime) -> bool:
    """Move the delivered marker up to `seq`; False when it was there already."""
    if seq <= member.delivered_seq:
        return False
    member.delivered_seq = seq
    member.moved = True
    _note(talk, member, Marker.DELIVERED, seq, now)
    return True


def mark_read(talk: Talk, member: Progress, seq: int, unread: int, now: datetime) -> bool:
    """Move the read marker up to `seq`, after which `unread` remain; False when it was there."""
    if seq <= member.read_seq:
        return False
    member.read_seq = seq
    member.delivered_seq = max(member.delivered_seq, seq)
    member.unread = unread
    member.moved = True
    _note(talk, member, Marker.READ, seq, now)
    return True


async def count_passed(db: AsyncSession, moves: Sequence[tuple[Talk, Progress, int]]) -> list[int]:
    """For each read marker and the seq it moves to: how many unread messages it passes."""
    short = {place: move for place, move in enumerate(moves) if move[2] < move[0].last_seq}
    # At the end of the chat nothing is left to count.
    passed = [member.unread for _, member, _ in moves]
    if short:
        counts = union_all(
            *(
                select(literal(place).label("place"), func.count().label("count")).where(
                    Message.chat_id == talk.id,
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


def save_talks(talks: Iterable[Talk], now: datetime) -> list[Bound]:
    """What writes all that has changed."""
    changed = [talk for talk in talks if any(one.moved for one in talk.members.values())]
    if not changed:
        return []
    return [
        Bound(_ADD, [message[:_GIVEN] for talk in changed for message in talk.messages]),
        Bound(_ATTACH, [row for talk in changed for row in talk.attachments]),
        Bound(_NOTE, [row for talk in changed for row in talk.receipts]),
        Bound(
            _MOVE,
            [(talk.id, talk.last_seq, *_list_places(talk)) for talk in changed],
            {"now": now},
        ),
    ]


def _list_places(talk: Talk) -> Iterator[int | None]:
    for user_id in talk.people:
        member = talk.members.get(user_id)
        for name in Place._fields:
            yield getattr(member, name, None)


def _note(talk: Talk, member: Progress, kind: Marker, seq: int, now: datetime) -> None:
    talk.receipts.append((talk.id, member.user_id, kind, seq, now))

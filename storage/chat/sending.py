"""Messages sent in one statement: locked, checked, numbered, stored and told of by the database.

For PostgreSQL only. What needs a second look (files, a repeated `client_ref`, a chat that is not
the sender's or is closed) is left out, for `talks.py` to do it step by step. Both ways give the
same rows; the tests hold them together.

The statement's snapshot may be older than the locks it waits for. What is locked is read as it is
by then, and so it is what everything else is reckoned from; that somebody has just sent the same
again is refused by the unique key.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql

from storage.chat.tables import Chat, ChatStatus, Marker, Member, Message, Receipt
from storage.events import log_pushes, move_heads, number_pushes
from storage.many import EVEN_TEXT, INT, TEXT, Bound, Many, core
from storage.outbox import NewJob, keep_jobs
from storage.schema import Moment

CHATS, MEMBERS, MESSAGES, RECEIPTS = core(Chat), core(Member), core(Message), core(Receipt)


class Draft(NamedTuple):
    """A message to be sent; `before` and `after` are its JSON around its seq."""

    place: int
    chat_id: int
    sender_id: int
    ref: str
    request_hash: str
    text: str
    before: str
    after: str


def send(
    drafts: Sequence[Draft], *, namespace: str, event: str, then: NewJob, now: datetime
) -> Bound:
    """What sends those of the drafts that are plain.

    It returns (place, seq, user_id, at_seq), the last being the message's number in that person's
    stream: a pair of rows for each message that was sent, in the order of the drafts.

    No two drafts may have a sender and a `ref` in common, nor may their texts be odd. Both people
    are told of each message by an entry of the event log, and the job `then` is stored for every
    chat: its key is the chat's id, its payload {chat_id, user_ids}. Locks are taken as everywhere:
    chats, outbox, heads.
    """
    values = {
        "namespace": namespace,
        "event": event,
        "job": then.job,
        "queue": then.queue,
        "request_id": then.request_id,
        "due_at": then.due_at,
        "now": now,
    }
    return Bound(_SEND, drafts, values)


def _build(rows: FromClause) -> Any:
    asked = select(rows).cte("asked")
    locked = _lock(asked).cte("locked")
    given = _number(asked, locked).cte("given")
    ends = _find_ends(given).cte("ends")
    jobs = keep_jobs(_list_jobs(ends)).cte("jobs")
    told = _list_told(given).cte("told")
    # Read by whoever moves the heads, so that the outbox is locked before them.
    stored = select(func.count().label("jobs")).select_from(jobs).cte("stored")
    moved = move_heads(_count_told(told, stored)).cte("moved")
    numbered = number_pushes(told, moved).cte("numbered")
    told_of = select(numbered.c.place, numbered.c.seq, numbered.c.user_id, numbered.c.at_seq)
    return told_of.order_by(numbered.c.place, numbered.c.user_id).add_cte(
        _add(given).cte("added"),
        _note(given).cte("noted"),
        _move_chats(ends).cte("chats_moved"),
        _move_members(ends).cte("members_moved"),
        log_pushes(numbered, bindparam("event", type_=TEXT), _now()).cte("logged"),
    )


def _lock(asked: FromClause) -> Any:
    """Open chats with both members, in the order of their ids."""
    first, second = MEMBERS.alias("first"), MEMBERS.alias("second")
    return (
        select(
            CHATS.c.id,
            CHATS.c.last_seq,
            first.c.user_id.label("first_id"),
            first.c.read_seq.label("first_read"),
            second.c.user_id.label("second_id"),
            second.c.read_seq.label("second_read"),
        )
        .join(first, _is_member(first, CHATS.c.psychologist_id))
        .join(second, _is_member(second, CHATS.c.patient_id))
        .where(CHATS.c.id.in_(select(asked.c.chat_id)), CHATS.c.status == ChatStatus.OPEN)
        .order_by(CHATS.c.id)
        .with_for_update(of=[CHATS, first, second])
    )


def _is_member(member: FromClause, user_id: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(member.c.chat_id == CHATS.c.id, member.c.user_id == user_id)


def _number(asked: FromClause, locked: FromClause) -> Any:
    """The messages with their seqs, and whether their sender reads something by sending."""
    before: dict[str, Any] = {"partition_by": locked.c.id, "order_by": asked.c.place}
    number = func.row_number().over(**before)
    is_first = asked.c.sender_id == locked.c.first_id
    has_read = case((is_first, locked.c.first_read), else_=locked.c.second_read)
    known = select(MESSAGES.c.seq).where(
        MESSAGES.c.sender_id == asked.c.sender_id,
        MESSAGES.c.client_ref == cast(asked.c.ref, MESSAGES.c.client_ref.type),
    )
    return (
        select(
            asked,
            locked.c.first_id,
            locked.c.second_id,
            case((is_first, locked.c.second_id), else_=locked.c.first_id).label("other_id"),
            (locked.c.last_seq + number).label("seq"),
            case(
                (number == 1, has_read < locked.c.last_seq),
                else_=func.lag(asked.c.sender_id).over(**before) != asked.c.sender_id,
            ).label("reads"),
        )
        .join(locked, locked.c.id == asked.c.chat_id)
        .where(asked.c.sender_id.in_([locked.c.first_id, locked.c.second_id]), ~known.exists())
    )


def _add(given: FromClause) -> Any:
    names = ["chat_id", "seq", "sender_id", "client_ref", "request_hash", "text", "created_at"]
    ref = cast(given.c.ref, MESSAGES.c.client_ref.type)
    rows = select(
        given.c.chat_id,
        given.c.seq,
        given.c.sender_id,
        ref,
        given.c.request_hash,
        given.c.text,
        _now(),
    )
    return postgresql.insert(MESSAGES).from_select(names, rows, include_defaults=False)


def _note(given: FromClause) -> Any:
    rows = select(
        given.c.chat_id, given.c.sender_id, literal(Marker.READ, TEXT), given.c.seq, _now()
    ).where(given.c.reads)
    names = ["chat_id", "user_id", "kind", "seq", "at"]
    return postgresql.insert(RECEIPTS).from_select(names, rows, include_defaults=False)


def _find_ends(given: FromClause) -> Any:
    """Where each chat ends now, and each of the two has: their own last message is read by them."""
    people = (given.c.first_id, given.c.second_id)
    own = [func.max(given.c.seq).filter(given.c.sender_id == person) for person in people]
    return select(
        given.c.chat_id,
        *people,
        func.max(given.c.seq).label("last"),
        func.count().label("number"),
        own[0].label("first_own"),
        own[1].label("second_own"),
    ).group_by(given.c.chat_id, *people)


def _move_chats(ends: FromClause) -> Any:
    return (
        update(CHATS)
        .where(CHATS.c.id == ends.c.chat_id)
        .values(last_seq=ends.c.last, last_at=_now())
    )


def _move_members(ends: FromClause) -> Any:
    sides = [
        select(
            ends.c.chat_id,
            ends.c[f"{side}_id"].label("user_id"),
            ends.c[f"{side}_own"].label("own"),
            ends.c.last,
            ends.c.number,
        )
        for side in ("first", "second")
    ]
    # Of its own: a row that was changed while this waited for its lock is looked at again, and then
    # PostgreSQL does not find its partner in the second part of a union (15.20).
    place = union_all(*sides).cte("place").prefix_with("MATERIALIZED")
    return (
        update(MEMBERS)
        .where(MEMBERS.c.chat_id == place.c.chat_id, MEMBERS.c.user_id == place.c.user_id)
        .values(
            read_seq=func.coalesce(place.c.own, MEMBERS.c.read_seq),
            delivered_seq=func.coalesce(place.c.own, MEMBERS.c.delivered_seq),
            # What follows one's own last message is all the other's.
            unread=case(
                (place.c.own.is_(None), MEMBERS.c.unread + place.c.number),
                else_=place.c.last - place.c.own,
            ),
        )
    )


def _list_jobs(ends: FromClause) -> Any:
    key = cast(ends.c.chat_id, Text)
    due_at = bindparam("due_at", type_=Moment())
    about = func.json_build_object(
        literal_column("'chat_id'"),
        ends.c.chat_id,
        literal_column("'user_ids'"),
        func.json_build_array(ends.c.first_id, ends.c.second_id),
    )
    return select(
        bindparam("job", type_=TEXT),
        key,
        bindparam("queue", type_=TEXT),
        cast(about, Text),
        bindparam("request_id", type_=TEXT),
        due_at,
        due_at,
    ).order_by(key)


def _list_told(given: FromClause) -> Any:
    """Each message for both people, with how many more there are for the same person after it."""
    data = given.c.before + cast(given.c.seq, Text) + given.c.after
    both = union_all(
        *(
            select(given.c.place, given.c.seq, user_id.label("user_id"), data.label("data"))
            for user_id in (given.c.sender_id, given.c.other_id)
        )
    ).subquery("both")
    after = func.row_number().over(partition_by=both.c.user_id, order_by=both.c.place.desc())
    namespace = bindparam("namespace", type_=TEXT).label("namespace")
    return select(both, namespace, (after - 1).label("behind"))


def _count_told(told: FromClause, stored: FromClause) -> Any:
    return (
        select(told.c.user_id, told.c.namespace, func.count())
        .join(stored, stored.c.jobs >= 0)
        .group_by(told.c.user_id, told.c.namespace)
        .order_by(told.c.user_id, told.c.namespace)
    )


def _now() -> Any:
    return bindparam("now", type_=Moment())


_SEND = Many(
    _build,
    place=INT,
    chat_id=INT,
    sender_id=INT,
    ref=EVEN_TEXT,
    request_hash=EVEN_TEXT,
    text=EVEN_TEXT,
    before=EVEN_TEXT,
    after=EVEN_TEXT,
)

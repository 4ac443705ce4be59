"""Messages sent in one statement: locked, checked, numbered, stored and told of by the database.

For PostgreSQL only. What needs a second look (files, a repeated `client_ref`, a chat that is not
the sender's or is closed) is left out, for `talks.py` to do it step by step. Both ways give the
same rows; the tests hold them together.

The statement's snapshot may be older than the locks it waits for. Chats are locked by moving their
ends on, as these are by then, and all else is reckoned from there; that somebody has just sent the
same again is refused by the unique key. Only the sender's marker is read as it was: at worst a
receipt says once more what another one says already.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    FromClause,
    Text,
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
from sqlalchemy.dialects import postgresql

from storage.chat.tables import Chat, ChatStatus, Marker, Member, Message, Receipt
from storage.events import log_pushes, move_heads, number_pushes
from storage.many import EVEN_TEXT, INT, TEXT, Bound, Many, core
from storage.outbox import NewJob, describe_new, store_new
from storage.schema import Moment

CHATS, MEMBERS, MESSAGES, RECEIPTS = core(Chat), core(Member), core(Message), core(Receipt)

MOST_SENDERS = 2
"""In one chat at once; a third one is a stranger, who is to be told so step by step."""


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

    No two drafts may have a sender and a `ref` in common, no chat may have more than MOST_SENDERS,
    and no text may be odd. Both people are told of each message by an entry of the event log, and
    the job `then`, whose key must be new, is stored besides. Locks are taken as everywhere: chats,
    then heads; whoever has a chat has its members, too.
    """
    values = {"namespace": namespace, "event": event, "now": now, **describe_new(then)}
    return Bound(_SEND, drafts, values)


def _build(rows: FromClause) -> Any:
    fresh = _find_fresh(rows).cte("fresh")
    moved_on = _move_chats(_count_messages(fresh).cte("wanted")).cte("moved_on")
    given = _number(fresh, moved_on).cte("given")
    ends = _find_ends(given).cte("ends")
    told = _list_told(given).cte("told")
    moved = move_heads(_count_told(told)).cte("moved")
    numbered = number_pushes(told, moved).cte("numbered")
    told_of = select(numbered.c.place, numbered.c.seq, numbered.c.user_id, numbered.c.at_seq)
    return told_of.order_by(numbered.c.place, numbered.c.user_id).add_cte(
        _add(given).cte("added"),
        _note(given).cte("noted"),
        _move_members(ends).cte("members_moved"),
        store_new().cte("stored"),
        log_pushes(numbered, bindparam("event", type_=TEXT), _now()).cte("logged"),
    )


def _find_fresh(asked: FromClause) -> Any:
    """Those that were not sent before."""
    known = select(MESSAGES.c.seq).where(
        MESSAGES.c.sender_id == asked.c.sender_id,
        MESSAGES.c.client_ref == cast(asked.c.ref, MESSAGES.c.client_ref.type),
    )
    return select(asked).where(~known.exists())


def _count_messages(fresh: FromClause) -> Any:
    """How many each chat is to get, and from whom; in the order in which chats are locked."""
    return (
        select(
            fresh.c.chat_id,
            func.count().label("number"),
            func.min(fresh.c.sender_id).label("one_sender"),
            func.max(fresh.c.sender_id).label("other_sender"),
        )
        .group_by(fresh.c.chat_id)
        .order_by(fresh.c.chat_id)
    )


def _move_chats(wanted: FromClause) -> Any:
    """Open chats of their senders, and where each ended before."""
    people = (CHATS.c.psychologist_id, CHATS.c.patient_id)
    return (
        update(CHATS)
        .where(
            CHATS.c.id == wanted.c.chat_id,
            CHATS.c.status == ChatStatus.OPEN,
            wanted.c.one_sender.in_(people),
            wanted.c.other_sender.in_(people),
        )
        .values(last_seq=CHATS.c.last_seq + wanted.c.number, last_at=_now())
        .returning(
            CHATS.c.id,
            CHATS.c.psychologist_id.label("first_id"),
            CHATS.c.patient_id.label("second_id"),
            (CHATS.c.last_seq - wanted.c.number).label("before"),
        )
    )


def _number(fresh: FromClause, moved_on: FromClause) -> Any:
    """The messages with their seqs, and whether their sender reads something by sending."""
    within: dict[str, Any] = {"partition_by": moved_on.c.id, "order_by": fresh.c.place}
    number = func.row_number().over(**within)
    is_first = fresh.c.sender_id == moved_on.c.first_id
    return (
        select(
            fresh,
            moved_on.c.first_id,
            moved_on.c.second_id,
            case((is_first, moved_on.c.second_id), else_=moved_on.c.first_id).label("other_id"),
            (moved_on.c.before + number).label("seq"),
            case(
                (number == 1, MEMBERS.c.read_seq < moved_on.c.before),
                else_=func.lag(fresh.c.sender_id).over(**within) != fresh.c.sender_id,
            ).label("reads"),
        )
        .join(moved_on, moved_on.c.id == fresh.c.chat_id)
        .join(
            MEMBERS,
            and_(MEMBERS.c.chat_id == fresh.c.chat_id, MEMBERS.c.user_id == fresh.c.sender_id),
        )
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


def _count_told(told: FromClause) -> Any:
    return (
        select(told.c.user_id, told.c.namespace, func.count())
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

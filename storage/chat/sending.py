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

from storage.chat.tables import NEAR, SIDES, Chat, ChatStatus, Marker, Message, Receipt
from storage.events import log_pushes, move_heads, number_pushes
from storage.many import EVEN_TEXT, INT, TEXT, Bound, Many, core
from storage.outbox import NewJob, describe_kept, keep_there
from storage.schema import Moment

CHATS, MESSAGES, RECEIPTS = core(Chat), core(Message), core(Receipt)


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

    No two drafts may have a sender and a `ref` in common, and no text may be odd. Both people are
    told of each message by an entry of the event log, and the job `then` is stored besides, unless
    it is there. Locks are taken as everywhere: chats, then heads. The job's row comes last: two batches
    that share it must not wait for each other's chats, and no other holder of it waits for these heads.
    """
    values = {"namespace": namespace, "event": event, "now": now, **describe_kept(then)}
    return Bound(_SEND, drafts, values)


def _build(rows: FromClause) -> Any:
    fresh = _find_fresh(rows).cte("fresh")
    moved_on = _move_chats(_look_at_chats(fresh).cte("wanted")).cte("moved_on")
    given = _number(fresh, moved_on).cte("given")
    told = _list_told(given).cte("told")
    moved = move_heads(_count_told(told)).cte("moved")
    numbered = number_pushes(told, moved).cte("numbered")
    told_of = select(numbered.c.place, numbered.c.seq, numbered.c.user_id, numbered.c.at_seq)
    return told_of.order_by(numbered.c.place, numbered.c.user_id).add_cte(
        _add(given).cte("added"),
        _note(moved_on).cte("noted"),
        keep_there().cte("stored"),
        log_pushes(numbered, bindparam("event", type_=TEXT), _now()).cte("logged"),
    )


def _find_fresh(asked: FromClause) -> Any:
    """Those that were not sent before, with their number among those of their chat."""
    known = select(MESSAGES.c.seq).where(
        MESSAGES.c.sender_id == asked.c.sender_id,
        MESSAGES.c.client_ref == cast(asked.c.ref, MESSAGES.c.client_ref.type),
    )
    number = func.row_number().over(partition_by=asked.c.chat_id, order_by=asked.c.place)
    return select(asked, number.label("number")).where(~known.exists())


def _look_at_chats(fresh: FromClause) -> Any:
    """The senders' chats as they were, in the order in which chats are locked.

    And how many messages each is to get, and which of them are the first and the last one of
    either person's.
    """
    people = [CHATS.c[f"{side}_id"] for side in SIDES]
    own = [
        find(fresh.c.number).filter(fresh.c.sender_id == person).label(f"{side}_{which}")
        for side, person in zip(SIDES, people, strict=True)
        for which, find in (("first", func.min), ("last", func.max))
    ]
    return (
        select(
            CHATS.c.id,
            *people,
            *(CHATS.c[f"{side}_read_seq"] for side in SIDES),
            func.count().label("number"),
            *own,
        )
        .join(fresh, fresh.c.chat_id == CHATS.c.id)
        .group_by(CHATS.c.id)
        .having(func.bool_and(fresh.c.sender_id.in_(people)))
        .order_by(CHATS.c.id)
    )


def _move_chats(wanted: FromClause) -> Any:
    """Those that are open, and where each ended before."""
    moved: dict[str, Any] = {"last_seq": CHATS.c.last_seq + wanted.c.number, "last_at": _now()}
    for side in SIDES:
        last, unread = wanted.c[f"{side}_last"], f"{side}_unread"
        for marker in (f"{side}_read_seq", f"{side}_delivered_seq"):
            moved[marker] = func.coalesce(CHATS.c.last_seq + last, CHATS.c[marker])
        # What follows one's own last message is all the other's.
        moved[unread] = wanted.c.number + func.coalesce(-last, CHATS.c[unread])
    return (
        update(CHATS)
        .where(CHATS.c.id == wanted.c.id, CHATS.c.status == ChatStatus.OPEN)
        .values(moved)
        .returning(
            CHATS.c.id,
            (CHATS.c.last_seq - wanted.c.number).label("before"),
            *(wanted.c[f"{side}_{what}"] for side in SIDES for what in ("id", "read_seq", "first")),
        )
    )


def _number(fresh: FromClause, moved_on: FromClause) -> Any:
    """The messages with their seqs, and with who else is told."""
    first, second = (moved_on.c[f"{side}_id"] for side in SIDES)
    return select(
        fresh,
        case((fresh.c.sender_id == first, second), else_=first).label("other_id"),
        (moved_on.c.before + fresh.c.number).label("seq"),
    ).join(moved_on, moved_on.c.id == fresh.c.chat_id)


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


def _note(moved_on: FromClause) -> Any:
    """Receipts of those who read much by writing; what is read after that is of this batch."""
    rows = []
    for side in SIDES:
        seq = moved_on.c.before + moved_on.c[f"{side}_first"]
        far = seq - 1 - moved_on.c[f"{side}_read_seq"] > NEAR
        person = moved_on.c[f"{side}_id"]
        rows.append(
            select(moved_on.c.id, person, literal(Marker.READ, TEXT), seq, _now()).where(far)
        )
    names = ["chat_id", "user_id", "kind", "seq", "at"]
    return postgresql.insert(RECEIPTS).from_select(names, union_all(*rows), include_defaults=False)


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

"""The event log: what each person must be told, numbered without a gap per person and namespace."""

import secrets
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Index,
    String,
    Text,
    and_,
    bindparam,
    delete,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from storage.database import insert
from storage.many import INT, TEXT, Bound, Insertion, Many, core, unnest
from storage.schema import Moment, Number, Table, UserKey, big_integer

PRUNE_CHUNK = 1000


class Head(Table):
    """Where a stream stands: the last seq allotted, and the last one no longer kept."""

    __tablename__ = "heads"

    user_id: Mapped[UserKey]
    namespace: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq: Mapped[Number]
    floor: Mapped[Number] = mapped_column(default=0, server_default="0")


class LogEntry(Table):
    """Written under its head's lock: no foreign key, whose check would cost more than the row."""

    __tablename__ = "event_log"
    __table_args__ = (Index(None, "at"),)

    user_id: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    namespace: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq: Mapped[Number] = mapped_column(primary_key=True, autoincrement=False)
    event: Mapped[str] = mapped_column(String(60))
    data: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class StreamEpoch(Table):
    """One row: the name of this log. After a backup is restored, old positions mean nothing."""

    __tablename__ = "stream_epoch"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[str] = mapped_column(String(32))


Stream = tuple[int, str]
"""Whose, and in which namespace."""


class Push(NamedTuple):
    """One event for one person, before it has its number. `data` is JSON text."""

    user_id: int
    namespace: str
    event: str
    data: str

    @property
    def stream(self) -> Stream:
        return self.user_id, self.namespace


@dataclass(frozen=True, slots=True)
class Logged:
    user_id: int
    namespace: str
    seq: int
    event: str
    data: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Position:
    seq: int
    floor: int


NOWHERE = Position(seq=0, floor=0)

Place = tuple[int, str, int]
"""A stream, and the seq after which to go on."""


HEADS, LOG = core(Head), core(LogEntry)

_ENTRY = ("user_id", "namespace", "seq", "event", "data", "at")


def _move_heads(added: Any) -> Any:
    return added.on_conflict_do_update(
        index_elements=[HEADS.c.user_id, HEADS.c.namespace],
        set_={"seq": HEADS.c.seq + added.excluded.seq},
    ).returning(HEADS.c.user_id, HEADS.c.namespace, HEADS.c.seq)


def _find_heads(asked: FromClause) -> Any:
    return select(HEADS.c.user_id, HEADS.c.namespace, HEADS.c.seq).join(
        asked, HEADS.c.user_id == asked.c.user_id
    )


def _find_positions(asked: FromClause) -> Any:
    return select(HEADS.c.user_id, HEADS.c.namespace, HEADS.c.seq, HEADS.c.floor).join(
        asked,
        and_(HEADS.c.user_id == asked.c.user_id, HEADS.c.namespace == asked.c.namespace),
    )


def _read_pages(asked: FromClause) -> Any:
    entry = (LOG.c.user_id, LOG.c.namespace, LOG.c.seq, LOG.c.event, LOG.c.data, LOG.c.at)
    return (
        select(asked.c.after, *entry)
        .join(
            LOG,
            and_(
                LOG.c.user_id == asked.c.user_id,
                LOG.c.namespace == asked.c.namespace,
                LOG.c.seq > asked.c.after,
                # No number is left out, so these are `limit` at most.
                LOG.c.seq <= asked.c.after + bindparam("limit", type_=INT),
            ),
        )
        .order_by(LOG.c.user_id, LOG.c.namespace, LOG.c.seq)
    )


_MOVE_HEADS = Insertion(Head, "user_id", "namespace", "seq", finish=_move_heads)
_LOG = Insertion(LogEntry, *_ENTRY)
_PUSHED = {"user_id": INT, "namespace": TEXT, "behind": INT, "event": TEXT, "data": TEXT}
_HEADS = Many(_find_heads, user_id=INT)
_POSITIONS = Many(_find_positions, user_id=INT, namespace=TEXT)
_PAGES = Many(_read_pages, user_id=INT, namespace=TEXT, after=INT)


def move_heads(counts: Any) -> Any:
    """For PostgreSQL: move heads, each by how many pushes there are for it.

    `counts` selects (user_id, namespace, number), ordered by the first two.
    """
    columns = ["user_id", "namespace", "seq"]
    return _move_heads(
        postgresql.insert(HEADS).from_select(columns, counts, include_defaults=False)
    )


def number_pushes(pushed: FromClause, moved: FromClause) -> Any:
    """Each of the pushed with its seq, out of how many come after it in its stream (`behind`)."""
    return select(pushed, (moved.c.seq - pushed.c.behind).label("at_seq")).join(
        moved,
        and_(moved.c.user_id == pushed.c.user_id, moved.c.namespace == pushed.c.namespace),
    )


def log_pushes(numbered: FromClause, event: ColumnElement[str], at: ColumnElement[Any]) -> Any:
    """For PostgreSQL: store what `number_pushes` numbered."""
    entries = select(
        numbered.c.user_id, numbered.c.namespace, numbered.c.at_seq, event, numbered.c.data, at
    )
    return postgresql.insert(LOG).from_select(list(_ENTRY), entries, include_defaults=False)


class _Append:
    """Numbers pushes and stores them; returns where the heads of their streams have got to."""

    def __init__(self) -> None:
        self._built: Any = None

    def statement(self) -> Any:
        if self._built is None:
            moved = _MOVE_HEADS.statement().cte("moved")
            numbered = number_pushes(unnest("pushed", _PUSHED), moved).subquery("numbered")
            log = log_pushes(numbered, numbered.c.event, bindparam("at", type_=Moment()))
            self._built = select(moved).add_cte(log.cte("log"))
        return self._built

    def parameters(self, rows: Collection[Push]) -> dict[str, Any]:
        streams = _count(rows)
        left = {(user_id, namespace): count for user_id, namespace, count in streams}
        behind = []
        for push in rows:
            left[push.stream] -= 1
            behind.append(left[push.stream])
        return _MOVE_HEADS.parameters(streams) | {
            "pushed_user_id": [push.user_id for push in rows],
            "pushed_namespace": [push.namespace for push in rows],
            "pushed_behind": behind,
            "pushed_event": [push.event for push in rows],
            "pushed_data": [push.data for push in rows],
        }

    async def run_apart(
        self, db: AsyncSession, rows: Collection[Push], values: Mapping[str, Any]
    ) -> Sequence[Any]:
        heads = await _MOVE_HEADS.run(db, _count(rows))
        numbered = zip(rows, number_events(rows, heads), strict=True)
        await _LOG.run(
            db,
            [(p.user_id, p.namespace, seq, p.event, p.data, values["at"]) for p, seq in numbered],
        )
        return heads


_APPEND = _Append()


def append_events(pushes: Sequence[Push], at: datetime) -> Bound:
    """Number and store the pushes, in their order; returns their heads, for `number_events`.

    Heads are locked by (user, namespace).
    """
    return Bound(_APPEND, pushes, {"at": at})


def number_events(pushes: Collection[Push], heads: Iterable[tuple[int, str, int]]) -> list[int]:
    """The number that each of the pushes got, where their heads have got this far."""
    last = {(user_id, namespace): seq for user_id, namespace, seq in heads}
    for user_id, namespace, count in _count(pushes):
        last[user_id, namespace] -= count
    seqs = []
    for user_id, namespace, _, _ in pushes:
        last[user_id, namespace] = seq = last[user_id, namespace] + 1
        seqs.append(seq)
    return seqs


def _count(pushes: Iterable[Push]) -> list[tuple[int, str, int]]:
    """How many pushes there are for each stream, in the order in which heads are locked."""
    counts = Counter(push.stream for push in pushes)
    return sorted((user_id, namespace, count) for (user_id, namespace), count in counts.items())


async def find_positions(db: AsyncSession, streams: Sequence[Stream]) -> dict[Stream, Position]:
    """Where these streams stand; those with nothing in them are left out."""
    rows = await _POSITIONS.run(db, streams)
    return {(user, name): Position(seq, floor) for user, name, seq, floor in rows}


async def list_heads(db: AsyncSession, user_ids: Iterable[int]) -> dict[tuple[int, str], int]:
    """The last seq of every stream of these people."""
    heads: dict[tuple[int, str], int] = {}
    for user, name, seq in await _HEADS.run(db, [(user_id,) for user_id in set(user_ids)]):
        heads[user, name] = seq
    return heads


async def read_pages(
    db: AsyncSession, places: Sequence[Place], limit: int
) -> dict[Place, list[Logged]]:
    """What follows each of these places in its stream, up to `limit` entries of each."""
    rows = await _PAGES.run(db, places, limit=limit)
    pages: dict[Place, list[Logged]] = {}
    for after, *entry in rows:
        logged = Logged(*entry)
        pages.setdefault((logged.user_id, logged.namespace, after), []).append(logged)
    return pages


async def prune_old(db: AsyncSession, before: datetime) -> int:
    """Forget up to a chunk of the entries older than `before`; how many that were."""
    key = tuple_(LogEntry.user_id, LogEntry.namespace, LogEntry.seq)
    oldest = (
        select(LogEntry.user_id, LogEntry.namespace, LogEntry.seq)
        .where(LogEntry.at < before)
        .order_by(LogEntry.at)
        .limit(PRUNE_CHUNK)
    )
    gone = (
        await db.execute(
            delete(LogEntry)
            .where(key.in_(oldest))
            .returning(LogEntry.user_id, LogEntry.namespace, LogEntry.seq)
        )
    ).all()
    floors: dict[tuple[int, str], int] = {}
    for user_id, namespace, seq in gone:
        floors[user_id, namespace] = max(seq, floors.get((user_id, namespace), 0))
    for (user_id, namespace), floor in sorted(floors.items()):
        await _raise_floor(db, user_id, namespace, floor)
    return len(gone)


async def prune_long(
    db: AsyncSession, max_length: int, after: tuple[int, str]
) -> tuple[int, str] | None:
    """Shorten one page of streams to `max_length`; where to go on, or None at the end."""
    page = (
        await db.execute(
            select(Head.user_id, Head.namespace, Head.seq, Head.floor)
            .where(tuple_(Head.user_id, Head.namespace) > after)
            .order_by(Head.user_id, Head.namespace)
            .limit(PRUNE_CHUNK)
        )
    ).all()
    for user_id, namespace, seq, floor in page:
        if seq - floor > max_length:
            await db.execute(
                delete(LogEntry).where(
                    LogEntry.user_id == user_id,
                    LogEntry.namespace == namespace,
                    LogEntry.seq <= seq - max_length,
                )
            )
            await _raise_floor(db, user_id, namespace, seq - max_length)
    return (page[-1].user_id, page[-1].namespace) if len(page) == PRUNE_CHUNK else None


async def _raise_floor(db: AsyncSession, user_id: int, namespace: str, floor: int) -> None:
    await db.execute(
        update(Head)
        .where(Head.user_id == user_id, Head.namespace == namespace, Head.floor < floor)
        .values(floor=floor)
    )


async def get_epoch(db: AsyncSession) -> str:
    """The log's epoch, made at first need."""
    find = select(StreamEpoch.epoch).where(StreamEpoch.id == 1)
    epoch = await db.scalar(find)
    if epoch is None:
        await db.execute(
            insert(db, StreamEpoch)
            .values(id=1, epoch=secrets.token_hex(8))
            .on_conflict_do_nothing()
        )
        epoch = (await db.execute(find)).scalar_one()
    return epoch


async def renew_epoch(db: AsyncSession) -> str:
    """Give the log a new epoch: every client fetches its state anew."""
    epoch = secrets.token_hex(8)
    statement = insert(db, StreamEpoch).values(id=1, epoch=epoch)
    await db.execute(
        statement.on_conflict_do_update(index_elements=[StreamEpoch.id], set_={"epoch": epoch})
    )
    return epoch

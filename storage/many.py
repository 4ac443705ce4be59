"""Statements over many rows, each built, compiled, prepared and planned once.

PostgreSQL gets a column of values as one array, so that the text is the same however many rows
there are, and gets it from the driver itself: SQLAlchemy's way to it costs more than the database
takes to carry the statement out. SQLite has no arrays: it reads the rows out of a JSON text, or
gets them as they are.
"""

import itertools
import json
from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeEngine

from storage.database import Database
from storage.driver import Prepared, fetch
from storage.schema import Moment, Table

SEPARATOR = "\x1f"


class _Even(sa.types.TypeDecorator[str]):
    impl = sa.Text
    cache_ok = True


INT: TypeEngine[Any] = sa.BigInteger()
TEXT: TypeEngine[Any] = sa.Text()
EVEN_TEXT: TypeEngine[Any] = _Even()
"""Texts that are not odd. For PostgreSQL, which is given many of them as one, at a third of the cost."""


def is_odd(text: str) -> bool:
    """Whether it is empty, or holds the character that separates texts."""
    return not text or SEPARATOR in text


Entity = TypeVar("Entity", bound=Table)
Rows = Sequence[Any]

_numbers = itertools.count(1)


def core(table: type[Table]) -> sa.Table:
    """The table alone: rows that go by in numbers are not to become objects."""
    return cast("sa.Table", table.__table__)


def load(table: type[Entity], row: Any) -> Entity:
    """An object of its own, which no session knows, from a row with all columns of its table."""
    return table(**row._asdict())


class Part(Protocol):
    """A statement that takes rows; several go to PostgreSQL as one."""

    def statement(self) -> Any:
        """For PostgreSQL, with the rows as arrays."""

    def parameters(self, rows: Collection[Any]) -> dict[str, Any]:
        """The arrays, by the names they have in the statement."""

    async def run_apart(
        self, db: AsyncSession, rows: Collection[Any], values: Mapping[str, Any]
    ) -> Rows:
        """On SQLite."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A part bound to its rows, and to values that are the same for all of them."""

    part: Part
    rows: Collection[Any]
    values: Mapping[str, Any] = field(default_factory=dict)


async def carry_out(db: AsyncSession, bound: Sequence[Bound]) -> list[Rows]:
    """Carry out statements that do not need each other in one round trip; the rows of each.

    Those that return rows come first, and in this order: it is the order of their locks.
    """
    if db.new or db.dirty or db.deleted:
        # A session looks for objects that are to be written only before it loads objects.
        await db.flush()
    if not has_arrays(db):
        return [await one.part.run_apart(db, one.rows, one.values) for one in bound]
    together = _join(tuple(one.part for one in bound), db.get_bind().dialect)
    parameters: dict[str, Any] = {}
    for one in bound:
        parameters.update(one.part.parameters(one.rows), **one.values)
    return together.sort(await fetch(db, together.prepared, parameters))


async def carry_out_alone(database: Database, bound: Bound) -> Rows:
    """Carry out a statement as a transaction of its own, in one round trip. Not for SQLite."""
    together = _join((bound.part,), database.writer.dialect)
    prepared = together.prepared
    values = prepared.arrange({**bound.part.parameters(bound.rows), **bound.values})
    (rows,) = together.sort(await database.alone.fetch(prepared, values))
    return rows


class Many:
    """A statement that is joined to the rows it is run with."""

    def __init__(self, build: Callable[[sa.FromClause], Any], **columns: TypeEngine[Any]) -> None:
        """`build` makes the statement out of the rows, a table with these columns."""
        self._build = build
        self._columns = columns
        self._name = f"given_{next(_numbers)}"
        self._of_arrays: Any = None
        self._of_json: Any = None

    async def run(self, db: AsyncSession, rows: Collection[Sequence[Any]], **values: Any) -> Rows:
        (found,) = await carry_out(db, (Bound(self, rows, values),))
        return found

    def statement(self) -> Any:
        if self._of_arrays is None:
            self._of_arrays = self._build(unnest(self._name, self._columns))
        return self._of_arrays

    def parameters(self, rows: Collection[Sequence[Any]]) -> dict[str, Any]:
        return _turn(self._name, self._columns, rows)

    async def run_apart(
        self, db: AsyncSession, rows: Collection[Sequence[Any]], values: Mapping[str, Any]
    ) -> Rows:
        if not rows:
            return ()
        if self._of_json is None:
            self._of_json = self._build(self._read_json())
        return await _execute(db, self._of_json, {self._name: json.dumps(list(rows)), **values})

    def _read_json(self) -> sa.FromClause:
        text = sa.bindparam(self._name, type_=TEXT)
        value = sa.func.json_each(text).table_valued("value").c.value
        return sa.select(
            *(
                sa.cast(sa.func.json_extract(value, f"$[{place}]"), kind).label(name)
                for place, (name, kind) in enumerate(self._columns.items())
            )
        ).subquery(self._name)


class Insertion:
    """An INSERT of rows that have these columns, in this order."""

    def __init__(
        self,
        table: type[Table],
        *columns: str,
        finish: Callable[[Any], Any] = lambda statement: statement,
    ) -> None:
        """`finish` adds what is to be done on conflict, and what is returned."""
        self._table = core(table)
        self._columns = columns
        self._finish = finish
        self._name = f"given_{next(_numbers)}"
        self._built: Any = None

    async def run(self, db: AsyncSession, rows: Collection[Sequence[Any]]) -> Rows:
        (added,) = await carry_out(db, (Bound(self, rows),))
        return added

    def statement(self) -> Any:
        if self._built is None:
            kinds = {name: self._table.columns[name].type for name in self._columns}
            rows = unnest(self._name, kinds)
            statement = postgresql.insert(self._table)
            # What is left out has a default of the database's.
            chosen = statement.from_select(
                list(self._columns), sa.select(rows), include_defaults=False
            )
            self._built = self._finish(chosen)
        return self._built

    def parameters(self, rows: Collection[Sequence[Any]]) -> dict[str, Any]:
        return _turn(self._name, self._columns, rows)

    async def run_apart(
        self, db: AsyncSession, rows: Collection[Sequence[Any]], values: Mapping[str, Any]
    ) -> Rows:
        if not rows:
            return ()
        named = [dict(zip(self._columns, row, strict=True)) for row in rows]
        return await _execute(db, self._finish(sqlite.insert(self._table).values(named)), values)


def has_arrays(db: AsyncSession) -> bool:
    return db.get_bind().dialect.name == "postgresql"


def unnest(prefix: str, kinds: Mapping[str, TypeEngine[Any]]) -> sa.FromClause:
    """Rows out of arrays, each a parameter that is named `prefix_column`."""
    arrays = [_read_array(f"{prefix}_{name}", kind) for name, kind in kinds.items()]
    columns = [sa.column(name, kind) for name, kind in kinds.items()]
    return sa.func.unnest(*arrays).table_valued(*columns, name=prefix).render_derived()


def _read_array(name: str, kind: TypeEngine[Any]) -> Any:
    given = sa.bindparam(name, type_=_spell(kind))
    if isinstance(kind, _Even):
        return sa.func.string_to_array(given, sa.literal_column(f"E'\\x{ord(SEPARATOR):02x}'"))
    return sa.cast(given, postgresql.ARRAY(kind))


def _turn(
    prefix: str, names: Iterable[str], rows: Collection[Sequence[Any]]
) -> dict[str, Sequence[Any]]:
    """The columns of rows, as `unnest` wants them."""
    columns = zip(*rows, strict=True) if rows else itertools.repeat(())
    return {f"{prefix}_{name}": values for name, values in zip(names, columns, strict=False)}


class _Joined(sa.types.TypeDecorator[Sequence[str]]):
    """Texts as one."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[str] | None, dialect: sa.Dialect) -> str:
        return SEPARATOR.join(value or ())


class _Spelled(sa.types.TypeDecorator[Sequence[Any]]):
    """An array as text, as PostgreSQL writes it: a fifth of what the driver's arrays cost."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, spell: Callable[[Any], str]) -> None:
        super().__init__()
        self._spell = spell

    def process_bind_param(self, value: Sequence[Any] | None, dialect: sa.Dialect) -> str:
        spell = self._spell
        return f"{{{','.join(['NULL' if one is None else spell(one) for one in value or ()])}}}"


@lru_cache(maxsize=64)
def _spell_moment(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise TypeError("a naive datetime cannot be stored")
    return moment.isoformat()


def _quote(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


_JOINED = _Joined()
_NUMBERS, _MOMENTS, _TEXTS = _Spelled(str), _Spelled(_spell_moment), _Spelled(_quote)


def _spell(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """How an array of this kind travels."""
    if isinstance(kind, _Even):
        return _JOINED
    if isinstance(kind, sa.Integer):
        return _NUMBERS
    if isinstance(kind, sa.String):
        return _TEXTS
    return _MOMENTS if isinstance(kind, Moment) else postgresql.ARRAY(kind)


class _Together:
    """Parts as one statement: each is a CTE, and whatever they return comes as (part, row)."""

    def __init__(self, parts: Sequence[Part], dialect: sa.Dialect) -> None:
        statements = [part.statement() for part in parts]
        self._readers = [_Reader(one, dialect) for one in statements]
        if len(parts) == 1:
            self.prepared = Prepared.of(statements[0], dialect)
            return
        ctes = [one.cte(f"part_{place}") for place, one in enumerate(statements)]
        returned: list[Any] = [
            sa.select(
                sa.literal_column(str(place)), sa.literal_column(f"part_{place}")
            ).select_from(cte)
            for place, (cte, reader) in enumerate(zip(ctes, self._readers, strict=True))
            if reader.names
        ]
        whole: Any = sa.union_all(*returned) if returned else sa.select(sa.literal_column("1"))
        self.prepared = Prepared.of(whole.add_cte(*ctes), dialect)

    def sort(self, records: Sequence[Any]) -> list[Rows]:
        """The rows of each part."""
        if len(self._readers) == 1:
            return [self._readers[0].read(records)]
        found: list[list[Any]] = [[] for _ in self._readers]
        for place, *row in records:
            if row:
                found[place].append(row[0])
        return [reader.read(some) for reader, some in zip(self._readers, found, strict=True)]


class _Reader:
    """From the driver's records to rows with names, and with our types for values."""

    def __init__(self, statement: Any, dialect: sa.Dialect) -> None:
        columns = list(statement.exported_columns)
        self.names = [column.key for column in columns]
        self._make = _name_rows(tuple(self.names))
        processors = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        ]
        self._processors = processors if any(processors) else None

    def read(self, records: Sequence[Any]) -> Rows:
        if self._processors is None:
            return [self._make(record) for record in records]
        return [
            self._make(
                value if process is None else process(value)
                for process, value in zip(self._processors, record, strict=True)
            )
            for record in records
        ]


def _name_rows(names: tuple[str, ...]) -> Callable[[Any], Any]:
    """Columns without a name of their own are to be reached by their place."""
    row: Any = namedtuple("row", names, rename=True)  # type: ignore[misc]  # noqa: PYI024 - its names are no literals
    make: Callable[[Any], Any] = row._make
    return make


_together: dict[tuple[Part, ...], _Together] = {}


def _join(parts: tuple[Part, ...], dialect: sa.Dialect) -> _Together:
    if parts not in _together:
        _together[parts] = _Together(parts, dialect)
    return _together[parts]


async def _execute(db: AsyncSession, statement: Any, parameters: Mapping[str, Any]) -> Rows:
    result: Any = await db.execute(statement, parameters)
    return cast("Rows", result.all()) if result.returns_rows else ()

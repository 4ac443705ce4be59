"""Statements over many rows, each built, compiled, prepared and planned once.

PostgreSQL gets a column of values as one array, so that the text is the same however many rows
there are; building an expression anew costs SQLAlchemy more than the database takes to carry it
out. SQLite has no arrays: it reads the rows out of a JSON text, or gets them as they are.
"""

import itertools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeEngine

from storage.schema import Table

INT: TypeEngine[Any] = sa.BigInteger()
TEXT: TypeEngine[Any] = sa.Text()

Entity = TypeVar("Entity", bound=Table)

_numbers = itertools.count(1)


def core(table: type[Table]) -> sa.Table:
    """The table alone: rows that go by in numbers are not to become objects."""
    return cast("sa.Table", table.__table__)


def load(table: type[Entity], row: Any) -> Entity:
    """An object of its own, which no session knows, from a row with all columns of its table."""
    return table(**row._mapping)  # noqa: SLF001 - public, in spite of its name


class Many:
    """A statement that is joined to the rows it is run with."""

    def __init__(self, build: Callable[[sa.FromClause], Any], **columns: TypeEngine[Any]) -> None:
        """`build` makes the statement out of the rows, a table with these columns."""
        self._build = build
        self._columns = columns
        self._name = f"given_{next(_numbers)}"
        self._built: dict[bool, Any] = {}

    async def run(
        self, db: AsyncSession, rows: Collection[Sequence[Any]], **values: Any
    ) -> Sequence[Any]:
        return await _execute(db, self.statement(db), self.parameters(db, rows) | values)

    def statement(self, db: AsyncSession) -> Any:
        arrays = has_arrays(db)
        if arrays not in self._built:
            rows = _unnest(self._name, self._columns) if arrays else self._read_json()
            self._built[arrays] = self._build(rows)
        return self._built[arrays]

    def parameters(self, db: AsyncSession, rows: Collection[Sequence[Any]]) -> dict[str, Any]:
        if not has_arrays(db):
            return {self._name: json.dumps(list(rows))}
        columns = zip(*rows, strict=True) if rows else itertools.repeat(())
        return {
            f"{self._name}_{name}": list(values)
            for name, values in zip(self._columns, columns, strict=False)
        }

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
    """An INSERT of rows that have these columns."""

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

    async def run(
        self, db: AsyncSession, rows: Sequence[Mapping[str, Any]], **values: Any
    ) -> Sequence[Any]:
        """There must be one row at least."""
        if not has_arrays(db):
            return await _execute(db, self._finish(sqlite.insert(self._table).values(rows)), {})
        return await _execute(db, self.statement(db), self.parameters(db, rows))

    def statement(self, db: AsyncSession) -> Any:
        """For arrays of rows."""
        if self._built is None:
            kinds = {name: self._table.columns[name].type for name in self._columns}
            rows = _unnest(self._name, kinds)
            statement = postgresql.insert(self._table)
            self._built = self._finish(statement.from_select(list(self._columns), sa.select(rows)))
        return self._built

    def parameters(self, db: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {f"{self._name}_{name}": [row[name] for row in rows] for name in self._columns}


class Changes:
    """Changes of different tables that do not need each other, in one round trip."""

    def __init__(self, *parts: Many | Insertion) -> None:
        self._parts = parts
        self._built: Any = None

    async def run(self, db: AsyncSession, *rows: Sequence[Any], **values: Any) -> None:
        """Carry out each part with its rows, if it has any."""
        parts = [(part, some) for part, some in zip(self._parts, rows, strict=True) if some]
        if has_arrays(db) and parts:
            parameters = values
            for part, some in zip(self._parts, rows, strict=True):
                parameters = parameters | part.parameters(db, some)
            await _execute(db, self._statement(db), parameters)
            return
        for part, some in parts:
            await part.run(db, some, **values)

    def _statement(self, db: AsyncSession) -> Any:
        if self._built is None:
            *others, last = (part.statement(db) for part in self._parts)
            named = [one.cte(f"part_{place}") for place, one in enumerate(others)]
            self._built = last.add_cte(*named)
        return self._built


def has_arrays(db: AsyncSession) -> bool:
    return db.get_bind().dialect.name == "postgresql"


async def _execute(db: AsyncSession, statement: Any, parameters: dict[str, Any]) -> Sequence[Any]:
    if db.new or db.dirty or db.deleted:
        # A session looks for objects that are to be written only before it loads objects.
        await db.flush()
    result: Any = await db.execute(statement, parameters)
    return cast("Sequence[Any]", result.all()) if result.returns_rows else ()


def _unnest(prefix: str, kinds: Mapping[str, TypeEngine[Any]]) -> sa.FromClause:
    arrays = [
        sa.cast(
            sa.bindparam(f"{prefix}_{name}", type_=postgresql.ARRAY(kind)), postgresql.ARRAY(kind)
        )
        for name, kind in kinds.items()
    ]
    columns = [sa.column(name, kind) for name, kind in kinds.items()]
    return sa.func.unnest(*arrays).table_valued(*columns, name=prefix).render_derived()

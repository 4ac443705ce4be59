"""Many rows in one statement whose text never changes, however many they are.

PostgreSQL gets a column of values as one array: such a statement is compiled, prepared and planned
once, where a list of parameters would be another statement for every length. SQLite has no arrays.
"""

import json
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    FromClause,
    Text,
    any_,
    cast,
    column,
    func,
    literal,
    select,
)
from sqlalchemy import Table as SqlTable
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeEngine

from storage.database import insert
from storage.schema import Table

_TYPES: dict[type, TypeEngine[Any]] = {int: BigInteger(), str: Text()}


def given(
    db: AsyncSession, rows: Collection[Sequence[int | str]], /, **columns: type[int] | type[str]
) -> FromClause:
    """The rows as a table of these columns, to be joined to."""
    if _has_arrays(db):
        arrays = {
            name: ([row[place] for row in rows], _TYPES[kind])
            for place, (name, kind) in enumerate(columns.items())
        }
        return _unnest(arrays)
    value = func.json_each(json.dumps(list(rows))).table_valued("value").c.value
    return select(
        *(
            cast(func.json_extract(value, f"$[{place}]"), _TYPES[kind]).label(name)
            for place, (name, kind) in enumerate(columns.items())
        )
    ).subquery("given")


def is_any(
    db: AsyncSession, attribute: InstrumentedAttribute[Any], values: Collection[Any]
) -> ColumnElement[bool]:
    """Whether the column holds one of these values."""
    if _has_arrays(db):
        return attribute == any_(_array(list(values), attribute.type))
    return attribute.in_(values)


def insert_rows(db: AsyncSession, table: type[Table], rows: Sequence[Mapping[str, Any]]) -> Any:
    """An INSERT of these rows, of which there is one at least; all have the same columns."""
    statement = insert(db, core(table))
    if not _has_arrays(db):
        return statement.values(rows)
    columns = [core(table).columns[name] for name in rows[0]]
    arrays = {c.name: ([row[c.name] for row in rows], c.type) for c in columns}
    return statement.from_select(columns, select(_unnest(arrays)))


def core(table: type[Table]) -> SqlTable:
    """The table alone: rows that go by in numbers are not to become objects."""
    return typing.cast("SqlTable", table.__table__)


async def execute_all(db: AsyncSession, statements: Sequence[Any]) -> None:
    """Carry out changes of different tables that do not need each other, in one round trip."""
    if not statements:
        return
    if _has_arrays(db):
        *others, last = statements
        named = [one.cte(f"part_{place}") for place, one in enumerate(others)]
        await db.execute(last.add_cte(*named))
        return
    for statement in statements:
        await db.execute(statement)


def _has_arrays(db: AsyncSession) -> bool:
    return db.get_bind().dialect.name == "postgresql"


def _array(values: list[Any], kind: TypeEngine[Any]) -> ColumnElement[Any]:
    return cast(literal(values, ARRAY(kind)), ARRAY(kind))


def _unnest(values: Mapping[str, tuple[list[Any], TypeEngine[Any]]]) -> FromClause:
    columns = [column(name, kind) for name, (_, kind) in values.items()]
    arrays = [_array(*one) for one in values.values()]
    return func.unnest(*arrays).table_valued(*columns, name="given").render_derived()

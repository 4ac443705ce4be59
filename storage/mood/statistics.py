"""What entries come to, over days, weeks, months and whole periods.

Everything goes by the local date that an entry was stored with: a day of 23 or 25 hours is a day.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Float,
    Integer,
    Select,
    case,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from storage.many import has_arrays
from storage.mood.tables import Entry


class PeriodName(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Figures(NamedTuple):
    """Of some entries; the mean is that of the entries, not of the days."""

    n: int
    min: int | None
    max: int | None
    mean: float | None


NO_ENTRIES = Figures(0, None, None, None)


class VariableKind(StrEnum):
    SCORE = "score"
    COUNT = "count"
    TAG = "tag"
    ACTIVITY = "activity"


@dataclass(frozen=True, slots=True)
class Variable:
    """A number that each day with entries has; tags and activities have a name."""

    kind: VariableKind
    name: str = ""


class Day(NamedTuple):
    """A day with entries, and its value of two variables."""

    date: date
    x: float
    y: float


_SQLITE_STARTS = {
    # On to Sunday, unless it is one, and back to that week's Monday.
    PeriodName.WEEK: ("weekday 0", "-6 days"),
    PeriodName.MONTH: ("start of month",),
}


class _Holds(FunctionElement[bool]):
    """Whether a JSON list of texts holds this text."""

    inherit_cache = True


@compiles(_Holds, "postgresql")
def _postgresql_holds(element: _Holds, compiler: SQLCompiler, **kw: Any) -> str:
    texts, text = [compiler.process(clause, **kw) for clause in element.clauses]
    return f"EXISTS (SELECT FROM json_array_elements_text({texts}) AS held WHERE held = {text})"


@compiles(_Holds, "sqlite")
def _sqlite_holds(element: _Holds, compiler: SQLCompiler, **kw: Any) -> str:
    texts, text = [compiler.process(clause, **kw) for clause in element.clauses]
    found = f"SELECT 1 FROM json_each({texts}) AS held WHERE held.value = {text}"  # noqa: S608 - compiled, values are bound
    return f"EXISTS ({found})"


async def list_figures(
    db: AsyncSession, user_id: int, start: date, end: date, period: PeriodName
) -> dict[date, Figures]:
    """The figures of each day, ISO week or month that has entries, by its first date.

    Only entries from `start` to `end` count, both included.
    """
    first = _start_of(db, period).label("first")
    rows = await db.execute(
        _within(select(first, *_figures()), user_id, start, end).group_by("first")
    )
    return {row[0]: Figures(*row[1:]) for row in rows}


async def find_days(db: AsyncSession, user_id: int, days: Collection[date]) -> dict[date, Figures]:
    """The figures of those of these days that have entries."""
    rows = await db.execute(
        select(Entry.local_date, *_figures())
        .where(Entry.user_id == user_id, Entry.local_date.in_(sorted(days)))
        .group_by(Entry.local_date)
    )
    return {row[0]: Figures(*row[1:]) for row in rows}


async def get_figures(db: AsyncSession, user_id: int, start: date, end: date) -> Figures:
    """The figures of all entries from `start` to `end`, both included."""
    rows = await db.execute(_within(select(*_figures()), user_id, start, end))
    return Figures(*rows.one())


async def list_days(
    db: AsyncSession, user_id: int, start: date, end: date, x: Variable, y: Variable
) -> Sequence[Day]:
    """Each day with entries from `start` to `end`, both included, in order."""
    values = (_value_of(x).label("x"), _value_of(y).label("y"))
    statement = _within(select(Entry.local_date, *values), user_id, start, end)
    rows = await db.execute(statement.group_by(Entry.local_date).order_by(Entry.local_date))
    return [Day(day, float(x), float(y)) for day, x, y in rows]


def _figures() -> tuple[ColumnElement[Any], ...]:
    return (
        func.count().label("n"),
        func.min(Entry.score).label("min"),
        func.max(Entry.score).label("max"),
        _mean().label("mean"),
    )


def _mean() -> ColumnElement[Any]:
    # `avg` would be a decimal on one database and a double on the other.
    return cast(func.sum(Entry.score), Float) / func.count()


def _value_of(variable: Variable) -> ColumnElement[Any]:
    match variable.kind:
        case VariableKind.SCORE:
            return _mean()
        case VariableKind.COUNT:
            return func.count()
        case VariableKind.TAG:
            return _any_holds(Entry.tags, variable.name)
        case VariableKind.ACTIVITY:
            return _any_holds(Entry.activities, variable.name)


def _any_holds(texts: Any, text: str) -> ColumnElement[int]:
    return func.max(case((_Holds(texts, text), 1), else_=0), type_=Integer)


def _start_of(db: AsyncSession, period: PeriodName) -> ColumnElement[date]:
    if period == PeriodName.DAY:
        return Entry.local_date.expression
    if has_arrays(db):
        name: ColumnElement[str] = literal_column(f"'{period.value}'")
        return cast(func.date_trunc(name, cast(Entry.local_date, DateTime)), Date)
    return func.date(Entry.local_date, *_SQLITE_STARTS[period], type_=Date)


def _within(statement: Select[Any], user_id: int, start: date, end: date) -> Select[Any]:
    return statement.where(
        Entry.user_id == user_id, Entry.local_date >= start, Entry.local_date <= end
    )

"""The declarative base, and the column types both databases agree on."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Dialect, ForeignKey, Integer, MetaData
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """A point in time, always aware and always UTC; SQLite alone would drop the offset."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("a naive datetime cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    """The base of every table. Constraint names are fixed, so that migrations can drop them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: Moment}


big_integer = BigInteger().with_variant(Integer, "sqlite")

Key = Annotated[int, mapped_column(big_integer, primary_key=True, autoincrement=True)]
"""An id the database allots; tables that use it set `sqlite_autoincrement`, so none is reused."""

Number = Annotated[int, mapped_column(big_integer)]
UserId = Annotated[int, mapped_column(big_integer, ForeignKey("users.id", ondelete="CASCADE"))]
UserKey = Annotated[
    int, mapped_column(big_integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
]

NEVER_REUSED = {"sqlite_autoincrement": True}


class DatabaseClock(FunctionElement[datetime]):
    """The database's own clock, read at execution: instances may disagree about the time."""

    type = Moment()
    inherit_cache = True


@compiles(DatabaseClock, "postgresql")
def _postgresql_clock(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    return "clock_timestamp()"


@compiles(DatabaseClock, "sqlite")
def _sqlite_clock(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"

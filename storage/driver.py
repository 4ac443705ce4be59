"""Statements that go to asyncpg as they are, in the transaction of a session or in one of their own.

Two private names of SQLAlchemy's are used: its connection's transaction, and how it begins one.
`tests/storage/test_driver.py` fails when they move.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa
from asyncpg import InternalClientError
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.ext.asyncio import AsyncSession

OUT_OF_STEP = (InternalClientError, AsyncAdapt_asyncpg_dbapi.InternalClientError)
"""Of the driver's errors, and of SQLAlchemy's for them: the connection must not be used any more."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement's text, and how its parameters are put in their places."""

    text: str
    places: Sequence[tuple[str, Callable[[Any], Any] | None]]
    """The name of each parameter, and what makes the driver's value out of ours."""

    fixed: Mapping[str, Any]
    """Parameters that the statement itself brings."""

    @classmethod
    def of(cls, statement: Any, dialect: sa.Dialect) -> Self:
        compiled = statement.compile(dialect=dialect)
        return cls(
            str(compiled),
            [
                (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
                for name in compiled.positiontup
            ],
            compiled.params,
        )

    def arrange(self, parameters: Mapping[str, Any]) -> list[Any]:
        given = {**self.fixed, **parameters}
        return [
            given[name] if process is None else process(given[name])
            for name, process in self.places
        ]


async def fetch(
    db: AsyncSession, prepared: Prepared, parameters: Mapping[str, Any]
) -> Sequence[Any]:
    """The driver's records, in the session's transaction, which begins if it has not yet."""
    connection = await db.connection()
    pooled: Any = await connection.get_raw_connection()
    adapted = pooled.dbapi_connection
    try:
        if adapted._transaction is None:  # noqa: SLF001 - watched by test_driver.py
            await adapted._start_transaction()  # noqa: SLF001
        values = prepared.arrange(parameters)
        announce(connection.sync_engine, prepared, values)
        return await fetch_on(pooled, prepared, values)
    except Exception as error:
        if _is_lost(pooled, error):
            await connection.invalidate()
        raise


async def fetch_on(pooled: Any, prepared: Prepared, values: Sequence[Any]) -> Sequence[Any]:
    """The driver's records, in one round trip; outside of a transaction it is one by itself."""
    records: Sequence[Any] = await pooled.driver_connection.fetch(prepared.text, *values)
    return records


def announce(engine: sa.Engine, prepared: Prepared, values: Sequence[Any]) -> None:
    """Whoever watches the engine sees these statements as well."""
    for listen in engine.dispatch.before_cursor_execute:
        listen(None, None, prepared.text, tuple(values), None, False)


def give_back(pooled: Any, error: Exception | None = None) -> None:
    """To the pool, outside of a transaction; it is not lent again if it is lost."""
    if _is_lost(pooled, error):
        pooled.invalidate()
    # No transaction was begun, so there is none to be waited for.
    pooled.close()


def _is_lost(pooled: Any, error: Exception | None) -> bool:
    """Whether the pool must not lend this connection again."""
    return pooled.driver_connection.is_closed() or isinstance(error, OUT_OF_STEP)

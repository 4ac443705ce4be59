"""One way to PostgreSQL and SQLite: engines, pools and their limits."""

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar, cast

import aiosqlite
from asyncpg import InterfaceError as DriverInterfaceError
from asyncpg import InvalidCachedStatementError
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from storage.driver import OUT_OF_STEP
from storage.one_by_one import OneByOne

Item = TypeVar("Item")

POOL_SIZE = 10
POOL_TIMEOUT = 3.0
SLOW = 0.05
"""Seconds after which what is on its way is passed by what waits: a batch by one that is not
full, a statement that is alone by the next one."""

STATEMENT_TIMEOUT = 3000
"""Milliseconds. A frozen instance must not hold the others' locks for longer."""

_SQLITE_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "busy_timeout=5000",
    "foreign_keys=ON",
)
_WORTH_A_RETRY = {"40P01", "40001", "23505"}
"""Deadlock, serialization failure, and a unique value that somebody else has just added."""

_REFUSED_TO_WAIT = {"55P03", "57014", "25P03"}
_LOST = (
    DriverInterfaceError,
    *OUT_OF_STEP,
    AsyncAdapt_asyncpg_dbapi.InterfaceError,
    AsyncAdapt_asyncpg_dbapi.OperationalError,
)
"""What a connection that is gone says to whoever uses it without SQLAlchemy."""

_PLAN_OUTDATED = "InvalidCachedStatementError"


class Pool(AsyncAdaptedQueuePool):
    """The usual pool, which can tell how many wait for a connection."""

    waiting = 0

    def _do_get(self) -> ConnectionPoolEntry:
        self.waiting += 1
        try:
            return super()._do_get()
        finally:
            self.waiting -= 1


class Database:
    """A writer and a reader of one database.

    On PostgreSQL both are the same pool. SQLite allows one writer at a time: the writer's pool
    holds a single connection, so that waiting for it is fair, asynchronous and bounded.
    """

    def __init__(self, url: str | URL) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self.writer = _sqlite_engine(self.url, begin="BEGIN IMMEDIATE", pool_size=1)
            self.reader = _sqlite_engine(self.url, begin="BEGIN", pool_size=4)
        else:
            self.writer = _postgresql_engine(self.url)
            # A transaction at READ COMMITTED sees with each statement what is committed by then:
            # to begin and to end one gives a reader nothing but two round trips.
            self.reader = self.writer.execution_options(isolation_level="AUTOCOMMIT")
        self.alone = OneByOne(self.writer, SLOW)

    @property
    def engines(self) -> dict[str, AsyncEngine]:
        """Those with a pool and listeners of their own."""
        own = {"writer": self.writer}
        return {**own, "reader": self.reader} if self.is_sqlite else own

    @property
    def pools(self) -> dict[str, Pool]:
        return {name: cast("Pool", engine.pool) for name, engine in self.engines.items()}

    def session(self, *, write: bool) -> AsyncSession:
        """A session that takes a connection at its first statement, not before."""
        return AsyncSession(self.writer if write else self.reader, expire_on_commit=False)

    async def close(self) -> None:
        await self.alone.close()
        for engine in self.engines.values():
            await engine.dispose()


class SqliteConnection(aiosqlite.Connection):
    """A connection that may be stopped twice.

    SQLAlchemy does so when whoever closes it is cancelled. The thread ends at the first time, and
    the second one would wait for it for ever.
    """

    def __init__(self, path: str | None) -> None:
        connect = partial(sqlite3.connect, path or ":memory:", check_same_thread=False)
        super().__init__(connect, iter_chunk_size=64)
        self._thread.daemon = True

    def stop(self) -> "asyncio.Future[Any] | None":
        return super().stop() if self._running else None


def _sqlite_engine(url: URL, *, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        async_creator=partial(SqliteConnection, url.database),
        poolclass=Pool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql_engine(url: URL) -> AsyncEngine:
    return create_async_engine(
        url,
        poolclass=Pool,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        # The one that was used last has the plans, and its process the caches.
        pool_use_lifo=True,
        connect_args={
            "timeout": POOL_TIMEOUT,
            # Where PostgreSQL does not even say that it gave up.
            "command_timeout": STATEMENT_TIMEOUT / 1000 + 1,
            "server_settings": {
                # Each query has its index. A plan that was made while a table was small is kept.
                "enable_seqscan": "off",
                # Where it must scan all the same, that looks dear enough to be compiled.
                "jit": "off",
                "lock_timeout": str(STATEMENT_TIMEOUT - 1000),
                "statement_timeout": str(STATEMENT_TIMEOUT),
                "idle_in_transaction_session_timeout": str(STATEMENT_TIMEOUT),
            },
        },
    )


def insert(session: AsyncSession, table: Any) -> Any:
    """The dialect's INSERT, which knows ON CONFLICT; SQLAlchemy has no portable one."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def should_retry(error: Exception) -> bool:
    """Whether the same transaction may well succeed when run again at once."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, InvalidCachedStatementError) or _PLAN_OUTDATED in str(cause):
        return True
    return getattr(cause, "sqlstate", None) in _WORTH_A_RETRY


def is_unavailable(error: Exception) -> bool:
    """Whether the database could not be reached, or refused to wait any longer."""
    if isinstance(error, (PoolTimeout, ConnectionError, TimeoutError, *_LOST)):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, OperationalError | InterfaceError):
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlstate", None) or ""
    return code in _REFUSED_TO_WAIT or code.startswith(("08", "53", "57"))


def chunked(items: Sequence[Item], size: int = 1000) -> list[Sequence[Item]]:
    """The items in pieces small enough for one statement's parameters."""
    return [items[i : i + size] for i in range(0, len(items), size)]

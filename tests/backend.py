"""The databases that tests make and own: built by the migrations, emptied between tests."""

import asyncio
import io
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from redis.asyncio import Redis
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from handlers.assessments.shipped import install, list_shipped
from run import make_runtime
from server.settings import Settings
from storage.tables import metadata
from storage.upgrade import upgrade

POSTGRES = os.environ.get("EMOTRACK_TEST_POSTGRES", "")
REDIS = os.environ.get("EMOTRACK_TEST_REDIS", "")
SCALED = bool(POSTGRES and REDIS)

SHIPPED = {"tests", "test_versions", "questions", "answer_options"}


@dataclass(frozen=True, slots=True)
class Backend:
    """What the servers of one test share."""

    database_url: str
    redis_url: str
    data_dir: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a process that uses it."""
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "DATA_DIR": str(self.data_dir),
        }

    @property
    def url(self) -> str:
        """The database, also where it is the default one."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir}/emotrack.sqlite3"


class Databases:
    """One database for each test process; SQLite files are copied from a migrated one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._url = ""
        self._copy = ""
        self._name = f"emotrack_test_{uuid.uuid4().hex[:12]}"

    def start(self) -> None:
        if SCALED:
            self._url = asyncio.run(_create(self._name))
        else:
            self._url = f"sqlite+aiosqlite:///{self._folder}/template.sqlite3"
        asyncio.run(upgrade(self._url))
        asyncio.run(_install(self._url))

    def stop(self) -> None:
        if SCALED:
            asyncio.run(_drop(self._name))
            asyncio.run(_drop(f"{self._name}_copy"))
            asyncio.run(_forget(self._url))

    @asynccontextmanager
    async def lend(self, data_dir: Path) -> AsyncIterator[Backend]:
        """An empty, migrated database for one test."""
        if not SCALED:
            shutil.copy(self._folder / "template.sqlite3", data_dir / "emotrack.sqlite3")
            yield Backend("", "", data_dir)
            return
        try:
            yield Backend(self._url, REDIS, data_dir)
        finally:
            await empty(self._url)

    @asynccontextmanager
    async def lend_fresh(self, data_dir: Path) -> AsyncIterator[Backend]:
        """A database that no migration has touched."""
        if not SCALED:
            yield Backend("", "", data_dir)
            return
        name = f"{self._name}_{uuid.uuid4().hex[:6]}"
        try:
            yield Backend(await _create(name), REDIS, data_dir)
        finally:
            await _drop(name)

    @asynccontextmanager
    async def copy(self, backend: Backend) -> AsyncIterator[Backend]:
        """The same rows and files once more, to be changed in their own place; one at a time."""
        folder = backend.data_dir.with_name(f"copy_{uuid.uuid4().hex[:6]}")
        shutil.copytree(backend.data_dir, folder)
        if not SCALED:
            yield Backend("", "", folder)
            return
        if not self._copy:
            # Making and dropping a database each time would wait for the disk.
            self._copy = await _create(f"{self._name}_copy")
            await upgrade(self._copy)
        await empty(self._copy, shipped_too=True)
        await _copy_rows(backend.database_url, self._copy)
        try:
            yield Backend(self._copy, REDIS, folder)
        finally:
            await _forget(self._copy)


async def empty(url: str, *, shipped_too: bool = False) -> None:
    """Remove all rows but those of the tests that are shipped, if nobody touched them."""
    connection = await asyncpg.connect(_plain(url))
    async with connection.transaction():
        last = await connection.fetchval("SELECT max(id) FROM test_versions")
        is_untouched = last == len(list_shipped())
        kept = SHIPPED if is_untouched and not shipped_too else set()
        # Far quicker than TRUNCATE, which makes new files, for tables of a few rows.
        tables = [table.name for table in reversed(metadata.sorted_tables)]
        script = ";".join(f'DELETE FROM "{name}"' for name in tables if name not in kept)  # noqa: S608 - our own names
        await connection.execute(script)
    await connection.close()


async def _install(url: str) -> None:
    """What each server would otherwise add when it starts."""
    runtime = make_runtime(Settings(_env_file=None, database_url=url))
    await install(runtime)
    await runtime.close()


async def _copy_rows(source: str, target: str) -> None:
    """All rows, and where their ids go on."""
    old, new = [await asyncpg.connect(_plain(url)) for url in (source, target)]
    async with new.transaction():
        for table in metadata.sorted_tables:
            rows = io.BytesIO()
            copied = await old.copy_from_table(table.name, output=rows, format="binary")
            if copied == "COPY 0":
                continue
            rows.seek(0)
            await new.copy_to_table(table.name, source=rows, format="binary")
            if table.dialect_kwargs.get("sqlite_autoincrement"):
                last = f"SELECT max(id) FROM {table.name}"  # noqa: S608 - our own names
                await new.execute(f"SELECT setval('{table.name}_id_seq', ({last}))")
    await old.close()
    await new.close()


def _plain(url: str) -> str:
    """As the driver itself wants it."""
    return url.replace("+asyncpg", "")


async def _create(name: str) -> str:
    await _administer(f'CREATE DATABASE "{name}"')
    # What a crash of the machine would lose is nothing to a test; waiting for the disk is much.
    await _administer(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    url = make_url(POSTGRES).set(drivername="postgresql+asyncpg", database=name)
    return url.render_as_string(hide_password=False)


async def _drop(name: str) -> None:
    await _administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _forget(url: str) -> None:
    """Leave nothing of this deployment in Redis."""
    deployment = Settings(_env_file=None, database_url=url).deployment
    async with Redis.from_url(REDIS) as redis:
        async for key in redis.scan_iter(f"*{deployment}*", count=1000):
            await redis.delete(key)


async def _administer(statement: str) -> None:
    url: URL = make_url(POSTGRES).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()

"""A claim on a database by the one server that may run without Redis."""

import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

_LOCK = 0x736F6C65


class AlreadyRunning(Exception):
    """Another server holds the claim."""


@asynccontextmanager
async def sole_instance(url: str) -> AsyncIterator[None]:
    """Hold the claim while the block runs. Raises: AlreadyRunning."""
    if url.startswith("sqlite"):
        with _lock_beside(Path(make_url(url).database or "")):
            yield
        return
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            if not await connection.scalar(text(f"SELECT pg_try_advisory_lock({_LOCK})")):
                raise AlreadyRunning
            yield
    finally:
        await engine.dispose()


@contextmanager
def _lock_beside(database: Path) -> Iterator[None]:
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning from None
        yield

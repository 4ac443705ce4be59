"""Brings a database's schema up to date, one process at a time."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

PROJECT = Path(__file__).parent.parent
_LOCK = 0x656D6F74
"""Any number, the same in every process: ours among PostgreSQL's advisory locks."""


async def upgrade(url: str, revision: str = "head") -> None:
    """Run the migrations up to `revision`. A second process waits, then finds nothing to do."""
    await _run(url, "upgrade", revision)


async def downgrade(url: str, revision: str) -> None:
    await _run(url, "downgrade", revision)


async def _run(url: str, command: str, revision: str) -> None:
    engine = migration_engine(url)
    try:
        async with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                async with connection.begin():
                    await connection.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
            await connection.run_sync(_alembic, command, revision)
    finally:
        await engine.dispose()


def migration_engine(url: str) -> AsyncEngine:
    """Without foreign keys on SQLite: rebuilding a parent table would delete its children."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(parsed, poolclass=NullPool)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine.sync_engine, "connect")
        def configure(connection: Any, record: Any) -> None:
            connection.isolation_level = None
            cursor = connection.cursor()
            for pragma in ("busy_timeout=60000", "journal_mode=WAL", "foreign_keys=OFF"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _alembic(connection: Connection, command: str, revision: str) -> None:
    # Alembic takes most of a second to import; only this needs it.
    from alembic import command as commands  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config(toml_file=PROJECT / "pyproject.toml")
    config.set_main_option("script_location", str(PROJECT / "migrations"))
    config.attributes["connection"] = connection
    getattr(commands, command)(config, revision)

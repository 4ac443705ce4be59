"""Brings a database's schema up to date, one process at a time."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

PROJECT = Path(__file__).parent.parent
_LOCK = 0x656D6F74
"""Any number, the same in every process: ours among PostgreSQL's advisory locks."""


async def upgrade(url: str, revision: str | None = None, *, finish: bool = False) -> None:
    """Run the migrations. A second process waits, then finds nothing to do.

    Those that are `AFTER_DEPLOYMENT` take away what the version before needs. They are left for
    the next upgrade, unless all is to be finished now or there cannot be such processes: the
    database is new, or it is SQLite, which one process has for itself. What a later version has
    migrated is left as it is: this one may be the version before, which goes on beside it.
    """
    await _run(url, "upgrade", revision or ("head" if finish else None))


async def downgrade(url: str, revision: str) -> None:
    """Not while servers run: the version before gets its tables, but not what keeps both at one."""
    await _run(url, "downgrade", revision)


def list_revisions() -> list[str]:
    """The latest first."""
    return [script.revision for script in _read_scripts(_configure()).walk_revisions()]


async def _run(url: str, command: str, revision: str | None) -> None:
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


def _alembic(connection: Connection, command: str, revision: str | None) -> None:
    # Alembic takes most of a second to import; only this needs it.
    from alembic import command as commands  # noqa: PLC0415

    config = _configure()
    config.attributes["connection"] = connection
    if target := revision or _find_target(connection, config):
        getattr(commands, command)(config, target)


def _configure() -> Any:
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config(toml_file=PROJECT / "pyproject.toml")
    config.set_main_option("script_location", str(PROJECT / "migrations"))
    return config


def _read_scripts(config: Any) -> Any:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    return ScriptDirectory.from_config(config)


def _find_target(connection: Connection, config: Any) -> str | None:
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - as above

    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    scripts = list(_read_scripts(config).walk_revisions())
    if current is None:
        return "head"
    if current not in {script.revision for script in scripts}:
        return None
    if connection.dialect.name == "sqlite":
        return "head"
    for script in scripts:
        if script.revision == current or not getattr(script.module, "AFTER_DEPLOYMENT", False):
            return str(script.revision)
    return None

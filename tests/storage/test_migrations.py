"""Migrations: up, down and up again, at once, and what they must not do to the rows."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from storage.tables import metadata
from storage.upgrade import downgrade, upgrade
from tests.at_once import run_at_once
from tests.backend import SCALED, Backend
from tests.command import Shell, copy_project

VERSIONS = Path("migrations", "versions")
PERSON = """
INSERT INTO users (id, email, name, role, status, locale, time_zone, contacts, created_at)
VALUES (7, 'a@example.com', 'A', 'patient', 'active', 'en', 'UTC', '{}', '2026-01-01 00:00:00')
"""
SESSION = """
INSERT INTO sessions (id, user_id, user_agent, address, created_at, last_used_at, expires_at)
VALUES (8, 7, '', '', '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00')
"""
IMPORTS = (
    "import asyncio, sys, alembic.command, storage.tables; from storage.upgrade import upgrade"
)
MIGRATE = "asyncio.run(upgrade(sys.argv[1]))"
REBUILD = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    with op.batch_alter_table("users", recreate="{recreate}") as users:
        users.alter_column("name", type_=sa.String(120), existing_nullable=False)
    {then}
"""


async def look(backend: Backend, read: Any) -> Any:
    """What `read` finds on a connection to the database."""
    engine = create_async_engine(backend.url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(read)
    finally:
        await engine.dispose()


def list_tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def list_differences(connection: Connection) -> list[Any]:
    options = {"compare_type": True, "compare_server_default": True}
    differences: list[Any] = compare_metadata(
        MigrationContext.configure(connection, opts=options), metadata
    )
    return differences


def get_revision(connection: Connection) -> Any:
    return connection.scalar(text("SELECT version_num FROM alembic_version"))


def describe(connection: Connection) -> tuple[Any, ...]:
    """The revision, the length of a name, and how many people and sessions there are."""
    columns = inspect(connection).get_columns("users")
    (length,) = [getattr(c["type"], "length", None) for c in columns if c["name"] == "name"]
    counts = [
        connection.scalar(text("SELECT count(*) FROM users")),
        connection.scalar(text("SELECT count(*) FROM sessions")),
    ]
    return get_revision(connection), length, *counts


def list_definitions(connection: Connection) -> set[str]:
    """Indexes with their conditions, and the tables whose ids are never reused."""
    if connection.dialect.name == "postgresql":
        found = connection.scalars(
            text("SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()")
        )
    else:
        found = connection.scalars(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
    definitions = set()
    for definition in found:
        if "INDEX" in definition:
            definitions.add(re.sub(r"[()\s]+", " ", definition))
        elif "AUTOINCREMENT" in definition:
            # A table that was rebuilt has its name in quotes.
            definitions.add(definition.partition("(")[0].replace('"', ""))
    return {d for d in definitions if "alembic" not in d}


async def test_migrations_go_up_and_down_and_up_again(fresh: Backend) -> None:
    everything = {*metadata.tables, "alembic_version"}
    await upgrade(fresh.url)
    assert await look(fresh, list_tables) == everything
    await downgrade(fresh.url, "base")
    assert await look(fresh, list_tables) == {"alembic_version"}
    await upgrade(fresh.url)
    assert await look(fresh, list_tables) == everything
    assert await look(fresh, list_differences) == []


async def test_migrations_make_what_the_models_declare(backend: Backend) -> None:
    assert await look(backend, list_differences) == []


async def test_migrations_make_the_indexes_that_the_models_declare(
    backend: Backend, fresh: Backend
) -> None:
    await look(fresh, metadata.create_all)
    declared = await look(fresh, list_definitions)
    assert declared
    assert await look(backend, list_definitions) == declared


async def test_processes_that_migrate_at_once_all_succeed(fresh: Backend) -> None:
    await asyncio.to_thread(run_at_once, IMPORTS, MIGRATE, fresh.url, count=4)
    assert await look(fresh, list_tables) == {*metadata.tables, "alembic_version"}


@pytest.mark.parametrize("then", ["pass", "raise RuntimeError('half way')"])
async def test_rebuilding_a_parent_table_keeps_its_children(
    fresh: Backend, tmp_path: Path, then: str
) -> None:
    await upgrade(fresh.url)
    head = await look(fresh, get_revision)
    for statement in (PERSON, SESSION):
        await look(fresh, lambda connection, s=statement: connection.execute(text(s)))
    project = copy_project(tmp_path / "project")
    recreate = "auto" if SCALED else "always"
    migration = REBUILD.format(head=head, recreate=recreate, then=then)
    (project / VERSIONS / "next.py").write_text(migration)

    outcome = await Shell(fresh).run("migrate", root=project)

    if then == "pass":
        assert outcome.code == 0, outcome
        assert await look(fresh, describe) == ("next", 120, 1, 1)
    else:
        assert outcome.complaint == "run.py: RuntimeError: half way"
        assert await look(fresh, describe) == (head, 100, 1, 1)
    assert await look(fresh, list_tables) == {*metadata.tables, "alembic_version"}

"""Alembic's environment: it runs on the connection that `storage.upgrade` hands in."""

from alembic import context
from sqlalchemy import Connection, text

from storage.tables import metadata


def run(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # A migration that cannot have its lock soon gives way to the traffic and fails.
        connection.execute(text("SET lock_timeout = '3s'"))
        connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        compare_type=True,
        # Also on SQLite, of which Alembic does not expect it: whoever reads the revision holds the
        # lock, so that of two who migrate at once the second one finds nothing to do.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
        if connection.dialect.name == "sqlite":
            broken = connection.execute(text("PRAGMA foreign_key_check")).fetchall()
            if broken:
                raise RuntimeError(f"the migration left broken references: {broken[:5]}")


run(context.config.attributes["connection"])

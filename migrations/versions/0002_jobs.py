"""queues, claims that are renewed, and a table of its own for jobs that were given up"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
KEPT = {"sqlite_autoincrement": True}


def upgrade() -> None:
    op.create_table(
        "dead_jobs",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("job", sa.String(length=60), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=True),
        sa.Column("queue", sa.String(length=20), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(length=100), nullable=False),
        sa.Column("died_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dead_jobs"),
    )
    op.create_index("ix_dead_jobs_died_at", "dead_jobs", ["died_at"])
    op.execute(
        "INSERT INTO dead_jobs (id, job, key, queue, payload, request_id, attempts, error, died_at)"
        " SELECT id, job, key, 'general', payload, request_id, attempts,"
        " coalesce(substr(error, 1, 100), ''), dead_at FROM outbox WHERE dead_at IS NOT NULL"
    )
    op.execute("DELETE FROM outbox WHERE dead_at IS NOT NULL")
    op.execute("UPDATE outbox SET error = substr(error, 1, 100)")

    op.drop_index("uq_outbox_job_key", "outbox")
    op.drop_index("ix_outbox_due_at", "outbox")
    with op.batch_alter_table("outbox", table_kwargs=KEPT) as outbox:
        outbox.add_column(
            sa.Column("queue", sa.String(length=20), nullable=False, server_default="general")
        )
        outbox.add_column(sa.Column("wake_at", MOMENT, nullable=True))
        outbox.add_column(sa.Column("claims", sa.Integer(), server_default="0", nullable=False))
        outbox.add_column(sa.Column("failures", sa.Integer(), server_default="0", nullable=False))
        outbox.add_column(sa.Column("crashes", sa.Integer(), server_default="0", nullable=False))
        outbox.drop_column("attempts")
        outbox.drop_column("dead_at")
        outbox.alter_column("error", type_=sa.String(length=100), existing_nullable=True)
    op.execute("UPDATE outbox SET wake_at = due_at")
    with op.batch_alter_table("outbox", table_kwargs=KEPT) as outbox:
        outbox.alter_column("wake_at", nullable=False, existing_type=MOMENT)
        outbox.alter_column("queue", server_default=None, existing_type=sa.String(length=20))
    has_key = sa.text("key IS NOT NULL")
    op.create_index(
        "uq_outbox_job_key",
        "outbox",
        ["job", "key"],
        unique=True,
        postgresql_where=has_key,
        sqlite_where=has_key,
    )
    op.create_index("ix_outbox_queue_wake_at", "outbox", ["queue", "wake_at"])
    op.create_index("ix_outbox_queue_due_at", "outbox", ["queue", "due_at"])


def downgrade() -> None:
    for index in ("uq_outbox_job_key", "ix_outbox_queue_wake_at", "ix_outbox_queue_due_at"):
        op.drop_index(index, "outbox")
    with op.batch_alter_table("outbox", table_kwargs=KEPT) as outbox:
        for column in ("queue", "wake_at", "claims", "failures", "crashes"):
            outbox.drop_column(column)
        outbox.add_column(sa.Column("attempts", sa.Integer(), server_default="0", nullable=False))
        outbox.add_column(sa.Column("dead_at", MOMENT, nullable=True))
        outbox.alter_column("error", type_=sa.String(length=500), existing_nullable=True)
    op.execute(
        "INSERT INTO outbox (id, job, key, payload, request_id, attempts, error, due_at, dead_at)"
        " SELECT id, job, key, payload, request_id, attempts, error, died_at, died_at FROM dead_jobs"
    )
    op.drop_table("dead_jobs")
    pending = sa.text("dead_at IS NULL AND key IS NOT NULL")
    op.create_index(
        "uq_outbox_job_key",
        "outbox",
        ["job", "key"],
        unique=True,
        postgresql_where=pending,
        sqlite_where=pending,
    )
    op.create_index(
        "ix_outbox_due_at",
        "outbox",
        ["due_at"],
        postgresql_where=sa.text("dead_at IS NULL"),
        sqlite_where=sa.text("dead_at IS NULL"),
    )

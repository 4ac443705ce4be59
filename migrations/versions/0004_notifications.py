"""devices, summaries, quiet hours, preferences and subscriptions"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def list_settings() -> list[sa.Column[Any]]:
    return [
        sa.Column(
            "digest_times", sa.String(length=80), server_default=sa.text("''"), nullable=False
        ),
        sa.Column("digest_frequency", sa.String(length=10), server_default="off", nullable=False),
        sa.Column("digest_weekday", sa.Integer(), nullable=True),
        sa.Column("quiet_starts", sa.String(length=5), nullable=True),
        sa.Column("quiet_ends", sa.String(length=5), nullable=True),
    ]


def upgrade() -> None:
    for column in list_settings():
        op.add_column("users", column)
    op.add_column(
        "notifications", sa.Column("in_app", sa.Boolean(), server_default="1", nullable=False)
    )
    op.create_table(
        "devices",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("session_id", BIG, nullable=False),
        sa.Column("token", sa.String(length=1000), nullable=False),
        sa.Column("platform", sa.String(length=10), nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_devices_session_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_devices_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.UniqueConstraint("token", name="uq_devices_token"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_devices_user_id_id", "devices", ["user_id", "id"])
    op.create_index("ix_devices_session_id", "devices", ["session_id"])
    op.create_table(
        "preferences",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("in_app", sa.Boolean(), nullable=False),
        sa.Column("push", sa.Boolean(), nullable=False),
        sa.Column("email", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_preferences_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "type", name="pk_preferences"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("category", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_subscriptions_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "category", name="pk_subscriptions"),
    )
    op.create_index("ix_subscriptions_category_user_id", "subscriptions", ["category", "user_id"])


def downgrade() -> None:
    for table in ("subscriptions", "preferences", "devices"):
        op.drop_table(table)
    kept = {"sqlite_autoincrement": True}
    with op.batch_alter_table("notifications", table_kwargs=kept) as notifications:
        notifications.drop_column("in_app")
    with op.batch_alter_table("users", table_kwargs=kept) as users:
        for column in list_settings():
            users.drop_column(column.name)

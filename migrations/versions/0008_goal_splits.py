"""goals that a model splits, and what it suggests"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "goal_splits",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("goal_id", BIG, nullable=True),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("tokens", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["goal_id"], ["goals.id"], name="fk_goal_splits_goal_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_goal_splits_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_goal_splits"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_goal_splits_goal_id_id", "goal_splits", ["goal_id", "id"])
    op.create_index("ix_goal_splits_user_id_started_at", "goal_splits", ["user_id", "started_at"])
    op.create_index("ix_goal_splits_user_id_digest", "goal_splits", ["user_id", "digest"])
    op.create_table(
        "goal_suggestions",
        sa.Column("split_id", BIG, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("goal_id", BIG, nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(
            ["goal_id"], ["goals.id"], name="fk_goal_suggestions_goal_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["split_id"],
            ["goal_splits.id"],
            name="fk_goal_suggestions_split_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("split_id", "position", name="pk_goal_suggestions"),
    )
    op.create_index("ix_goal_suggestions_goal_id", "goal_suggestions", ["goal_id"])


def downgrade() -> None:
    for table in ("goal_suggestions", "goal_splits"):
        op.drop_table(table)

"""goals with stages, files and reminders; achievements"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0004"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_goals()
    create_reminders()
    create_rewards()


def create_goals() -> None:
    op.create_table(
        "goals",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("deadline", sa.Date(), nullable=True),
        sa.Column("progress", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("archived_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_goals_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_goals"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_goals_user_id_id", "goals", ["user_id", "id"])
    op.create_table(
        "goal_stages",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("goal_id", BIG, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("completed_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["goal_id"], ["goals.id"], name="fk_goal_stages_goal_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_goal_stages"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_goal_stages_goal_id_place", "goal_stages", ["goal_id", "place"])
    op.create_table(
        "goal_files",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("goal_id", BIG, nullable=False),
        sa.Column("upload_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["goal_id"], ["goals.id"], name="fk_goal_files_goal_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name="fk_goal_files_upload_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_goal_files"),
        sa.UniqueConstraint("upload_id", name="uq_goal_files_upload_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_goal_files_goal_id_id", "goal_files", ["goal_id", "id"])


def create_reminders() -> None:
    op.create_table(
        "goal_reminders",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("goal_id", BIG, nullable=False),
        sa.Column("times", sa.String(length=80), nullable=False),
        sa.Column("every_days", sa.Integer(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("slot", sa.String(length=8), nullable=True),
        sa.Column("snoozed", sa.Boolean(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["goal_id"], ["goals.id"], name="fk_goal_reminders_goal_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_goal_reminders"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_goal_reminders_goal_id_id", "goal_reminders", ["goal_id", "id"])
    op.create_table(
        "goal_firings",
        sa.Column("reminder_id", BIG, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("slot", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(
            ["reminder_id"],
            ["goal_reminders.id"],
            name="fk_goal_firings_reminder_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("reminder_id", "day", "slot", name="pk_goal_firings"),
    )


def create_rewards() -> None:
    op.create_table(
        "goal_feats",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("subject_id", BIG, autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_goal_feats_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "kind", "subject_id", name="pk_goal_feats"),
    )
    op.create_index("ix_goal_feats_user_id_kind_day", "goal_feats", ["user_id", "kind", "day"])
    op.create_table(
        "unlocks",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("achievement", sa.String(length=40), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("earned_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_unlocks_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "achievement", "ordinal", name="pk_unlocks"),
    )
    op.create_index(
        "ix_unlocks_achievement_ordinal_user_id", "unlocks", ["achievement", "ordinal", "user_id"]
    )
    op.create_table(
        "achievement_shares",
        sa.Column("achievement", sa.String(length=40), nullable=False),
        sa.Column("holders", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("computed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("achievement", name="pk_achievement_shares"),
    )


def downgrade() -> None:
    for table in (
        "achievement_shares",
        "unlocks",
        "goal_feats",
        "goal_firings",
        "goal_reminders",
        "goal_files",
        "goal_stages",
        "goals",
    ):
        op.drop_table(table)

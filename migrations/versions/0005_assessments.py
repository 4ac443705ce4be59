"""tests with their versions, questions and answers; results, drafts and alerts"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tests",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("code", sa.String(length=40), nullable=True),
        sa.Column("author_id", BIG, nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name="fk_tests_author_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tests"),
        sa.UniqueConstraint("code", name="uq_tests_code"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tests_author_id_id", "tests", ["author_id", "id"], unique=False)
    op.create_index("ix_tests_status_id", "tests", ["status", "id"], unique=False)
    op.create_table(
        "test_versions",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("test_id", BIG, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("published_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["test_id"], ["tests.id"], name="fk_test_versions_test_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_test_versions"),
        sa.UniqueConstraint("test_id", "number", name="uq_test_versions_test_id_number"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_test_versions_draft",
        "test_versions",
        ["test_id"],
        unique=True,
        postgresql_where=sa.text("status = 'draft'"),
        sqlite_where=sa.text("status = 'draft'"),
    )
    op.create_index(
        "uq_test_versions_published",
        "test_versions",
        ["test_id"],
        unique=True,
        postgresql_where=sa.text("status = 'published'"),
        sqlite_where=sa.text("status = 'published'"),
    )
    op.create_table(
        "questions",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("version_id", BIG, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("loinc", sa.String(length=20), nullable=True),
        sa.Column("texts", sa.JSON(), nullable=False),
        sa.Column("scored", sa.Boolean(), nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"], ["test_versions.id"], name="fk_questions_version_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_questions"),
        sa.UniqueConstraint("version_id", "position", name="uq_questions_version_id_position"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "test_drafts",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("test_id", BIG, nullable=False),
        sa.Column("version_id", BIG, nullable=False),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["test_id"], ["tests.id"], name="fk_test_drafts_test_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_test_drafts_user_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["test_versions.id"],
            name="fk_test_drafts_version_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "test_id", name="pk_test_drafts"),
    )
    op.create_index("ix_test_drafts_version_id", "test_drafts", ["version_id"], unique=False)
    op.create_table(
        "test_results",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("test_id", BIG, nullable=False),
        sa.Column("version_id", BIG, nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("total", sa.Double(), nullable=False),
        sa.Column("severity", sa.String(length=40), nullable=True),
        sa.Column("scales", sa.JSON(), nullable=False),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("prorated", sa.Boolean(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("client_ref", sa.Uuid(), nullable=True),
        sa.Column("request_hash", sa.String(length=64), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["test_id"], ["tests.id"], name="fk_test_results_test_id"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_test_results_user_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["test_versions.id"], name="fk_test_results_version_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_test_results"),
        sa.UniqueConstraint("user_id", "client_ref", name="uq_test_results_user_id_client_ref"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_test_results_test_id", "test_results", ["test_id"], unique=False)
    op.create_index(
        "ix_test_results_user_id_created_at_id",
        "test_results",
        ["user_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_test_results_user_id_test_id_created_at_id",
        "test_results",
        ["user_id", "test_id", "created_at", "id"],
        unique=False,
    )
    op.create_index("ix_test_results_version_id", "test_results", ["version_id"], unique=False)
    op.create_table(
        "alerts",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("patient_id", BIG, nullable=False),
        sa.Column("result_id", BIG, nullable=False),
        sa.Column("question_id", BIG, nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("for_admins", sa.Boolean(), nullable=False),
        sa.Column("raised_at", MOMENT, nullable=False),
        sa.Column("escalations", sa.Integer(), server_default="0", nullable=False),
        sa.Column("escalated_at", MOMENT, nullable=True),
        sa.Column("acknowledged_at", MOMENT, nullable=True),
        sa.Column("acknowledged_by", BIG, nullable=True),
        sa.Column("resolved_at", MOMENT, nullable=True),
        sa.Column("resolved_by", BIG, nullable=True),
        sa.Column("note", sa.String(length=1000), nullable=True),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["users.id"], name="fk_alerts_patient_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["question_id"], ["questions.id"], name="fk_alerts_question_id"),
        sa.ForeignKeyConstraint(
            ["result_id"], ["test_results.id"], name="fk_alerts_result_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
        sa.UniqueConstraint("result_id", "question_id", name="uq_alerts_result_id_question_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alerts_for_admins_id", "alerts", ["for_admins", "id"], unique=False)
    op.create_index("ix_alerts_patient_id_id", "alerts", ["patient_id", "id"], unique=False)
    op.create_index("ix_alerts_question_id", "alerts", ["question_id"], unique=False)
    op.create_index(
        "ix_alerts_unresolved",
        "alerts",
        ["patient_id"],
        unique=False,
        postgresql_where=sa.text("status != 'resolved'"),
        sqlite_where=sa.text("status != 'resolved'"),
    )
    op.create_table(
        "answer_options",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("question_id", BIG, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("loinc", sa.String(length=20), nullable=True),
        sa.Column("texts", sa.JSON(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["question_id"],
            ["questions.id"],
            name="fk_answer_options_question_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_answer_options"),
        sa.UniqueConstraint(
            "question_id", "position", name="uq_answer_options_question_id_position"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "latest_results",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("test_id", BIG, nullable=False),
        sa.Column("result_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["result_id"],
            ["test_results.id"],
            name="fk_latest_results_result_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["test_id"], ["tests.id"], name="fk_latest_results_test_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_latest_results_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "test_id", name="pk_latest_results"),
    )
    op.create_index("ix_latest_results_result_id", "latest_results", ["result_id"], unique=False)
    op.create_index(
        "ix_users_admins",
        "users",
        ["id"],
        unique=False,
        postgresql_where=sa.text("role = 'admin'"),
        sqlite_where=sa.text("role = 'admin'"),
    )


def downgrade() -> None:
    op.drop_index("ix_users_admins", "users")
    for table in (
        "latest_results",
        "answer_options",
        "alerts",
        "test_results",
        "test_drafts",
        "questions",
        "test_versions",
        "tests",
    ):
        op.drop_table(table)

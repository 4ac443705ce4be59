"""people, care, chat, notifications and the event log"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor_id", BIG, nullable=True),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject_id", BIG, nullable=True),
        sa.Column("address", sa.String(length=45), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_actor_id_id", "audit", ["actor_id", "id"])
    op.create_index("ix_audit_subject_id_id", "audit", ["subject_id", "id"])

    op.create_table(
        "outbox",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("job", sa.String(length=60), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("claimed_until", MOMENT, nullable=True),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("dead_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_outbox_due_at",
        "outbox",
        ["due_at"],
        postgresql_where=sa.text("dead_at IS NULL"),
        sqlite_where=sa.text("dead_at IS NULL"),
    )
    op.create_index(
        "uq_outbox_job_key",
        "outbox",
        ["job", "key"],
        unique=True,
        postgresql_where=sa.text("dead_at IS NULL AND key IS NOT NULL"),
        sqlite_where=sa.text("dead_at IS NULL AND key IS NOT NULL"),
    )

    op.create_table(
        "stream_epoch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stream_epoch"),
    )
    op.create_table(
        "users",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_verified_at", MOMENT, nullable=True),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("locale", sa.String(length=10), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("contacts", sa.JSON(), nullable=False),
        sa.Column("push_enabled", sa.Boolean(), server_default="1", nullable=False),
        sa.Column("oauth_provider", sa.String(length=40), nullable=True),
        sa.Column("oauth_subject", sa.String(length=255), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        sa.UniqueConstraint(
            "oauth_provider", "oauth_subject", name="uq_users_oauth_provider_oauth_subject"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_api_keys_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])

    op.create_table(
        "chats",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("psychologist_id", BIG, nullable=False),
        sa.Column("patient_id", BIG, nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("last_seq", BIG, server_default="0", nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["users.id"], name="fk_chats_patient_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["psychologist_id"], ["users.id"], name="fk_chats_psychologist_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_chats"),
        sa.UniqueConstraint(
            "psychologist_id", "patient_id", name="uq_chats_psychologist_id_patient_id"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chats_patient_id", "chats", ["patient_id"])

    op.create_table(
        "event_log",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("namespace", sa.String(length=40), nullable=False),
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_event_log_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "namespace", "seq", name="pk_event_log"),
    )
    op.create_index("ix_event_log_at", "event_log", ["at"])

    op.create_table(
        "heads",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("namespace", sa.String(length=40), nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("floor", BIG, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_heads_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "namespace", name="pk_heads"),
    )
    op.create_table(
        "invitations",
        sa.Column("psychologist_id", BIG, nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["psychologist_id"],
            ["users.id"],
            name="fk_invitations_psychologist_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("psychologist_id", "email", name="pk_invitations"),
    )
    op.create_index("ix_invitations_email", "invitations", ["email"])

    op.create_table(
        "notifications",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.Column("link", sa.String(length=200), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("read_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_notifications_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notifications_user_id_id", "notifications", ["user_id", "id"])
    op.create_index(
        "uq_notifications_unread_subject",
        "notifications",
        ["user_id", "subject"],
        unique=True,
        postgresql_where=sa.text("read_at IS NULL"),
        sqlite_where=sa.text("read_at IS NULL"),
    )

    op.create_table(
        "relations",
        sa.Column("psychologist_id", BIG, nullable=False),
        sa.Column("patient_id", BIG, nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("invited_at", MOMENT, nullable=False),
        sa.Column("since", MOMENT, nullable=True),
        sa.Column("until", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["users.id"], name="fk_relations_patient_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["psychologist_id"],
            ["users.id"],
            name="fk_relations_psychologist_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("psychologist_id", "patient_id", name="pk_relations"),
    )
    op.create_index("ix_relations_patient_id", "relations", ["patient_id"])

    op.create_table(
        "replies",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("event", sa.String(length=100), nullable=False),
        sa.Column("client_ref", sa.Uuid(), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_replies_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "event", "client_ref", name="pk_replies"),
    )
    op.create_index("ix_replies_at", "replies", ["at"])

    op.create_table(
        "reset_tokens",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_reset_tokens_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name="pk_reset_tokens"),
    )
    op.create_index("ix_reset_tokens_expires_at", "reset_tokens", ["expires_at"])
    op.create_index("ix_reset_tokens_user_id", "reset_tokens", ["user_id"])

    op.create_table(
        "sessions",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_sessions_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sessions_ended_at", "sessions", ["ended_at"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_index("ix_sessions_user_id_id", "sessions", ["user_id", "id"])

    op.create_table(
        "chat_members",
        sa.Column("chat_id", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("read_seq", BIG, server_default="0", nullable=False),
        sa.Column("delivered_seq", BIG, server_default="0", nullable=False),
        sa.Column("unread", BIG, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chats.id"], name="fk_chat_members_chat_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_chat_members_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("chat_id", "user_id", name="pk_chat_members"),
    )
    op.create_index(
        "ix_chat_members_unread",
        "chat_members",
        ["user_id"],
        postgresql_where=sa.text("unread > 0"),
        sqlite_where=sa.text("unread > 0"),
    )
    op.create_index("ix_chat_members_user_id", "chat_members", ["user_id", "chat_id"])

    op.create_table(
        "messages",
        sa.Column("chat_id", BIG, nullable=False),
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("sender_id", BIG, nullable=False),
        sa.Column("client_ref", sa.Uuid(), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("edited_at", MOMENT, nullable=True),
        sa.Column("deleted", sa.Boolean(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chats.id"], name="fk_messages_chat_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["sender_id"], ["users.id"], name="fk_messages_sender_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("chat_id", "seq", name="pk_messages"),
        sa.UniqueConstraint("sender_id", "client_ref", name="uq_messages_sender_id_client_ref"),
    )
    op.create_table(
        "receipts",
        sa.Column("chat_id", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chats.id"], name="fk_receipts_chat_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_receipts_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("chat_id", "user_id", "kind", "seq", name="pk_receipts"),
    )
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("session_id", BIG, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("client_ref", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_refresh_tokens_session_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name="pk_refresh_tokens"),
    )
    op.create_index("ix_refresh_tokens_expires_at", "refresh_tokens", ["expires_at"])
    op.create_index("ix_refresh_tokens_session_id", "refresh_tokens", ["session_id"])


def downgrade() -> None:
    op.drop_table("refresh_tokens")
    op.drop_table("receipts")
    op.drop_table("messages")
    op.drop_table("chat_members")
    op.drop_table("sessions")
    op.drop_table("reset_tokens")
    op.drop_table("replies")
    op.drop_table("relations")
    op.drop_table("notifications")
    op.drop_table("invitations")
    op.drop_table("heads")
    op.drop_table("event_log")
    op.drop_table("chats")
    op.drop_table("api_keys")
    op.drop_table("users")
    op.drop_table("stream_epoch")
    op.drop_table("outbox")
    op.drop_table("audit")

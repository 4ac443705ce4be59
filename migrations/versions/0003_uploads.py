"""uploads, and where they are used: attachments and avatars"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("owner_id", BIG, nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("file_type", sa.String(length=100), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("blob_key", sa.String(length=60), nullable=False),
        sa.Column("thumbnail_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("stored_at", MOMENT, nullable=True),
        sa.Column("attached_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_uploads_owner_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
        sqlite_autoincrement=True,
    )
    loose = sa.text("attached_at IS NULL")
    op.create_index("ix_uploads_owner_id_id", "uploads", ["owner_id", "id"])
    op.create_index(
        "ix_uploads_loose", "uploads", ["created_at"], postgresql_where=loose, sqlite_where=loose
    )
    op.create_table(
        "attachments",
        sa.Column("chat_id", BIG, nullable=False),
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("upload_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chats.id"], name="fk_attachments_chat_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name="fk_attachments_upload_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("chat_id", "seq", "place", name="pk_attachments"),
        sa.UniqueConstraint("upload_id", name="uq_attachments_upload_id"),
    )
    op.add_column("messages", sa.Column("files", sa.Integer(), server_default="0", nullable=False))
    op.add_column("users", sa.Column("avatar_upload_id", BIG, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("users", table_kwargs={"sqlite_autoincrement": True}) as users:
        users.drop_column("avatar_upload_id")
    with op.batch_alter_table("messages") as messages:
        messages.drop_column("files")
    op.drop_table("attachments")
    op.drop_table("uploads")

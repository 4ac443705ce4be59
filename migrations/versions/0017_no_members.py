"""people's places are only in their chats' rows, and no answer needs a receipt"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

AFTER_DEPLOYMENT = True

NUMBERS = ("read_seq", "delivered_seq", "unread")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in ("chats", "chat_members"):
            op.execute(f"DROP TRIGGER IF EXISTS carry_places ON {table}")
            op.execute(f"DROP FUNCTION IF EXISTS carry_places_from_{table}")
        op.execute("DROP TRIGGER IF EXISTS note_readings ON messages")
        op.execute("DROP FUNCTION IF EXISTS note_readings")
    op.drop_table("chat_members")


def downgrade() -> None:
    op.create_table(
        "chat_members",
        sa.Column("chat_id", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        *(sa.Column(name, BIG, nullable=False, server_default="0") for name in NUMBERS),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chats.id"], name="fk_chat_members_chat_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_chat_members_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("chat_id", "user_id", name="pk_chat_members"),
    )
    op.create_index("ix_chat_members_user_id", "chat_members", ["user_id", "chat_id"])
    for side in ("psychologist", "patient"):
        places = ", ".join(f"{side}_{name}" for name in NUMBERS)
        op.execute(
            f"""
            INSERT INTO chat_members (chat_id, user_id, {", ".join(NUMBERS)})
            SELECT id, {side}_id, {places} FROM chats WHERE {side}_read_seq IS NOT NULL
            """
        )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE chat_members SET (fillfactor = 80)")

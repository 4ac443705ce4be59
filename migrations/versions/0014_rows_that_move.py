"""rows that every message moves: no index over what moves, and room beside them for their next version"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

INDEX = "ix_chat_members_unread"
MOVING = ("chats", "chat_members", "heads", "outbox")
ROOM = 80
"""Percent of a page that new rows fill; a version that finds room in its page needs no new index entries."""


def upgrade() -> None:
    op.drop_index(INDEX, "chat_members")
    if op.get_bind().dialect.name == "postgresql":
        for table in MOVING:
            op.execute(f"ALTER TABLE {table} SET (fillfactor = {ROOM})")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in MOVING:
            op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
    unread = sa.text("unread > 0")
    op.create_index(
        INDEX, "chat_members", ["user_id"], postgresql_where=unread, sqlite_where=unread
    )

"""rows that are written under the lock of their chat or head look for their parents no more"""

from alembic import op

revision = "0013"
down_revision = "0012"

PARENTS = {
    "messages": {"chat_id": "chats", "sender_id": "users"},
    "receipts": {"chat_id": "chats", "user_id": "users"},
    "event_log": {"user_id": "users"},
}


def upgrade() -> None:
    for table, columns in PARENTS.items():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_constraint(f"fk_{table}_{column}", type_="foreignkey")


def downgrade() -> None:
    for table, columns in PARENTS.items():
        with op.batch_alter_table(table) as batch:
            for column, parent in columns.items():
                batch.create_foreign_key(
                    f"fk_{table}_{column}", parent, [column], ["id"], ondelete="CASCADE"
                )

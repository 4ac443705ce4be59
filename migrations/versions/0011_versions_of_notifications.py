"""notifications say how much of their subject they tell"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("notifications", sa.Column("version", BIG, nullable=False, server_default="0"))
    op.create_index(
        "ix_notifications_going_on",
        "notifications",
        ["user_id", "subject"],
        postgresql_where=sa.text("version > 0"),
        sqlite_where=sa.text("version > 0"),
    )


def downgrade() -> None:
    op.drop_index("ix_notifications_going_on", "notifications")
    op.drop_column("notifications", "version")

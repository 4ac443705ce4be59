"""splits of goals say which answer a model gave"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("goal_splits", sa.Column("answer", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("goal_splits", "answer")

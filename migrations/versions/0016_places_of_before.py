"""places of before are copied to their chats, a few at a time"""

from alembic import op

revision = "0016"
down_revision = "0015"

SIDES = ("psychologist", "patient")
NUMBERS = ("read_seq", "delivered_seq", "unread")
FIND = "(SELECT {one} FROM chat_members WHERE chat_id = chats.id AND user_id = chats.{side}_id)"
COPY = "UPDATE chats SET " + ", ".join(
    f"{side}_{one} = {FIND.format(one=one, side=side)}" for side in SIDES for one in NUMBERS
)
CHUNK = 500

# Whoever moves a place has the chat locked; a statement that waited for it sees what they wrote
# only if it begins after that.
IN_CHUNKS = f"""
DO $$
DECLARE
    done bigint := 0;
    upto bigint;
BEGIN
    LOOP
        SELECT max(id) INTO upto
        FROM (SELECT id FROM chats WHERE id > done ORDER BY id LIMIT {CHUNK}) AS chunk;
        EXIT WHEN upto IS NULL;
        PERFORM FROM chats WHERE id > done AND id <= upto ORDER BY id FOR UPDATE;
        {COPY} WHERE id > done AND id <= upto;
        COMMIT;
        done := upto;
    END LOOP;
END $$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        with op.get_context().autocommit_block():
            op.execute(IN_CHUNKS)
    else:
        op.execute(COPY)


def downgrade() -> None:
    """The rows that they were copied from are still there."""

"""both people's places are in their chat's row, too, and messages are receipts

While servers of the version before run, triggers carry over what either version writes. They look
at nothing that a trigger has written, so that none calls the other.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

SIDES = ("psychologist", "patient")
NUMBERS = ("read_seq", "delivered_seq", "unread")
PLACES = [f"{side}_{number}" for side in SIDES for number in NUMBERS]
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NOTE_READINGS = (
    """
    CREATE FUNCTION note_readings() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO receipts (chat_id, user_id, kind, seq, at)
        VALUES (NEW.chat_id, NEW.sender_id, 'read', NEW.seq, NEW.created_at)
        ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER note_readings AFTER INSERT ON messages
    FOR EACH ROW EXECUTE FUNCTION note_readings()
    """,
)
"""The version before looks for receipts of what was read by answering; one too many says nothing new."""


def upgrade() -> None:
    for name in PLACES:
        op.add_column("chats", sa.Column(name, BIG, nullable=True, server_default="0"))
    if op.get_bind().dialect.name == "postgresql":
        for statement in (*carry_to_members(), *carry_to_chats(), *NOTE_READINGS):
            op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in ("chats", "chat_members"):
            op.execute(f"DROP TRIGGER IF EXISTS carry_places ON {table}")
            op.execute(f"DROP FUNCTION IF EXISTS carry_places_from_{table}")
        op.execute("DROP TRIGGER IF EXISTS note_readings ON messages")
        op.execute("DROP FUNCTION IF EXISTS note_readings")
    with op.batch_alter_table("chats") as chats:
        for name in PLACES:
            chats.drop_column(name)


def carry_to_members() -> tuple[str, str]:
    sides = "".join(
        f"""
        IF NEW.{side}_read_seq IS NULL THEN
            DELETE FROM chat_members WHERE chat_id = NEW.id AND user_id = NEW.{side}_id;
        ELSE
            INSERT INTO chat_members (chat_id, user_id, {", ".join(NUMBERS)})
            VALUES (NEW.id, NEW.{side}_id, {", ".join(f"NEW.{side}_{one}" for one in NUMBERS)})
            ON CONFLICT (chat_id, user_id)
            DO UPDATE SET {", ".join(f"{one} = excluded.{one}" for one in NUMBERS)};
        END IF;
        """
        for side in SIDES
    )
    return (
        f"""
        CREATE FUNCTION carry_places_from_chats() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN {sides}
            RETURN NULL;
        END $$
        """,
        f"""
        CREATE TRIGGER carry_places AFTER INSERT OR UPDATE OF {", ".join(PLACES)} ON chats
        FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION carry_places_from_chats()
        """,
    )


def carry_to_chats() -> tuple[str, str]:
    places = ", ".join(
        f"{side}_{one} = CASE {side}_id WHEN place.user_id THEN place.{one} ELSE {side}_{one} END"
        for side in SIDES
        for one in NUMBERS
    )
    return (
        f"""
        CREATE FUNCTION carry_places_from_chat_members() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE place chat_members%ROWTYPE;
        BEGIN
            IF TG_OP = 'DELETE' THEN
                place.chat_id := OLD.chat_id;
                place.user_id := OLD.user_id;
            ELSE
                place := NEW;
            END IF;
            UPDATE chats SET {places} WHERE id = place.chat_id;
            RETURN NULL;
        END $$
        """,
        """
        CREATE TRIGGER carry_places AFTER INSERT OR UPDATE OR DELETE ON chat_members
        FOR EACH ROW WHEN (pg_trigger_depth() = 0)
        EXECUTE FUNCTION carry_places_from_chat_members()
        """,
    )

"""What the database holds at the end, read with plain SQL and not with the product's queries."""

import asyncpg
import orjson

from tests.faults.folding import read_fact
from tests.faults.record import NAMESPACES, Database, Member, Row

_MESSAGES = """
    SELECT chat_id, seq, sender_id, client_ref, text, edited_at IS NOT NULL AS edited, deleted
    FROM messages ORDER BY chat_id, seq
"""
_MEMBERS = " UNION ALL ".join(
    f"SELECT id, {side}_id, {side}_read_seq, {side}_delivered_seq, {side}_unread FROM chats"  # noqa: S608 - names that stand here
    f" WHERE {side}_read_seq IS NOT NULL"
    for side in ("psychologist", "patient")
)
_RECEIPTS = "SELECT chat_id, user_id, kind, seq FROM receipts"
_HEADS = "SELECT user_id, namespace, seq, floor FROM heads"
_LOG = "SELECT user_id, namespace, seq, event, data FROM event_log ORDER BY user_id, namespace, seq"
_NOTES = "SELECT user_id, id, read_at IS NOT NULL AS read FROM notifications WHERE in_app"

_FOLLOWING = "SELECT EXISTS (SELECT FROM outbox WHERE job = 'chat.settle')"


async def read_heads(url: str) -> dict[tuple[int, str], int]:
    """Where every stream stands."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        rows = await connection.fetch(_HEADS)
    finally:
        await connection.close()
    return {(row["user_id"], row["namespace"]): row["seq"] for row in rows}


async def is_followed(url: str) -> bool:
    """Whether nothing more is to follow what was changed."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return not await connection.fetchval(_FOLLOWING)
    finally:
        await connection.close()


async def read_database(url: str) -> Database:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _read(connection)
    finally:
        await connection.close()


async def _read(connection: asyncpg.Connection) -> Database:
    database = Database(
        messages=[
            Row(r[0], r[1], r[2], str(r[3]), *r[4:]) for r in await connection.fetch(_MESSAGES)
        ],
        members=[Member(*row) for row in await connection.fetch(_MEMBERS)],
        receipts=[tuple(row) for row in await connection.fetch(_RECEIPTS)],
    )
    for user_id, namespace, seq, floor in await connection.fetch(_HEADS):
        database.heads[user_id, namespace] = (seq, floor)
    for user_id, namespace, seq, event, data in await connection.fetch(_LOG):
        if namespace in NAMESPACES:
            fact = read_fact(event, orjson.loads(data))
            database.log.setdefault((user_id, namespace), []).append((seq, fact))
    for user_id, note_id, read in await connection.fetch(_NOTES):
        database.notes.setdefault(user_id, {})[note_id] = read
    return database

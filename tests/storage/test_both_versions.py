"""While servers of the version before run beside this one's, both find what either of them wrote.

What those do to their table is written here as they do it.
"""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from storage.upgrade import downgrade, upgrade
from tests.backend import Backend
from tests.command import Shell

pytestmark = pytest.mark.scaled

BEFORE, BESIDE, AFTER = "0014", "0016", "0017"
PSYCHOLOGIST, PATIENT, OTHER = 1, 2, 3
CHATS = 1100
"""More than two chunks of them."""

PEOPLE = """
INSERT INTO users (id, email, name, role, status, locale, time_zone, contacts, created_at)
SELECT n, n || '@example.com', '', 'patient', 'active', 'en', 'UTC', '{}', now()
FROM generate_series(1, 1200) AS n
"""
TALKS = """
WITH opened AS (
    INSERT INTO chats (psychologist_id, patient_id, status, last_seq, last_at, created_at)
    SELECT 1, 1 + n, 'open', 10, now(), now() FROM generate_series(1, 1100) AS n
    RETURNING id, psychologist_id, patient_id
)
INSERT INTO chat_members (chat_id, user_id, read_seq, delivered_seq, unread)
SELECT id, psychologist_id, 1 + id % 5, 6, 4 FROM opened
UNION ALL SELECT id, patient_id, 3, 7, 1 + id % 7 FROM opened
"""
OPEN = """
INSERT INTO chats (psychologist_id, patient_id, status, last_at, created_at)
VALUES ($1, $2, 'open', now(), now()) RETURNING id
"""
JOIN = """
INSERT INTO chat_members (chat_id, user_id) VALUES ($1, $2), ($1, $3) ON CONFLICT DO NOTHING
"""
MOVE = """
WITH moved AS (UPDATE chats SET last_seq = last_seq + 1 WHERE id = $1 RETURNING id, last_seq)
UPDATE chat_members SET
    read_seq = CASE user_id WHEN $2 THEN last_seq ELSE read_seq END,
    delivered_seq = CASE user_id WHEN $2 THEN last_seq ELSE delivered_seq END,
    unread = CASE user_id WHEN $2 THEN 0 ELSE unread + 1 END
FROM moved WHERE chat_id = moved.id
"""
MEMBERS = "SELECT * FROM chat_members ORDER BY chat_id, user_id"
PLACES = """
SELECT id, psychologist_id, psychologist_read_seq, psychologist_delivered_seq, psychologist_unread
FROM chats WHERE psychologist_read_seq IS NOT NULL
UNION ALL
SELECT id, patient_id, patient_read_seq, patient_delivered_seq, patient_unread
FROM chats WHERE patient_read_seq IS NOT NULL
ORDER BY 1, 2
"""


class Rows:
    """The database, by plain SQL."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def do(self, statement: str, *values: Any) -> Any:
        return await self._connection.fetchval(statement, *values)

    async def read(self, statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._connection.fetch(statement)]

    async def read_both(self, chat_id: int) -> list[tuple[Any, ...]]:
        """The places in a chat: what either version sees, which must be the same."""
        members, places = await self.read(MEMBERS), await self.read(PLACES)
        assert members == places
        return [row[1:] for row in places if row[0] == chat_id]


@pytest.fixture
async def rows(fresh: Backend) -> AsyncIterator[Rows]:
    await upgrade(fresh.url, BEFORE)
    connection = await asyncpg.connect(fresh.url.replace("+asyncpg", ""))
    rows = Rows(connection)
    await rows.do(PEOPLE)
    await rows.do(TALKS)
    yield rows
    await connection.close()


async def test_what_was_there_is_carried_over(fresh: Backend, rows: Rows) -> None:
    await upgrade(fresh.url)
    assert await rows.read("SELECT version_num FROM alembic_version") == [(BESIDE,)]
    assert await rows.read_both(CHATS) == [(PSYCHOLOGIST, 1, 6, 4), (1 + CHATS, 3, 7, 2)]
    assert len(await rows.read(PLACES)) == 2 * CHATS


async def test_what_the_version_before_writes_is_found(fresh: Backend, rows: Rows) -> None:
    await upgrade(fresh.url)

    await rows.do(MOVE, 1, PATIENT)
    assert await rows.read_both(1) == [(PSYCHOLOGIST, 2, 6, 5), (PATIENT, 11, 11, 0)]
    await rows.do("DELETE FROM chat_members WHERE chat_id = 1 AND user_id = $1", PATIENT)
    assert await rows.read_both(1) == [(PSYCHOLOGIST, 2, 6, 5)]
    opened = await rows.do(OPEN, OTHER, PATIENT)
    await rows.do(JOIN, opened, OTHER, PATIENT)
    assert await rows.read_both(opened) == [(PATIENT, 0, 0, 0), (OTHER, 0, 0, 0)]


async def test_the_version_before_finds_what_this_one_writes(fresh: Backend, rows: Rows) -> None:
    await upgrade(fresh.url)

    await rows.do(
        "UPDATE chats SET psychologist_read_seq = 11, psychologist_delivered_seq = 11,"
        " psychologist_unread = 0, patient_unread = patient_unread + 1 WHERE id = 1"
    )
    assert await rows.read_both(1) == [(PSYCHOLOGIST, 11, 11, 0), (PATIENT, 3, 7, 3)]
    await rows.do(
        "UPDATE chats SET patient_read_seq = NULL, patient_delivered_seq = NULL,"
        " patient_unread = NULL WHERE id = 1"
    )
    assert await rows.read_both(1) == [(PSYCHOLOGIST, 11, 11, 0)]
    opened = await rows.do(OPEN, OTHER, PATIENT)
    assert await rows.read_both(opened) == [(PATIENT, 0, 0, 0), (OTHER, 0, 0, 0)]


async def test_the_version_before_starts_again_beside_this_one(fresh: Backend, rows: Rows) -> None:
    """To whom a revision is not known, it is a later version's."""
    await upgrade(fresh.url)
    await rows.do("UPDATE alembic_version SET version_num = 'later'")

    await Shell(fresh).do("migrate")

    assert await rows.read("SELECT version_num FROM alembic_version") == [("later",)]
    assert "of a later version" in (await Shell(fresh).do("check")).splitlines()[1]


async def test_it_is_finished_when_the_operator_says_so(fresh: Backend, rows: Rows) -> None:
    shell = Shell(fresh)
    await shell.do("migrate")
    await shell.do("migrate")
    assert "migrate --finish" in (await shell.do("check")).splitlines()[1]
    await rows.do(MOVE, 1, PATIENT)

    await shell.do("migrate", "--finish")

    assert "migrate --finish" not in (await shell.do("check")).splitlines()[1]
    assert await rows.read("SELECT version_num FROM alembic_version") == [(AFTER,)]
    places = await rows.read(PLACES)
    await rows.do("UPDATE chats SET patient_unread = 0 WHERE id = 1")
    await rows.do("UPDATE chats SET patient_unread = $1 WHERE id = 1", places[1][-1])
    await downgrade(fresh.url, BEFORE)
    assert await rows.read(MEMBERS) == places

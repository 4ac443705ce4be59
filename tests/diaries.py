"""Somebody with a diary, and what tests of moods have in common."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.client import Client
from tests.instance import Instance, Person

MOOD = "/mood"


@dataclass(frozen=True, slots=True)
class Diary:
    server: Instance
    person: Person
    zone: str = "UTC"

    async def ask(self, event: str, **payload: Any) -> Any:
        """Ask something about one's own diary, over HTTP."""
        return await self.server.ask(self.person, MOOD, event, payload)

    async def add(self, score: int = 5, **entry: Any) -> Any:
        return await self.ask("entry:add", score=score, **entry)

    async def add_on(self, day: date, score: int = 5, hour: float = 12, **entry: Any) -> Any:
        """An entry at an hour of a local date."""
        noon = datetime.combine(day, time(12), ZoneInfo(self.zone))
        at = noon.astimezone(UTC) + timedelta(hours=hour - 12)
        return await self.add(score, at=at.isoformat(), **entry)

    async def list(self, **wanted: Any) -> list[Any]:
        answer = await self.ask("entry:list", **wanted)
        items: list[Any] = answer["items"]
        return items


async def start_diary(server: Instance, person: Person | None = None, zone: str = "UTC") -> Diary:
    person = person or await server.add_person()
    await server.ask(person, "/account", "profile:update", {"time_zone": zone})
    return Diary(server, person, zone)


async def list_read(server: Instance, reader: Person, diary: Diary, **wanted: Any) -> list[Any]:
    """Somebody's entries, as somebody else is given them."""
    wanted |= {"patient_id": diary.person.id}
    answer = await server.ask(reader, MOOD, "entry:list", wanted)
    items: list[Any] = answer["items"]
    return items


async def fence(device: Client) -> None:
    """Until the device has heard whatever was told before this moment on its instance."""
    await device.ask("entry:list", {"limit": 1}, namespace=MOOD)


def days_ago(number: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=number)


FILL = (
    """
    INSERT INTO users (id, email, name, role, status, locale, time_zone, contacts, created_at)
    SELECT n, 'patient.' || n || '@example.com', 'Person ' || n, 'patient', 'active', 'en',
        'UTC', '{}', now()
    FROM generate_series(1, :people) AS n
    """,
    """
    INSERT INTO diaries (user_id, revision) SELECT n, n FROM generate_series(1, :people) AS n
    """,
    """
    INSERT INTO mood_entries (user_id, score, note, tags, activities, at, time_zone, local_date,
        created_at)
    SELECT 1 + n % :people, 1 + (random() * 9)::int, 'A note of some length, as people write them.',
        CASE WHEN random() < 0.3 THEN '["calm"]' ELSE '["work", "late"]' END::json,
        '["running"]', at, 'UTC', at::date, at
    FROM generate_series(0, :entries - 1) AS n,
        LATERAL (SELECT timestamptz '2026-01-01 00:00Z' - n / :people * interval '14 hours') AS t(at)
    """,
    "ANALYZE users, diaries, mood_entries",
)
"""For PostgreSQL: many people with as many entries each, the latest on New Year of 2026."""


async def fill_diaries(url: str, *, people: int, entries: int) -> None:
    """An empty, migrated database is one of many diaries."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        for statement in FILL:
            given = {"people": people, "entries": entries}
            wanted = {name: value for name, value in given.items() if f":{name}" in statement}
            await connection.execute(text(statement), wanted)
    await engine.dispose()

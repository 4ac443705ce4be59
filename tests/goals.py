"""Goals of people, and what tests of them have in common."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.instance import Instance, Person

GOALS = "/goals"


async def ask(server: Instance, person: Person, event: str, **payload: Any) -> Any:
    """Ask something about goals over HTTP."""
    return await server.ask(person, GOALS, event, payload)


async def add_goal(server: Instance, person: Person, title: str = "Run", **about: Any) -> Any:
    return await ask(server, person, "goal:create", title=title, **about)


async def add_stages(server: Instance, person: Person, goal: Any, *titles: str) -> Any:
    """The goal with one more stage for each title."""
    for title in titles:
        goal = await ask(server, person, "stage:add", goal_id=goal["id"], title=title)
    return goal


async def complete(server: Instance, person: Person, stage: Any) -> Any:
    return await ask(server, person, "stage:complete", stage_id=stage["id"])


async def undo(server: Instance, person: Person, stage: Any) -> Any:
    return await ask(server, person, "stage:undo", stage_id=stage["id"])


def titles(goal: Any) -> list[str]:
    return [stage["title"] for stage in goal["stages"]]


FILL = (
    """
    INSERT INTO users (id, email, name, role, status, locale, time_zone, contacts, created_at)
    SELECT n, 'patient.' || n || '@example.com', 'Person ' || n, 'patient', 'active', 'en',
        'UTC', '{}', now()
    FROM generate_series(1, :people) AS n
    """,
    """
    INSERT INTO goals (user_id, title, description, created_at, archived_at)
    SELECT 1 + n % :people, 'Run ' || n, '', now(), CASE WHEN n % 4 = 0 THEN now() END
    FROM generate_series(0, :goals - 1) AS n
    """,
    """
    INSERT INTO goal_stages (goal_id, place, title, weight)
    SELECT goals.id, place, 'Stage', 1 FROM goals, generate_series(1, 3) AS place
    """,
    """
    INSERT INTO goal_reminders (goal_id, times, every_days, starts_on, zone)
    SELECT id, '08:00 20:00', 1, '2026-01-01', 'UTC' FROM goals
    """,
    """
    INSERT INTO goal_firings (reminder_id, day, slot)
    SELECT id, date '2026-01-01' + n, '08:00' FROM goal_reminders, generate_series(0, 2) AS n
    """,
    """
    INSERT INTO uploads (owner_id, purpose, file_name, file_type, size, sha256, blob_key, created_at)
    SELECT user_id, 'goal', 'a.png', 'image/png', 1, '', 'blob ' || id, now() FROM goals
    """,
    """
    INSERT INTO goal_files (goal_id, upload_id)
    SELECT goals.id, uploads.id FROM goals JOIN uploads ON blob_key = 'blob ' || goals.id
    """,
    """
    INSERT INTO goal_splits (user_id, goal_id, status, digest, model, started_at)
    SELECT user_id, id, 'finished', 'digest ' || id, 'none', now() - id * interval '1 minute'
    FROM goals
    """,
    """
    INSERT INTO goal_suggestions (split_id, position, goal_id, title, state)
    SELECT id, place, goal_id, 'Rest', 'open' FROM goal_splits, generate_series(1, 2) AS place
    """,
    """
    INSERT INTO goal_feats (user_id, kind, subject_id, day, at)
    SELECT user_id, 'stage', goal_stages.id, date '2026-01-01' + place, now()
    FROM goal_stages JOIN goals ON goals.id = goal_id
    """,
    """
    INSERT INTO unlocks (user_id, achievement, ordinal, earned_at)
    SELECT id, code, 1, now() FROM users, (VALUES ('first_stage'), ('streak_3')) AS t(code)
    """,
    """
    ANALYZE users, goals, goal_stages, goal_reminders, goal_firings, uploads, goal_files,
        goal_splits, goal_suggestions, goal_feats, unlocks
    """,
)
"""For PostgreSQL: many people with as many goals each, and some of everything under these."""


async def fill_goals(url: str, *, people: int, goals: int) -> None:
    """An empty, migrated database is one of many goals."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        for statement in FILL:
            given = {"people": people, "goals": goals}
            wanted = {name: value for name, value in given.items() if f":{name}" in statement}
            await connection.execute(text(statement), wanted)
    await engine.dispose()

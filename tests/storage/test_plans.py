"""Queries of long tables go by an index: what PostgreSQL plans for them, with its own defaults.

Each noun fills its tables here, and says what it asks of them.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from storage import mood
from storage.database import Database
from storage.mood import PeriodName, Variable, VariableKind
from storage.upgrade import upgrade
from tests.backend import Backend
from tests.diaries import fill_diaries

pytestmark = pytest.mark.scaled

Ask = Callable[[AsyncSession], Awaitable[object]]

ROWS = 20_000
"""Enough for going through all of them to be the dearer way."""

SOMEBODY = 42
SPAN = (date(2025, 12, 25), date(2025, 12, 31))


class Planner:
    """Asks the database how it would answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def explain(self, ask: Ask) -> list[dict[str, Any]]:
        """The steps of every statement that is asked, in one list."""
        steps: list[dict[str, Any]] = []
        async with self._database.session(write=False) as db:
            with self._note() as asked:
                await ask(db)
            connection = await db.connection()
            for statement, parameters in asked:
                explained = await connection.exec_driver_sql(
                    f"EXPLAIN (FORMAT JSON) {statement}", parameters
                )
                plan = explained.scalar_one()
                (top,) = json.loads(plan) if isinstance(plan, str) else plan
                steps += _list_steps(top["Plan"])
        return steps

    @contextmanager
    def _note(self) -> Iterator[list[tuple[str, Any]]]:
        asked: list[tuple[str, Any]] = []

        def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
            asked.append((statement, parameters))

        engine = self._database.reader.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        yield asked
        event.remove(engine, "before_cursor_execute", note)


def _list_steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _list_steps(part)


@pytest.fixture
async def planner(fresh: Backend) -> AsyncIterator[Planner]:
    """On a migrated database of its own, so that what it counts of tables is known to no other."""
    await upgrade(fresh.url)
    database = Database(fresh.url)
    yield Planner(database)
    await database.close()


def check(asked: str, steps: list[dict[str, Any]], index: str) -> None:
    """This index is used, and no table is gone through."""
    kinds = [step["Node Type"] for step in steps]
    assert "Seq Scan" not in kinds, f"{asked}: {kinds}"
    assert index in {step.get("Index Name") for step in steps}, f"{asked}: {kinds}"


async def test_moods(fresh: Backend, planner: Planner) -> None:
    await fill_diaries(fresh.url, people=1000, entries=ROWS)
    index = "ix_mood_entries_user_id_local_date_at_id"
    calm = Variable(VariableKind.TAG, "calm")
    score = Variable(VariableKind.SCORE)
    start, end = SPAN
    asked: dict[str, Ask] = {
        "figures": lambda db: mood.get_figures(db, SOMEBODY, *SPAN),
        "days": lambda db: mood.list_days(db, SOMEBODY, *SPAN, calm, score),
        "entries": lambda db: mood.list_entries(
            db, SOMEBODY, start=None, end=None, skip=0, limit=20
        ),
        "entries of a span": lambda db: mood.list_entries(
            db, SOMEBODY, start=start, end=end, skip=20, limit=20
        ),
        "entries of a day": lambda db: mood.count_entries(db, SOMEBODY, end),
    }
    for period in PeriodName:
        asked[f"a series of {period}s"] = partial(
            mood.list_figures, user_id=SOMEBODY, start=start, end=end, period=period
        )
    for name, ask in asked.items():
        check(name, await planner.explain(ask), index)
    found = await planner.explain(lambda db: mood.get_revision(db, SOMEBODY))
    check("a revision", found, "pk_diaries")

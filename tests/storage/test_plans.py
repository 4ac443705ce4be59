"""Queries of long tables go by an index: what PostgreSQL plans for them, with its own defaults.

Each noun fills its tables here, and says what it asks of them.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from handlers.assessments.shipped import install
from run import make_runtime
from server.settings import Settings
from storage import assessments, care, goals, mood
from storage.assessments import AlertStatus
from storage.database import Database
from storage.mood import PeriodName, Variable, VariableKind
from storage.upgrade import upgrade
from tests.backend import Backend
from tests.diaries import fill_diaries
from tests.goals import fill_goals
from tests.questionnaires import fill_results

pytestmark = pytest.mark.scaled

Ask = Callable[[AsyncSession], Awaitable[object]]

ROWS = 20_000
"""Enough for going through all of them to be the dearer way."""

PEOPLE = 2000
SOMEBODY = 42
CLIENT_REF = "uq_test_results_user_id_client_ref"
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

        engines = [one.sync_engine for one in self._database.engines.values()]
        for engine in engines:
            event.listen(engine, "before_cursor_execute", note)
        yield asked
        for engine in engines:
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
        "some days": lambda db: mood.find_days(db, SOMEBODY, SPAN),
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


@pytest.fixture
async def installed(fresh: Backend, planner: Planner) -> None:
    """Many people with results, of tests as they are shipped."""
    runtime = make_runtime(Settings(_env_file=None, database_url=fresh.database_url))
    await install(runtime)
    await runtime.close()
    await fill_diaries(fresh.url, people=PEOPLE, entries=ROWS)
    await fill_results(fresh.url, people=PEOPLE, results=ROWS, alarming=2)


async def test_results(installed: None, planner: Planner) -> None:
    start, end = [datetime(2025, month, 1, tzinfo=UTC) for month in (6, 12)]
    page = {"skip": 20, "limit": 20}
    by_time, by_test = [
        f"ix_test_results_user_id_{rest}" for rest in ("created_at_id", "test_id_created_at_id")
    ]
    asked: list[tuple[Ask, str]] = [
        (
            lambda db: assessments.list_results(
                db, SOMEBODY, test_id=None, after=start, before=end, **page
            ),
            by_time,
        ),
        (
            lambda db: assessments.list_outlines(db, SOMEBODY, after=start, before=end, limit=100),
            by_time,
        ),
        (lambda db: assessments.find_first_total(db, SOMEBODY, 2, version_ids=None), by_test),
        (lambda db: assessments.find_by_ref(db, SOMEBODY, UUID(int=1)), CLIENT_REF),
    ]
    for ask, index in asked:
        steps = await planner.explain(ask)
        check_but(index, steps, index, small={"tests", "test_versions"})


async def test_alerts(installed: None, planner: Planner) -> None:
    patients = [*range(1, 6)]
    counted = await planner.explain(lambda db: assessments.count_alerts(db, patients))
    check_but("count", counted, "ix_alerts_unresolved", small=set())
    found = await planner.explain(lambda db: assessments.load_alerts(db, [7, 8]))
    check_but("load", found, "pk_alerts", small={"tests", "questions"})
    listed: list[tuple[list[int] | None, AlertStatus | None, str]] = [
        (patients, None, "ix_alerts_patient_id_id"),
        (patients, AlertStatus.OPEN, "ix_alerts_unresolved"),
        (None, None, "ix_alerts_for_admins_id"),
        (None, AlertStatus.OPEN, "ix_alerts_for_admins_id"),
    ]
    for patient_ids, status, index in listed:
        steps = await planner.explain(
            partial(
                assessments.list_alerts, patient_ids=patient_ids, status=status, skip=0, limit=20
            )
        )
        # Twenty people of two thousand are found by going through them.
        check_but(f"{index} {status}", steps, index, small={"users", "tests", "questions"})


async def test_patients(installed: None, planner: Planner) -> None:
    psychologist = PEOPLE + 1
    for sort in care.Sort:
        steps = await planner.explain(
            partial(care.list_patients, psychologist_id=psychologist, sort=sort, skip=0, limit=20)
        )
        # A hundred of two thousand people are found by going through them.
        check_but(sort, steps, "pk_relations", small={"users", "alerts", "chats"})
    patients = [*range(1, 11)]
    steps = await planner.explain(lambda db: care.find_last_moods(db, patients))
    check_but("moods", steps, "ix_mood_entries_user_id_local_date_at_id", small=set())
    steps = await planner.explain(lambda db: assessments.list_latest(db, patients))
    check_but("latest", steps, "pk_latest_results", small={"tests"})


async def test_goals(fresh: Backend, planner: Planner) -> None:
    await fill_goals(fresh.url, people=PEOPLE, goals=ROWS)
    since = datetime.now(UTC) - timedelta(hours=1)
    page = {"skip": 0, "limit": 20}
    ids = [*range(1, 21)]
    asked: list[tuple[Ask, str]] = [
        (lambda db: goals.list_goals(db, SOMEBODY, archived=False, **page), "goals_user_id_id"),
        (lambda db: goals.list_goals(db, SOMEBODY, archived=True, **page), "goals_user_id_id"),
        (lambda db: goals.count_goals(db, SOMEBODY), "goals_user_id_id"),
        (lambda db: goals.list_parts(db, ids), "goal_stages_goal_id_place"),
        (lambda db: goals.list_parts(db, ids), "goal_files_goal_id_id"),
        (lambda db: goals.list_parts(db, ids), "goal_reminders_goal_id_id"),
        (lambda db: goals.list_parts(db, ids), "goal_splits_goal_id_id"),
        (lambda db: goals.find_goal_of_stage(db, SOMEBODY, 7), "pk_goal_stages"),
        (
            lambda db: goals.list_reminders(db, SOMEBODY, goal_id=None, **page),
            "goal_reminders_goal_id_id",
        ),
        (lambda db: goals.list_reminded_goals(db, SOMEBODY), "goals_user_id_id"),
        (lambda db: goals.find_owner(db, 7), "pk_goal_reminders"),
        (lambda db: goals.count_feats(db, SOMEBODY), "goal_feats_user_id_kind_day"),
        (lambda db: goals.list_held(db, SOMEBODY), "pk_unlocks"),
        (lambda db: goals.get_last_split(db, 7), "goal_splits_goal_id_id"),
        (lambda db: goals.measure_spending(db, SOMEBODY, since), "goal_splits_user_id_started_at"),
        (
            lambda db: goals.list_earlier_titles(db, SOMEBODY, "digest 42", limit=100),
            "goal_splits_user_id_digest",
        ),
        (lambda db: goals.list_suggestions(db, 7), "pk_goal_suggestions"),
    ]
    for ask, index in asked:
        steps = await planner.explain(ask)
        check(index, steps, index if index.startswith("pk_") else f"ix_{index}")


def check_but(asked: str, steps: list[dict[str, Any]], index: str, *, small: set[str]) -> None:
    """As `check`, but tables of a few rows may be gone through."""
    read = {step.get("Relation Name") for step in steps if step["Node Type"] == "Seq Scan"}
    assert read <= small, f"{asked}: {read}"
    assert index in {step.get("Index Name") for step in steps}, asked

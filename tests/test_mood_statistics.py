"""What diaries come to: series, comparisons, correlations, and who may ask for them."""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from storage.accounts import Role
from storage.audit import AuditEntry
from tests.diaries import MOOD, Diary, days_ago, list_read, start_diary
from tests.instance import Instance, Person
from tests.talks import refusal

DAY = timedelta(days=1)
MONDAY = date(2026, 3, 2)
MARCH = {"from": "2026-03-01", "to": "2026-03-31"}
NOTHING = {"n": 0, "min": None, "max": None, "mean": None}
ASKED: dict[str, dict[str, Any]] = {
    "series:get": {**MARCH, "period": "day"},
    "compare:get": {"a": MARCH, "b": {"from": "2026-01-01", "to": "2026-01-31"}},
    "correlation:get": {**MARCH, "x": "score", "y": "count"},
}


def span(start: date, end: date) -> dict[str, str]:
    return {"from": f"{start}", "to": f"{end}"}


async def get_buckets(diary: Diary, start: date, end: date, period: str) -> list[Any]:
    answer = await diary.ask("series:get", **span(start, end), period=period)
    assert answer["period"] == period
    buckets: list[Any] = answer["buckets"]
    return buckets


def find_odd_days(zone: str, year: int) -> Iterator[tuple[date, int]]:
    """The days of a year that do not have 24 hours."""
    place = ZoneInfo(zone)
    for number in range(365):
        day = date(year, 1, 1) + number * DAY
        ends = [datetime(d.year, d.month, d.day, tzinfo=place) for d in (day, day + DAY)]
        hours = (ends[1].astimezone(UTC) - ends[0].astimezone(UTC)) // timedelta(hours=1)
        if hours != 24:
            yield day, hours


async def test_a_series_has_every_bucket(server: Instance) -> None:
    diary = await start_diary(server)
    for day, score in ((0, 3), (0, 8), (0, 8), (2, 5), (8, 10)):
        await diary.add_on(MONDAY + day * DAY, score)

    days = await get_buckets(diary, MONDAY, MONDAY + 3 * DAY, "day")
    assert [bucket["start"] for bucket in days] == [f"{MONDAY + n * DAY}" for n in range(4)]
    assert all(bucket["start"] == bucket["end"] for bucket in days)
    figures = [{key: bucket[key] for key in NOTHING} for bucket in days]
    assert figures == [
        {"n": 3, "min": 3, "max": 8, "mean": 19 / 3},
        NOTHING,
        {"n": 1, "min": 5, "max": 5, "mean": 5},
        NOTHING,
    ]
    # From a Tuesday to a Tuesday: two weeks are touched, one entry is left out of the first.
    weeks = await get_buckets(diary, MONDAY + DAY, MONDAY + 8 * DAY, "week")
    assert weeks == [
        {"start": "2026-03-02", "end": "2026-03-08", "n": 1, "min": 5, "max": 5, "mean": 5},
        {"start": "2026-03-09", "end": "2026-03-15", "n": 1, "min": 10, "max": 10, "mean": 10},
    ]
    months = await get_buckets(diary, date(2026, 2, 28), date(2026, 4, 1), "month")
    assert months == [
        {"start": "2026-02-01", "end": "2026-02-28", **NOTHING},
        {"start": "2026-03-01", "end": "2026-03-31", "n": 5, "min": 3, "max": 10, "mean": 34 / 5},
        {"start": "2026-04-01", "end": "2026-04-30", **NOTHING},
    ]


async def test_the_mean_is_that_of_entries_not_of_days(server: Instance) -> None:
    diary = await start_diary(server)
    for day, score in ((0, 1), (1, 10), (1, 10), (1, 10)):
        await diary.add_on(MONDAY + day * DAY, score)
    (week,) = await get_buckets(diary, MONDAY, MONDAY + 6 * DAY, "week")
    assert week["mean"] == 31 / 4


async def test_weeks_begin_on_monday_over_the_year(server: Instance) -> None:
    diary = await start_diary(server)
    for day in ("2024-12-29", "2024-12-30", "2025-01-05", "2025-01-06"):
        await diary.add_on(date.fromisoformat(day))
    weeks = await get_buckets(diary, date(2024, 12, 29), date(2025, 1, 6), "week")
    assert [(week["start"], week["n"]) for week in weeks] == [
        ("2024-12-23", 1),
        ("2024-12-30", 2),
        ("2025-01-06", 1),
    ]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin"])
async def test_days_of_23_and_25_hours_are_days(server: Instance, zone: str) -> None:
    diary = await start_diary(server, zone=zone)
    odd = list(find_odd_days(zone, 2025))
    assert [hours for _, hours in odd] == [23, 25]
    for day, hours in odd:
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for number in range(-1, hours + 1):
            at = midnight + number * timedelta(hours=1) + timedelta(minutes=1)
            await diary.add(at=at.isoformat())

        around = await get_buckets(diary, day - DAY, day + DAY, "day")

        assert [bucket["n"] for bucket in around] == [1, hours, 1]


async def test_series_are_bounded(server: Instance) -> None:
    diary = await start_diary(server)
    first = date(2020, 1, 1)
    assert len(await get_buckets(diary, first, first + 399 * DAY, "day")) == 400
    assert len(await get_buckets(diary, date(1990, 1, 31), date(2023, 4, 1), "month")) == 400
    for end, period in (
        (first + 400 * DAY, "day"),
        (first + 2800 * DAY, "week"),
        (date(2199, 12, 31), "month"),
        (first - DAY, "day"),
        (first, "year"),
    ):
        assert await refusal(get_buckets(diary, first, end, period)) == "invalid"
    for day in ("2026-3-1", "20260301", "2026-W10-1", "2026-02-30", "0001-01-01", 20260301, None):
        asking = diary.ask("series:get", **{"from": day, "to": "2026-03-01", "period": "day"})
        assert await refusal(asking) == "invalid"


async def test_periods_of_equal_length_are_compared(server: Instance) -> None:
    diary = await start_diary(server)
    for day, score in ((0, 4), (6, 5), (7, 9), (13, 8), (13, 10), (14, 1)):
        await diary.add_on(MONDAY + day * DAY, score)
    weeks = [span(MONDAY + n * DAY, MONDAY + (n + 6) * DAY) for n in (0, 7, -7)]

    answer = await diary.ask("compare:get", a=weeks[0], b=weeks[1])

    assert answer == {
        "a": {"period": weeks[0], "n": 2, "min": 4, "max": 5, "mean": 4.5},
        "b": {"period": weeks[1], "n": 3, "min": 8, "max": 10, "mean": 9},
        "difference": 4.5,
    }
    empty = await diary.ask("compare:get", a=weeks[0], b=weeks[2])
    assert empty["b"] == {"period": weeks[2], **NOTHING}
    assert empty["difference"] is None
    longer = span(MONDAY, MONDAY + 7 * DAY)
    backwards = span(MONDAY, MONDAY - DAY)
    ages = span(date(1990, 1, 1), date(2026, 1, 1))
    for a, b in ((weeks[0], longer), (backwards, backwards), (ages, ages)):
        assert await refusal(diary.ask("compare:get", a=a, b=b)) == "invalid"


async def correlate(diary: Diary, x: str, y: str, **wanted: Any) -> Any:
    return await diary.ask("correlation:get", x=x, y=y, **MARCH, **wanted)


async def test_daily_numbers_are_correlated(server: Instance) -> None:
    diary = await start_diary(server)
    first = date(2026, 3, 1)
    chance = random.Random(1)
    for number in range(20):
        ran = number % 3 == 0
        labels: dict[str, Any] = {"tags": ["calm"]} if ran else {"tags": ["calmer", "work"]}
        activities = ["running"] if ran else []
        for _ in range(1 + number % 2):
            score = 8 + chance.randint(0, 2) if ran else 2 + chance.randint(0, 3)
            await diary.add_on(first + number * DAY, score, activities=activities, **labels)

    found = await correlate(diary, "activity:running", "score")
    assert (found["x"], found["y"], found["lag"], found["n"]) == (
        "activity:running",
        "score",
        0,
        20,
    )
    assert 0.7 < found["rho"] <= 1
    assert 0 <= found["p"] < 0.001
    same = await correlate(diary, "activity:running", "tag:calm")
    assert (same["n"], same["rho"], same["p"]) == (20, 1, 0)
    opposite = await correlate(diary, "activity:running", "tag:work")
    assert opposite["rho"] == -1
    # Whoever ran, ran again three days later.
    again = await correlate(diary, "activity:running", "activity:running", lag=3)
    assert (again["n"], again["rho"]) == (17, 1)
    later = await correlate(diary, "activity:running", "score", lag=1)
    assert (later["n"], later["lag"]) == (19, 1)
    assert later["rho"] < 0
    for x, y in (("score", "tag:nobody's"), ("activity:calm", "count")):
        assert await correlate(diary, x, y) == {
            "x": x,
            "y": y,
            "lag": 0,
            "n": 20,
            "rho": None,
            "p": None,
        }
    assert (await correlate(diary, "score", "count", lag=14))["n"] == 6
    assert (await correlate(diary, "score", "count", lag=14))["rho"] is None


async def test_what_is_no_variable_is_refused(server: Instance) -> None:
    diary = await start_diary(server)
    wrong = ("", "scores", "Score", "tag", "tag:", "tags:calm", "activity:a\nb", f"tag:{'x' * 41}")
    for variable in wrong:
        assert await refusal(correlate(diary, variable, "score")) == "invalid"
        assert await refusal(correlate(diary, "score", variable)) == "invalid"
    for lag in (-1, 15, 0.5):
        assert await refusal(correlate(diary, "score", "count", lag=lag)) == "invalid"
    ages = span(date(2020, 1, 1), date(2025, 1, 1))
    asking = diary.ask("correlation:get", x="score", y="count", **ages)
    assert await refusal(asking) == "invalid"
    odd = await correlate(diary, "tag:a:b' OR 1=1", "activity:%_\\")
    assert odd["n"] == 0


async def ask_all(server: Instance, person: Person, **whose: int) -> list[Any]:
    return [
        await server.ask(person, MOOD, event, {**payload, **whose})
        for event, payload in ASKED.items()
    ]


async def test_a_patients_statistics_are_for_those_in_charge(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    stranger, other = await server.add_person(Role.PSYCHOLOGIST), await server.add_person()
    admin = await server.add_person(Role.ADMIN)
    diary = await start_diary(server, patient)
    for number in range(12):
        await diary.add_on(MONDAY + number * DAY, 1 + number % 9)
    whose = {"patient_id": patient.id}

    own = await ask_all(server, patient)
    assert own[0]["buckets"][1]["n"] == 1
    assert await ask_all(server, psychologist, **whose) == own
    assert await ask_all(server, patient, **whose) == own
    assert await ask_all(server, psychologist) != own
    await server.ask(patient, "/care", "relation:end", {"user_id": psychologist.id})
    for person, code in (
        (psychologist, "not_found"),
        (stranger, "not_found"),
        (other, "not_found"),
        (admin, "forbidden"),
    ):
        for event, payload in ASKED.items():
            asking = server.ask(person, MOOD, event, {**payload, **whose})
            assert await refusal(asking) == code
    unknown = server.ask(stranger, MOOD, "series:get", {**ASKED["series:get"], "patient_id": 10**9})
    assert await refusal(unknown) == "not_found"


async def list_readings(server: Instance) -> list[tuple[Any, ...]]:
    async with server.runtime.database.session(write=False) as db:
        rows = await db.scalars(
            select(AuditEntry).where(AuditEntry.action == "mood.read").order_by(AuditEntry.id)
        )
        return [(row.actor_id, row.subject_id, row.detail) for row in rows]


async def test_every_reading_by_somebody_else_is_on_record(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    stranger = await server.add_person(Role.PSYCHOLOGIST)
    diary = await start_diary(server, patient)
    await diary.add()
    await diary.list()
    await ask_all(server, patient, patient_id=patient.id)
    await ask_all(server, psychologist)
    assert await refusal(list_read(server, stranger, diary)) == "not_found"
    assert await list_readings(server) == []

    await list_read(server, psychologist, diary)
    for _ in range(2):  # also what is remembered
        await ask_all(server, psychologist, patient_id=patient.id)

    events = ["entry:list", *ASKED, *ASKED]
    assert await list_readings(server) == [
        (psychologist.id, patient.id, {"event": event}) for event in events
    ]


async def test_what_is_remembered_is_never_old(server: Instance) -> None:
    diary = await start_diary(server)
    day = days_ago(2)

    async def look() -> int:
        answer = await diary.ask("series:get", **span(day, day), period="day")
        total: float = (answer["buckets"][0]["mean"] or 0) * answer["buckets"][0]["n"]
        return round(total)

    assert await look() == 0
    entry = await diary.add_on(day, 4)
    assert [await look(), await look()] == [4, 4]
    await diary.add_on(day, 3)
    assert await look() == 7
    await diary.ask("entry:update", entry_id=entry["id"], score=9)
    assert await look() == 12
    moved = f"{day - DAY}T12:00:00Z"
    await diary.ask("entry:update", entry_id=entry["id"], at=moved)
    assert await look() == 3
    await diary.ask("entry:delete", entry_id=entry["id"])
    assert await look() == 3


async def test_no_reading_is_older_than_what_was_acknowledged(
    instances: tuple[Instance, Instance],
) -> None:
    diary = await start_diary(instances[0])
    day = days_ago(2)
    done, count = 0, 40

    async def write() -> None:
        nonlocal done
        for _ in range(count):
            await diary.add_on(day)
            done += 1

    async def read(server: Instance) -> int:
        while True:
            before = done
            asked = {**span(day, day), "period": "day"}
            answer = await server.ask(diary.person, MOOD, "series:get", asked)
            n: int = answer["buckets"][0]["n"]
            assert n >= before
            if before == count:
                return n

    *found, _ = await asyncio.gather(*(read(one) for one in instances * 2), write())
    assert found == [count] * 4

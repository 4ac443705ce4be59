"""Achievements: earned with what earns them, lost when it is undone, and how many hold them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.goals import rewards
from handlers.goals.awards import AWARDS, Tally, find_best_streak
from server import texts
from storage.goals import Share
from tests.devices import register
from tests.goals import GOALS, add_goal, add_stages, ask, complete, undo
from tests.instance import Instance, Person
from tests.stand_ins.waiting import eventually, set_clock

DAYS = st.sets(st.dates(date(2026, 1, 1), date(2026, 3, 31)), max_size=60).map(sorted)


def streak_by_search(days: list[date]) -> int:
    """As long as there is a run of that length."""
    length = 0
    while any(all(start + timedelta(days=n) in days for n in range(length + 1)) for start in days):
        length += 1
    return length


@given(DAYS)
def test_a_streak_is_the_longest_run_of_days(days: list[date]) -> None:
    assert find_best_streak(days) == streak_by_search(days)


@given(DAYS, st.data())
def test_a_day_more_never_shortens_a_streak(days: list[date], data: st.DataObject) -> None:
    more = data.draw(st.dates(date(2026, 1, 1), date(2026, 3, 31)))
    best = find_best_streak(days)
    assert best <= find_best_streak(sorted({*days, more})) <= 2 * best + 1


@given(st.integers(0, 500), st.integers(0, 60), st.integers(0, 500), st.integers(0, 60))
def test_more_never_earns_less(stages: int, goals: int, best_day: int, streak: int) -> None:
    tally = Tally(stages, goals, best_day, streak)
    more = Tally(stages + 1, goals + 1, best_day + 1, streak + 1)
    for award in AWARDS:
        assert award.count(tally) <= award.count(more)
        assert 0 <= award.measure_progress(tally) <= award.threshold
        if not award.repeats:
            assert (award.count(tally) == 1) == (award.measure_progress(tally) == award.threshold)


def test_every_achievement_has_its_words() -> None:
    for locale in texts.LOCALES:
        for code in ("hidden", *(award.code for award in AWARDS)):
            for part in ("title", "text"):
                assert texts.get(f"achievement.{code}_{part}", locale)


def test_a_percentage_of_few_people_is_not_told() -> None:
    def share(holders: int, people: int) -> Share:
        now = datetime.now(UTC)
        return Share(achievement="a", holders=holders, people=people, computed_at=now)

    assert rewards.find_percent(None) is None
    assert rewards.find_percent(share(19, 19)) is None
    assert rewards.find_percent(share(1, 20)) == 5.0
    assert rewards.find_percent(share(1, 30)) == 3.3


async def look(server: Instance, person: Person) -> dict[str, Any]:
    listed = await ask(server, person, "achievement:list")
    return {one["code"]: one for one in listed["items"]}


async def test_what_a_stage_earns_is_lost_when_it_is_undone(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), "A", "B")
    device = await server.connect(person, GOALS, "/notifications")
    before = await look(server, person)
    assert before["first_stage"] == {
        "code": "first_stage",
        "title": "The first step",
        "description": "Complete a stage of a goal.",
        "icon": "footprint",
        "hidden": False,
        "repeats": False,
        "target": 1,
        "progress": 0,
        "count": 0,
        "earned_at": None,
        "percent": None,
    }

    await complete(server, person, goal["stages"][0])
    earned = (await device.wait_for("achievement:earned", namespace=GOALS)).data
    note = (await device.wait_for("notification:created", namespace="/notifications")).data
    during = await look(server, person)
    await undo(server, person, goal["stages"][0])
    revoked = (await device.wait_for("achievement:revoked", namespace=GOALS)).data
    read = (await device.wait_for("notification:read", namespace="/notifications")).data

    assert earned == during["first_stage"]
    assert earned == {
        **before["first_stage"],
        "progress": 1,
        "count": 1,
        "earned_at": earned["earned_at"],
    }
    assert (note["type"], note["title"]) == ("achievement", "Earned: The first step")
    assert note["data"] == {"code": "first_stage"}
    assert during["ten_stages"]["progress"] == 1
    assert revoked == before["first_stage"]
    assert read == {"notification_ids": [note["id"]], "total": 0}
    assert await look(server, person) == before


async def test_a_finished_goal_counts_until_it_is_unfinished(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), "A")
    await complete(server, person, goal["stages"][0])
    assert (await look(server, person))["first_goal"]["count"] == 1

    await add_stages(server, person, goal, "B")
    assert (await look(server, person))["first_goal"]["count"] == 0
    await complete(server, person, goal["stages"][0])
    assert (await look(server, person))["first_goal"]["count"] == 0
    goal = await ask(server, person, "goal:get", goal_id=goal["id"])
    await ask(server, person, "stage:delete", stage_id=goal["stages"][1]["id"])
    assert (await look(server, person))["first_goal"]["count"] == 1

    await ask(server, person, "goal:delete", goal_id=goal["id"])
    held = await look(server, person)
    assert (held["first_goal"]["count"], held["first_stage"]["count"]) == (1, 1)


async def test_one_that_repeats_is_earned_again_and_lost_again(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_stages(
        server, person, await add_goal(server, person), *(f"{n}" for n in range(20))
    )
    for stage in goal["stages"]:
        await complete(server, person, stage)
    assert (await look(server, person))["ten_stages"]["count"] == 2
    await undo(server, person, goal["stages"][0])
    (ten,) = [one for code, one in (await look(server, person)).items() if code == "ten_stages"]
    assert (ten["count"], ten["progress"], ten["target"]) == (1, 9, 10)


async def test_a_hidden_one_says_nothing_before_it_is_earned(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), *"ABCDE")
    secret = (await look(server, person))["five_in_a_day"]
    assert (secret["title"], secret["icon"], secret["progress"]) == ("A secret", "secret", None)

    for stage in goal["stages"]:
        await complete(server, person, stage)

    known = (await look(server, person))["five_in_a_day"]
    assert (known["title"], known["icon"], known["count"]) == ("A great day", "lightning", 1)


async def test_days_in_a_row_are_the_persons_own_days(server: Instance) -> None:
    person = await server.add_person()
    zone = {"time_zone": "Pacific/Kiritimati"}
    await server.ask(person, "/account", "profile:update", zone)
    goal = await add_stages(server, person, await add_goal(server, person), *"ABCD")

    for day, stage in zip((0, 1, 3), goal["stages"], strict=False):
        await set_clock(server, ahead=timedelta(days=day))
        await complete(server, person, stage)
    person = await server.sign_in(person.email)
    assert (await look(server, person))["streak_3"]["progress"] == 2
    await set_clock(server, ahead=timedelta(days=2))
    await complete(server, person, goal["stages"][3])
    held = await look(server, person)
    assert (held["streak_3"]["count"], held["streak_7"]["progress"]) == (1, 4)
    await undo(server, person, goal["stages"][1])
    assert (await look(server, person))["streak_3"]["count"] == 0
    await set_clock(server, ahead=timedelta(0))


async def test_words_are_in_the_persons_language(server: Instance) -> None:
    person = await server.add_person()
    await server.ask(person, "/account", "profile:update", {"locale": "ru"})
    person = await server.sign_in(person.email)
    goal = await add_stages(server, person, await add_goal(server, person), "A")
    device = await server.connect(person, GOALS)

    await complete(server, person, goal["stages"][0])

    earned = (await device.wait_for("achievement:earned", namespace=GOALS)).data
    assert earned["title"] == "Первый шаг"
    assert (await look(server, person))["first_stage"] == earned


async def test_percentages_are_counted_once_a_day(
    server: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewards, "FEW", 4)
    people = [await server.add_person() for _ in range(4)]
    for person in people[:1]:
        goal = await add_stages(server, person, await add_goal(server, person), "A")
        await complete(server, person, goal["stages"][0])
    assert (await ask(server, people[1], "achievement:list"))["computed_at"] is None

    await set_clock(server, ahead=timedelta(minutes=6))

    async def is_counted() -> Any:
        listed = await ask(server, people[1], "achievement:list")
        return listed["computed_at"] and listed

    listed = await eventually(is_counted, "a count")
    percents = {one["code"]: one["percent"] for one in listed["items"]}
    assert (percents["first_stage"], percents["ten_stages"]) == (25.0, 0.0)
    goal = await add_stages(server, people[1], await add_goal(server, people[1]), "A")
    await complete(server, people[1], goal["stages"][0])
    assert (await look(server, people[1]))["first_stage"]["percent"] == 25.0


async def test_an_achievement_is_pushed(server: Instance) -> None:
    person = await server.add_person()
    await register(server, person, "phone")
    goal = await add_stages(server, person, await add_goal(server, person), "A")
    await complete(server, person, goal["stages"][0])
    await set_clock(server, ahead=timedelta(seconds=6))

    async def is_sent() -> Any:
        folder = server.runtime.settings.data_dir / "outbox"
        return "The first step" in "".join(path.read_text() for path in folder.glob("*push*"))

    await eventually(is_sent, "a push")

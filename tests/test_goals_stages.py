"""Stages: their order, their weight, done and undone, whoever else does the same at once."""

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.goals.rules import measure_progress, move_behind
from tests.client import Refused
from tests.goals import GOALS, add_goal, add_stages, ask, complete, titles, undo
from tests.instance import Instance
from tests.talks import refusal

STAGES = st.lists(st.tuples(st.integers(1, 100), st.booleans()), max_size=50)


@given(STAGES)
def test_progress_is_the_share_of_what_is_done(stages: list[tuple[int, bool]]) -> None:
    progress = measure_progress(stages)

    assert (progress == 100) == (bool(stages) and all(done for _, done in stages))
    if not any(done for _, done in stages):
        assert progress == 0
    total = sum(weight for weight, _ in stages)
    done = sum(weight for weight, is_done in stages if is_done)
    assert progress * total <= 100 * done < (progress + 1) * max(total, 1)


@given(STAGES, st.integers(0, 49))
def test_progress_never_falls_when_one_more_is_done(
    stages: list[tuple[int, bool]], place: int
) -> None:
    if not stages:
        return
    place %= len(stages)
    more = [(weight, done or n == place) for n, (weight, done) in enumerate(stages)]
    assert measure_progress(more) >= measure_progress(stages)


@given(st.lists(st.integers(1, 999), min_size=1, max_size=20, unique=True), st.data())
def test_a_move_moves_one_and_leaves_the_order_of_the_others(
    ids: list[int], data: st.DataObject
) -> None:
    moved = data.draw(st.sampled_from(ids))
    before = data.draw(st.sampled_from([None, *(one for one in ids if one != moved)]))

    after = move_behind(ids, moved, before)

    assert [one for one in after if one != moved] == [one for one in ids if one != moved]
    place = after.index(moved)
    assert (after[place - 1] if place else None) == before


async def test_progress_follows_the_weight_of_what_is_done(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_goal(server, person)
    for title, weight in (("A", 1), ("B", 2)):
        about = {"goal_id": goal["id"], "title": title, "weight": weight}
        goal = await ask(server, person, "stage:add", **about)
    first, second = goal["stages"]

    goal = await complete(server, person, first)
    assert (goal["progress"], goal["stages"][0]["completed_at"] is None) == (33, False)
    assert await complete(server, person, first) == goal
    goal = await complete(server, person, second)
    assert goal["progress"] == 100
    goal = await ask(server, person, "stage:update", stage_id=first["id"], weight=8, title="A2")
    assert (goal["progress"], titles(goal)) == (100, ["A2", "B"])
    goal = await undo(server, person, second)
    assert (goal["progress"], goal["stages"][1]) == (80, second)
    assert await undo(server, person, second) == goal
    goal = await ask(server, person, "stage:delete", stage_id=second["id"])
    assert (goal["progress"], titles(goal)) == (100, ["A2"])
    goal = await ask(server, person, "stage:delete", stage_id=first["id"])
    assert (goal["progress"], goal["stages"]) == (0, [])
    assert await ask(server, person, "goal:get", goal_id=goal["id"]) == goal


async def test_stages_are_put_where_they_are_wanted(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), "A", "B", "C")
    ids = {stage["title"]: stage["id"] for stage in goal["stages"]}
    other = await add_stages(server, person, await add_goal(server, person), "Elsewhere")

    async def move(title: str, behind: int | None) -> Any:
        about = {"stage_id": ids[title], "after_stage_id": behind}
        return await ask(server, person, "stage:reorder", **about)

    assert titles(await move("C", None)) == ["C", "A", "B"]
    assert titles(await move("C", ids["A"])) == ["A", "C", "B"]
    assert titles(await move("A", ids["B"])) == ["C", "B", "A"]
    assert titles(await move("A", ids["A"])) == ["C", "B", "A"]
    about = {"goal_id": goal["id"], "title": "D", "after_stage_id": ids["C"]}
    assert titles(await ask(server, person, "stage:add", **about)) == ["C", "D", "B", "A"]
    assert await refusal(move("A", 999_999)) == "not_found"
    assert await refusal(move("A", other["stages"][0]["id"])) == "not_found"
    again = await ask(server, person, "goal:get", goal_id=goal["id"])
    assert titles(again) == ["C", "D", "B", "A"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_two_devices_that_reorder_at_once_leave_an_order(server: Instance, seed: int) -> None:
    person = await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), *"ABCDEF")
    devices = [await server.connect(person, GOALS) for _ in range(2)]
    chance = random.Random(seed)
    ids = [stage["id"] for stage in goal["stages"]]

    async def move(device: Any) -> None:
        moved, behind = chance.sample([*ids, None], 2)
        if moved is None:
            moved, behind = behind, moved
        about = {"stage_id": moved, "after_stage_id": behind}
        await device.ask("stage:reorder", about, namespace=GOALS)

    await asyncio.gather(*(move(device) for _ in range(10) for device in devices))

    goal = await ask(server, person, "goal:get", goal_id=goal["id"])
    assert sorted(stage["id"] for stage in goal["stages"]) == sorted(ids)
    for device in devices:
        await device.wait_for("goal:updated", namespace=GOALS, count=20)
        assert device.pushes(GOALS)[-1].data == goal


async def test_what_is_moved_on_two_devices_is_both_moved(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), *"ABCD")
    a, b, c, d = [stage["id"] for stage in goal["stages"]]
    moves = [{"stage_id": a, "after_stage_id": b}, {"stage_id": c, "after_stage_id": d}]

    await asyncio.gather(*(ask(server, person, "stage:reorder", **move) for move in moves))

    goal = await ask(server, person, "goal:get", goal_id=goal["id"])
    assert titles(goal) == ["B", "A", "D", "C"]


async def test_stages_of_several_goals_completed_at_once_all_count(server: Instance) -> None:
    person = await server.add_person()
    stages = []
    for _ in range(3):
        goal = await add_stages(server, person, await add_goal(server, person), *"ABCD")
        stages += goal["stages"]

    async def complete_at_last(stage: Any) -> None:
        # So many write at once that one may wait in vain for its turn.
        while True:
            try:
                await complete(server, person, stage)
            except Refused as refused:
                assert refused.code == "unavailable"  # noqa: PT017 - anything else is wrong
            else:
                return

    # Each of them twice, as two devices would.
    await asyncio.gather(*map(complete_at_last, stages * 2))

    listed = await ask(server, person, "goal:list")
    assert [goal["progress"] for goal in listed["items"]] == [100, 100, 100]
    achievements = (await ask(server, person, "achievement:list"))["items"]
    counts = {one["code"]: (one["count"], one["progress"]) for one in achievements}
    assert counts["ten_stages"] == (1, 2)
    assert counts["first_goal"] == (1, 1)
    assert counts["five_goals"] == (0, 3)


async def test_a_goal_has_so_many_stages_at_most(
    server: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.goals.stages.MAX_STAGES", 2)
    person = await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), "A", "B")

    adding = ask(server, person, "stage:add", goal_id=goal["id"], title="C")
    assert await refusal(adding) == "quota_exceeded"


@pytest.mark.parametrize("wrong", [{"weight": 0}, {"weight": 101}, {"title": " "}])
async def test_what_is_no_stage_is_refused(server: Instance, wrong: dict[str, Any]) -> None:
    person = await server.add_person()
    goal = await add_goal(server, person)
    about = {"goal_id": goal["id"], "title": "A", **wrong}
    assert await refusal(ask(server, person, "stage:add", **about)) == "invalid"

"""Goals that a model splits: told while it is writing, decided on by the person, paid for once."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from server.context import Context
from storage import goals as kept
from tests.client import Client, Refused
from tests.conftest import StartInstance
from tests.goals import GOALS, add_goal, add_stages, ask, titles
from tests.instance import Instance, Person
from tests.stand_ins.openai import MODEL, READ, WRITTEN, ModelStandIn, stages
from tests.stand_ins.waiting import eventually, set_clock
from tests.talks import refusal


@pytest.fixture
async def server(start: StartInstance, model: ModelStandIn) -> Instance:
    model.answers.append(stages("Buy shoes", "Run 1 km", "Run 5 km"))
    return await start(**model.settings)


@pytest.fixture
async def person(server: Instance) -> Person:
    return await server.add_person()


@pytest.fixture
async def goal(server: Instance, person: Person) -> Any:
    return await add_goal(server, person, "Run 5 km", description="By summer")


async def split(server: Instance, person: Person, goal: Any) -> Any:
    """Ask for stages, and wait for the end: what the goal's split is then."""
    assert await ask(server, person, "ai:split", goal_id=goal["id"]) == {"status": "generating"}
    return await wait_for_end(server, person, goal)


async def wait_for_end(server: Instance, person: Person, goal: Any) -> Any:
    async def has_ended() -> Any:
        found = (await ask(server, person, "goal:get", goal_id=goal["id"]))["split"]
        return None if found["status"] == "generating" else found

    return await eventually(has_ended, "the end of a split")


def suggested(found: Any) -> list[str]:
    return [suggestion["title"] for suggestion in found["suggestions"]]


def told_titles(device: Client) -> list[str]:
    told = device.pushes(GOALS)
    return [one.data["suggestion"]["title"] for one in told if one.event == "stage:suggested"]


async def test_each_stage_is_told_while_the_model_goes_on_writing(
    server: Instance, person: Person, goal: Any, model: ModelStandIn
) -> None:
    model.slow = True
    device, second = [await server.connect(person, GOALS) for _ in range(2)]
    about = {"goal_id": goal["id"]}
    answer = await device.ask("ai:split", about, namespace=GOALS)
    assert answer == {"status": "generating"}
    begun = await second.wait_for("goal:updated", namespace=GOALS)
    assert begun.data["split"]["status"] == "generating"

    model.let_go()
    for number, title in enumerate(["Buy shoes", "Run 1 km", "Run 5 km"], 1):
        model.let_go()
        told = await second.wait_for("stage:suggested", namespace=GOALS, count=number)
        assert (told.data["goal_id"], told.data["suggestion"]["title"]) == (goal["id"], title)
        # Nothing is locked meanwhile, and the suggestions so far can be fetched.
        found = await device.ask("goal:update", {**about, "title": title}, namespace=GOALS)
        assert len(found["split"]["suggestions"]) == number
        assert found["stages"] == []
    model.let_go()
    end = await second.wait_for("ai:finished", namespace=GOALS)

    found = (await ask(server, person, "goal:get", **about))["split"]
    assert end.data == {"goal_id": goal["id"], "split": found}
    assert (found["status"], found["reason"], found["model"]) == ("finished", None, MODEL)
    assert suggested(found) == ["Buy shoes", "Run 1 km", "Run 5 km"]
    async with Context.open(server.runtime) as ctx:
        row = await kept.get_last_split(ctx.db, goal["id"])
        assert row is not None
        assert (row.tokens, row.model, row.attempts) == (READ + WRITTEN, MODEL, 1)
        said = "".join(model.answers[0].pieces)
        assert row.answer == hashlib.sha256(said.encode()).hexdigest()
    (question,) = model.questions
    assert '"By summer"' in question["messages"][1]["content"]


async def test_a_suggestion_counts_once_it_is_accepted(
    server: Instance, person: Person, goal: Any
) -> None:
    first, second, third = (await split(server, person, goal))["suggestions"]
    device = await server.connect(person, GOALS)

    await ask(server, person, "suggestion:accept", suggestion_id=second["id"], weight=3)
    accepted = await ask(
        server, person, "suggestion:accept", suggestion_id=first["id"], title="Buy good shoes"
    )
    refused = await ask(server, person, "suggestion:refuse", suggestion_id=third["id"])

    assert titles(accepted) == ["Run 1 km", "Buy good shoes"]
    assert [stage["weight"] for stage in accepted["stages"]] == [3, 1]
    assert suggested(accepted["split"]) == ["Run 5 km"]
    assert refused == {**accepted, "split": {**accepted["split"], "suggestions": []}}
    for one in (first, third):
        for verb in ("accept", "refuse"):
            asking = ask(server, person, f"suggestion:{verb}", suggestion_id=one["id"])
            assert await refusal(asking) == "conflict"
    last = await device.wait_for("goal:updated", namespace=GOALS, count=3)
    assert last.data == refused


async def test_what_is_not_ones_own_is_not_found(
    server: Instance, person: Person, goal: Any
) -> None:
    found = await split(server, person, goal)
    stranger = await server.add_person()
    suggestion = {"suggestion_id": found["suggestions"][0]["id"]}
    for event, about in (
        ("ai:split", {"goal_id": goal["id"]}),
        ("ai:cancel", {"goal_id": goal["id"]}),
        ("suggestion:accept", suggestion),
        ("suggestion:refuse", suggestion),
    ):
        assert await refusal(ask(server, stranger, event, **about)) == "not_found"
    for unknown in (1, 99, 2**53 - 1):
        asking = ask(server, person, "suggestion:accept", suggestion_id=unknown)
        assert await refusal(asking) == "not_found"
    other = await add_goal(server, person)
    assert await refusal(ask(server, person, "ai:cancel", goal_id=other["id"])) == "not_found"


async def test_a_goal_is_split_once_at_a_time_and_not_in_the_archive(
    server: Instance, person: Person, goal: Any, model: ModelStandIn
) -> None:
    model.slow = True
    about = {"goal_id": goal["id"]}
    asked = [ask(server, person, "ai:split", **about) for _ in range(5)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer.code for answer in answers if isinstance(answer, Refused)]
    assert refused == ["conflict"] * 4
    model.let_go(10)
    await wait_for_end(server, person, goal)
    await ask(server, person, "goal:archive", **about)
    assert await refusal(ask(server, person, "ai:split", **about)) == "conflict"


async def test_a_goal_full_of_stages_is_not_split(
    server: Instance, person: Person, goal: Any, model: ModelStandIn
) -> None:
    model.answers[0] = stages(*(f"Suggestion {n}" for n in range(5)))
    await add_stages(server, person, goal, *(f"Stage {n}" for n in range(48)))
    found = await split(server, person, goal)
    assert suggested(found) == ["Suggestion 0", "Suggestion 1"]
    for suggestion in found["suggestions"]:
        await ask(server, person, "suggestion:accept", suggestion_id=suggestion["id"])
    asking = ask(server, person, "ai:split", goal_id=goal["id"])
    assert await refusal(asking) == "quota_exceeded"


async def test_canceling_stops_the_model_and_keeps_what_it_has_suggested(
    server: Instance, person: Person, goal: Any, model: ModelStandIn
) -> None:
    model.slow = True
    device = await server.connect(person, GOALS)
    about = {"goal_id": goal["id"]}
    await ask(server, person, "ai:split", **about)
    model.let_go(2)
    await device.wait_for("stage:suggested", namespace=GOALS)

    canceled = await ask(server, person, "ai:cancel", **about)

    await model.wait_until_left()
    assert (canceled["status"], suggested(canceled)) == ("canceled", ["Buy shoes"])
    end = await device.wait_for("ai:finished", namespace=GOALS)
    assert end.data == {"goal_id": goal["id"], "split": canceled}
    assert await ask(server, person, "ai:cancel", **about) == canceled, "twice is once"
    accepted = await ask(
        server, person, "suggestion:accept", suggestion_id=canceled["suggestions"][0]["id"]
    )
    assert titles(accepted) == ["Buy shoes"]

    async def is_paid_for() -> bool:
        async with Context.open(server.runtime, write=False) as ctx:
            row = await kept.get_last_split(ctx.db, goal["id"])
            return row is not None and row.tokens > 0

    await eventually(is_paid_for, "what was written so far to be counted")


@pytest.mark.parametrize("event", ["goal:delete", "ai:cancel"])
async def test_a_model_that_says_nothing_is_left_too(
    server: Instance, person: Person, goal: Any, model: ModelStandIn, event: str
) -> None:
    model.answers[0] = stages("One", stall=True)
    await ask(server, person, "ai:split", goal_id=goal["id"])
    await model.wait_for_questions()
    await ask(server, person, event, goal_id=goal["id"])
    await model.wait_until_left()


@pytest.mark.scaled
async def test_a_model_is_stopped_whichever_instance_has_it(
    start: StartInstance, model: ModelStandIn
) -> None:
    model.answers.append(stages("One", stall=True))
    worker, other = await start(**model.settings), await start(jobs=False, **model.settings)
    person = await other.add_person()
    goal = await add_goal(other, person)
    device = await other.connect(person, GOALS)
    await ask(other, person, "ai:split", goal_id=goal["id"])
    await device.wait_for("stage:suggested", namespace=GOALS)
    assert worker.url != other.url
    await ask(other, person, "ai:cancel", goal_id=goal["id"])
    await model.wait_until_left()


async def test_the_same_question_is_not_asked_twice(
    server: Instance, person: Person, goal: Any, model: ModelStandIn
) -> None:
    first = await split(server, person, goal)
    await ask(server, person, "suggestion:accept", suggestion_id=first["suggestions"][0]["id"])
    await ask(server, person, "suggestion:refuse", suggestion_id=first["suggestions"][1]["id"])
    device = await server.connect(person, GOALS)

    again = await split(server, person, goal)

    assert suggested(again) == ["Run 1 km", "Run 5 km"], "but for what is a stage already"
    assert len(model.questions) == 1
    await device.wait_for("ai:finished", namespace=GOALS)
    assert told_titles(device) == suggested(again)
    for suggestion in again["suggestions"]:
        await ask(server, person, "suggestion:accept", suggestion_id=suggestion["id"])
    model.answers[0] = stages("Run 5 km", "Rest")
    assert suggested(await split(server, person, goal)) == ["Rest"], "all others are used up"
    assert '"Run 1 km"' in model.questions[1]["messages"][1]["content"]
    await ask(server, person, "goal:update", goal_id=goal["id"], description="By winter")
    await split(server, person, goal)
    assert len(model.questions) == 3
    stranger = await server.add_person()
    await split(server, stranger, await add_goal(server, stranger, "Run 5 km"))
    assert len(model.questions) == 4, "nobody learns what others were told"


async def test_repeats_are_not_kept_for_ever(
    server: Instance, person: Person, goal: Any, model: ModelStandIn
) -> None:
    first = await split(server, person, goal)
    for _ in range(2):
        await split(server, person, goal)
    await set_clock(server, ahead=timedelta(hours=25))
    person = await server.sign_in(person.email)

    again = await split(server, person, goal)

    assert (suggested(again), len(model.questions)) == (suggested(first), 1)
    async with Context.open(server.runtime, write=False) as ctx:
        rows = await ctx.db.scalars(select(kept.Split.tokens).order_by(kept.Split.id))
        assert list(rows) == [READ + WRITTEN, 0]


async def test_a_person_has_a_budget_for_a_day(start: StartInstance, model: ModelStandIn) -> None:
    model.answers.append(stages("One"))
    server = await start(ai_daily_tokens=3_300, **model.settings)
    person = await server.add_person()
    goals = [await add_goal(server, person, f"Goal {n}") for n in range(3)]
    await split(server, person, goals[0])

    with pytest.raises(Refused) as refused:
        await ask(server, person, "ai:split", goal_id=goals[1]["id"])

    assert refused.value.code == "rate_limited"
    assert 86_000 < refused.value.error["retry_after"] <= 86_400
    assert (await ask(server, person, "goal:get", goal_id=goals[1]["id"]))["split"] is None
    assert suggested(await split(server, person, goals[0])) == ["One"], "again costs nothing"
    await ask(server, person, "goal:delete", goal_id=goals[0]["id"])
    assert await refusal(ask(server, person, "ai:split", goal_id=goals[2]["id"])) == "rate_limited"
    stranger = await server.add_person()
    await split(server, stranger, await add_goal(server, stranger))

    await set_clock(server, ahead=timedelta(hours=25))
    person = await server.sign_in(person.email)
    await split(server, person, goals[1])


async def test_several_goals_at_once_share_the_budget(
    start: StartInstance, model: ModelStandIn
) -> None:
    model.answers.append(stages("One"))
    model.slow = True
    server = await start(ai_daily_tokens=6_000, **model.settings)
    person = await server.add_person()
    goals = [await add_goal(server, person, f"Goal {n}") for n in range(4)]
    asked = [ask(server, person, "ai:split", goal_id=goal["id"]) for goal in goals]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer.code for answer in answers if isinstance(answer, Refused)]
    assert refused == ["rate_limited"] * 2
    model.let_go(20)


async def test_a_repeated_request_is_answered_alike(
    server: Instance, person: Person, goal: Any, model: ModelStandIn
) -> None:
    ref = {"client_ref": "018f3c5e-7d2a-7c3e-9b1a-3f2b8c6d4e5f", "goal_id": goal["id"]}
    for _ in range(2):
        assert await ask(server, person, "ai:split", **ref) == {"status": "generating"}
    await wait_for_end(server, person, goal)
    assert await ask(server, person, "ai:split", **ref) == {"status": "generating"}
    assert len(model.questions) == 1


async def test_without_a_model_examples_are_suggested(start: StartInstance) -> None:
    server = await start()
    person = await server.add_person()
    found = await split(server, person, await add_goal(server, person))
    assert found["model"] == "local"
    assert len(suggested(found)) == 4
    assert all(title.startswith("Example: ") for title in suggested(found))

"""Splitting goals with a model that is blank, broken, busy, away; and workers that die over it."""

import asyncio
from collections import deque
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from handlers.goals import ai_steps
from handlers.goals.ai_steps import MAX_ATTEMPTS, add_suggestion, begin_attempt
from jobs.goals import ai as job
from server.context import Context
from storage import goals as kept
from storage.dead_jobs import DeadJob
from storage.outbox import Job
from tests.backend import Backend
from tests.client import Client
from tests.conftest import StartInstance
from tests.doomed import Doom
from tests.goals import GOALS, add_goal, ask
from tests.instance import Instance, Person, start_instance
from tests.stand_ins.openai import Answer, ModelStandIn, stages
from tests.stand_ins.waiting import eventually, set_clock

ONE_TWO = ["One", "Two"]


@pytest.fixture
async def server(
    start: StartInstance, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> Instance:
    monkeypatch.setattr(ai_steps, "FIRST_PAUSE", timedelta(0))
    return await start(**model.settings)


@pytest.fixture
async def person(server: Instance) -> Person:
    return await server.add_person()


@pytest.fixture
async def device(server: Instance, person: Person) -> Client:
    return await server.connect(person, GOALS)


async def split(server: Instance, person: Person) -> Any:
    goal = await add_goal(server, person)
    await ask(server, person, "ai:split", goal_id=goal["id"])
    return goal


async def read_end(device: Client, event: str) -> Any:
    return (await device.wait_for(event, namespace=GOALS)).data["split"]


def told_titles(device: Client) -> list[str]:
    told = device.pushes(GOALS)
    return [one.data["suggestion"]["title"] for one in told if one.event == "stage:suggested"]


@pytest.mark.parametrize(
    "first",
    [
        Answer(["   ", "\n"]),
        Answer(["Sure! Here is a plan: 1. Run"]),
        Answer(['{"stages": []}']),
        Answer(status=500),
        Answer(status=429, retry_after="0"),
        stages("See https://a.example"),
        stages("One", cut=True, tells_usage=False),
    ],
)
async def test_a_bad_answer_is_followed_by_another_question(
    server: Instance, person: Person, device: Client, model: ModelStandIn, first: Answer
) -> None:
    model.answers = deque([first, stages(*ONE_TWO)])
    await split(server, person)
    found = await read_end(device, "ai:finished")
    assert [one["title"] for one in found["suggestions"]] == ONE_TWO
    assert told_titles(device) == ONE_TWO
    assert (found["status"], found["reason"]) == ("finished", None)
    assert len(model.questions) == 2


@pytest.mark.parametrize(
    "first", [stages("One", cut=True), Answer([*stages("One").pieces[:2], ", {oops"])]
)
async def test_what_was_suggested_stays_and_the_model_goes_on_from_there(
    server: Instance, person: Person, device: Client, model: ModelStandIn, first: Answer
) -> None:
    model.answers = deque([first, stages("ONE.", "Two")])
    await split(server, person)
    await read_end(device, "ai:finished")
    assert told_titles(device) == ONE_TWO
    assert '"stages": ["One"]' in model.questions[1]["messages"][1]["content"]


async def test_a_model_that_has_nothing_to_add_is_done(
    server: Instance, person: Person, device: Client, model: ModelStandIn
) -> None:
    model.answers = deque([stages("One", cut=True), stages()])
    await split(server, person)
    found = await read_end(device, "ai:finished")
    assert (found["status"], len(found["suggestions"])) == ("finished", 1)
    assert len(model.questions) == 2


@pytest.mark.parametrize(
    ("answer", "reason", "questions"),
    [
        (Answer([" "]), "blank", MAX_ATTEMPTS),
        (Answer(["I can't."]), "broken", MAX_ATTEMPTS),
        (Answer(status=503), "unavailable", MAX_ATTEMPTS),
        (Answer(status=429, retry_after="3600"), "busy", 1),
        (Answer(status=401), "refused", 1),
        (Answer(status=400), "refused", 1),
        (stages(finish="content_filter"), "refused", 1),
    ],
)
async def test_a_model_without_an_answer_is_given_up(
    server: Instance,
    person: Person,
    device: Client,
    model: ModelStandIn,
    answer: Answer,
    reason: str,
    questions: int,
) -> None:
    model.answers.append(answer)
    goal = await split(server, person)
    found = await read_end(device, "ai:failed")
    assert (found["status"], found["reason"], found["suggestions"]) == ("failed", reason, [])
    assert (await ask(server, person, "goal:get", goal_id=goal["id"]))["split"] == found
    assert len(model.questions) == questions
    await wait_until_idle(server)
    async with Context.open(server.runtime, write=False) as ctx:
        assert not list(await ctx.db.scalars(select(DeadJob)))
        row = await kept.get_last_split(ctx.db, goal["id"])
        assert row is not None
        assert (row.tokens > 0) == (answer.status == 200)
        assert (row.answer is not None) == any(answer.pieces)
    model.answers[0] = stages("One")
    await ask(server, person, "ai:split", goal_id=goal["id"])
    await read_end(device, "ai:finished")


async def wait_until_idle(server: Instance) -> None:
    async def is_idle() -> bool:
        async with server.runtime.database.session(write=False) as db:
            waiting = select(Job.id).where(Job.job == "goals.ask_model")
            return await db.scalar(waiting) is None

    await eventually(is_idle, "no question to be left")


async def test_a_busy_model_is_asked_again_when_it_says(
    server: Instance, person: Person, device: Client, model: ModelStandIn
) -> None:
    model.answers = deque([Answer(status=429, retry_after="40"), stages("One")])
    goal = await split(server, person)
    await model.wait_for_questions()

    async def find_due() -> Any:
        async with server.runtime.database.session(write=False) as db:
            row = await db.scalar(select(Job).where(Job.failures == 1))
            return row and row.due_at - server.runtime.clock()

    assert timedelta(seconds=30) < await eventually(find_due, "a pause") <= timedelta(seconds=40)
    assert (await ask(server, person, "goal:get", goal_id=goal["id"]))["split"]["status"] == (
        "generating"
    )
    await set_clock(server, ahead=timedelta(seconds=41))
    await read_end(device, "ai:finished")


async def test_a_model_that_pauses_can_be_canceled(
    server: Instance, person: Person, device: Client, model: ModelStandIn
) -> None:
    model.answers.append(Answer(status=429, retry_after="40"))
    goal = await split(server, person)
    await model.wait_for_questions()
    await ask(server, person, "ai:cancel", goal_id=goal["id"])
    assert (await read_end(device, "ai:finished"))["status"] == "canceled"
    await set_clock(server, ahead=timedelta(seconds=41))
    await wait_until_idle(server)
    assert len(model.questions) == 1


async def test_an_answer_that_takes_too_long_is_ended(
    server: Instance,
    person: Person,
    device: Client,
    model: ModelStandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job, "ANSWER_TIMEOUT", 0.5)
    model.answers = deque([stages("One", stall=True), stages("Two")])
    await split(server, person)
    await model.wait_until_left()
    await read_end(device, "ai:finished")
    assert told_titles(device) == ONE_TWO


async def test_only_the_last_attempt_may_suggest_anything(start: StartInstance) -> None:
    server = await start(jobs=False)
    person = await server.add_person()
    goal = await split(server, person)
    async with Context.open(server.runtime) as ctx:
        row = await kept.get_last_split(ctx.db, goal["id"])
        assert row is not None

    async def begin() -> Any:
        async with Context.open(server.runtime) as ctx:
            return await begin_attempt(ctx, row.id)

    async def add(attempt: Any, title: str) -> bool:
        async with Context.open(server.runtime) as ctx:
            return await add_suggestion(ctx, attempt, title)

    frozen = await begin()
    assert await add(frozen, "One")
    awake = await begin()
    assert awake.said == ("One",)
    assert not await add(frozen, "Again")
    assert await add(awake, "Two")
    for _ in range(MAX_ATTEMPTS):
        last = await begin()
    assert last is None
    found = (await ask(server, person, "goal:get", goal_id=goal["id"]))["split"]
    assert (found["status"], [one["title"] for one in found["suggestions"]]) == (
        "finished",
        ONE_TWO,
    )


async def test_workers_that_die_over_it_again_and_again_end_it(start: StartInstance) -> None:
    server = await start(jobs=False)
    person = await server.add_person()
    goal = await split(server, person)
    for _ in range(MAX_ATTEMPTS + 1):
        async with Context.open(server.runtime) as ctx:
            row = await kept.get_last_split(ctx.db, goal["id"])
            assert row is not None
            await begin_attempt(ctx, row.id)
    found = (await ask(server, person, "goal:get", goal_id=goal["id"]))["split"]
    assert (found["status"], found["reason"]) == ("failed", "interrupted")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("die_at", [6, 7, 8, 10, 14])
async def test_a_worker_killed_in_mid_stream_leaves_no_suggestion_twice(
    backend: Backend, model: ModelStandIn, doom: Doom, die_at: int
) -> None:
    variables = backend.variables | {name.upper(): v for name, v in model.settings.items()}

    async def work(*, late: timedelta, die_at: int | None = None) -> bool:
        fate = await asyncio.to_thread(
            doom.run, variables, "goals.ask_model", ahead=late, die_at=die_at
        )
        return fate.died

    async with start_instance(backend, jobs=False, **model.settings) as server:
        person = await server.add_person()
        goal = await split(server, person)
        # Its steps: the claim, the attempt, each stage, and then looking whether it is canceled.
        model.answers = deque([stages(*ONE_TWO, stall=True), stages(*ONE_TWO, "Three")])
        assert await work(late=timedelta(0), die_at=die_at)
        if model.questions:
            await model.wait_until_left()
        else:
            # On a busy machine it looks whether it is canceled, and dies, before it has asked.
            model.answers.popleft()
        assert not await work(late=timedelta(seconds=20))

        device = await server.connect(person, GOALS, after=0)
        found = await read_end(device, "ai:finished")
        assert told_titles(device) == [*ONE_TWO, "Three"]
        assert [one["title"] for one in found["suggestions"]] == told_titles(device)
        assert (await ask(server, person, "goal:get", goal_id=goal["id"]))["split"] == found
    assert len(model.questions) <= 2, "nobody asks more often than somebody died"

"""What the hot paths cost: exact numbers of statements, whatever the database."""

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from sqlalchemy import event

from handlers import NAMESPACES
from server.batches import Batches
from server.calls import Request, validate
from server.context import Caller
from server.contract import by_name
from tests.backend import SCALED
from tests.diaries import days_ago, start_diary
from tests.exports import take_along
from tests.goals import add_goal, add_stages, ask
from tests.instance import Instance, Person
from tests.questionnaires import GAD7, PHQ9, SPACE, submit
from tests.talks import Talk, add_talk, message, start_talk

counted: ContextVar[list[str] | None] = ContextVar("counted", default=None)
"""Inherited by the tasks of a request, and by nothing that runs beside it."""

Asking = tuple[Person, str, dict[str, Any]]
"""Who asks for what; an event of another namespace than `/chat` is named with it."""


class Counter:
    """Performs requests as the server does and notes the statements that took."""

    def __init__(self, server: Instance) -> None:
        self._runtime = server.runtime
        self._batches = Batches(server.runtime, NAMESPACES)
        self._namespaces = by_name(NAMESPACES)

    async def count(self, *asked: Asking) -> list[str]:
        """The statements of these requests, made at the same moment."""
        statements: list[str] = []
        token = counted.set(statements)
        answers = await asyncio.gather(*map(self._perform, asked))
        counted.reset(token)
        assert all(isinstance(answer, str) for answer in answers), answers
        return statements

    async def _perform(self, asking: Asking) -> Any:
        person, name, payload = asking
        namespace, _, event = name.rpartition(" ")
        called = self._namespaces[namespace or "/chat"].events[event]
        request = Request(called, Caller(), person.identity, validate(called.request, payload))
        return await self._batches.perform(called, request)


@pytest.fixture
def counter(server: Instance) -> Iterator[Counter]:
    engines = [one.sync_engine for one in server.runtime.database.engines.values()]

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements = counted.get()
        if statements is not None and not statement.startswith("BEGIN"):
            statements.append(" ".join(statement.split()))

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield Counter(server)
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


def expect(statements: list[str], number: int, *, together: int | None = None) -> None:
    """`together` where PostgreSQL carries out several changes as one statement."""
    number = together if SCALED and together is not None else number
    listed = "\n".join(f"  {place}. {text}" for place, text in enumerate(statements, 1))
    assert len(statements) == number, (
        f"{len(statements)} statements instead of {number}. If that is meant, measure what it "
        f"costs and change the number here. They were:\n{listed}"
    )


def send(talk: Talk, sender: Person) -> Asking:
    return sender, "message:send", message(talk.chat_id)


async def start_talks(server: Instance, count: int) -> list[Talk]:
    """Chats of one psychologist with several patients."""
    first = await start_talk(server)
    patients = [await server.add_person() for _ in range(count - 1)]
    return [first, *await asyncio.gather(*(add_talk(first, patient) for patient in patients))]


async def test_sending_a_message(server: Instance, counter: Counter) -> None:
    talk = await start_talk(server)

    expect(await counter.count(send(talk, talk.patient)), 7, together=1)
    expect(await counter.count(send(talk, talk.patient)), 7, together=1)


async def test_a_batch_costs_what_one_message_costs(server: Instance, counter: Counter) -> None:
    talks = await start_talks(server, 10)

    def batch() -> list[Asking]:
        return [send(talk, talk.patient) for talk in talks for _ in range(2)]

    expect(await counter.count(*batch()), 7, together=1)
    expect(await counter.count(*(again := batch())), 7, together=1)
    expect(await counter.count(*again), 2)  # all of them answered before


async def test_a_batch_of_answers_costs_no_more(server: Instance, counter: Counter) -> None:
    talks = await start_talks(server, 10)

    def batch() -> list[Asking]:
        return [send(talk, person) for talk in talks for person in talk.people]

    await counter.count(*batch())
    expect(await counter.count(*batch()), 6, together=1)  # no counts change


async def test_moving_markers(server: Instance, counter: Counter) -> None:
    talks = await start_talks(server, 10)

    async def move(event: str, seq: int) -> list[str]:
        return await counter.count(
            *((t.psychologist, event, {"chat_id": t.chat_id, "seq": seq}) for t in talks)
        )

    for talk in talks:
        for _ in range(3):
            await counter.count(send(talk, talk.patient))
    expect(await move("message:delivered", 2), 6, together=3)
    expect(await move("message:read", 2), 8, together=4)  # counts what is left
    expect(await move("message:read", 3), 7, together=3)
    expect(await move("message:read", 3), 2)  # changes nothing


async def test_editing_and_deleting(server: Instance, counter: Counter) -> None:
    talk = await start_talk(server)
    await counter.count(send(talk, talk.patient))
    await counter.count(send(talk, talk.patient))
    mine = {"chat_id": talk.chat_id, "seq": 1}

    edited = await counter.count((talk.patient, "message:edit", {**mine, "text": "Changed"}))
    expect(edited, 6, together=5)
    expect(await counter.count((talk.patient, "message:delete", mine)), 8, together=5)


@pytest.mark.parametrize("count", [1, 30])
async def test_lists_cost_the_same_however_long(
    server: Instance, counter: Counter, count: int
) -> None:
    talks = await start_talks(server, count)
    psychologist = talks[0].psychologist
    for _ in range(count):
        await counter.count(*(send(talk, talk.patient) for talk in talks))

    expect(await counter.count((psychologist, "chat:list", {"limit": 100})), 3)
    history = {"chat_id": talks[0].chat_id, "limit": 100}
    expect(await counter.count((psychologist, "message:history", history)), 3)
    expect(await counter.count((psychologist, "unread:get", {})), 1)
    expect(await counter.count((psychologist, "presence:get", {"user_ids": [1, 2, 3]})), 1)


async def test_keeping_a_diary(server: Instance, counter: Counter) -> None:
    _, patient = await server.connect_pair()
    entry = await (await start_diary(server, patient)).add()
    about = {"entry_id": entry["id"]}

    expect(await counter.count((patient, "/mood entry:add", {"score": 5})), 12, together=11)
    expect(
        await counter.count((patient, "/mood entry:update", {**about, "score": 5})), 11, together=10
    )
    expect(await counter.count((patient, "/mood entry:delete", about)), 10, together=9)


@pytest.mark.parametrize("count", [1, 30])
async def test_reading_a_diary_costs_the_same_however_long(
    server: Instance, counter: Counter, count: int
) -> None:
    psychologist, patient = await server.connect_pair()
    diary = await start_diary(server, patient)
    for number in range(count):
        await diary.add_on(days_ago(number + 1), tags=["calm"])
    span = {"from": f"{days_ago(60)}", "to": f"{days_ago(1)}"}
    whose = {"patient_id": patient.id}

    for name, payload, cost, remembered in (
        ("entry:list", {"limit": 100}, 2, 2),
        ("series:get", {**span, "period": "week"}, 2, 1),
        ("compare:get", {"a": span, "b": span}, 3, 1),
        ("correlation:get", {**span, "x": "score", "y": "tag:calm"}, 2, 1),
    ):
        expect(await counter.count((patient, f"/mood {name}", payload)), cost)
        # For others the relation and the audit trail as well.
        asking = (psychologist, f"/mood {name}", {**payload, **whose})
        expect(await counter.count(asking), remembered + 2)


@pytest.mark.parametrize("count", [1, 20])
async def test_goals_cost_the_same_however_many(
    server: Instance, counter: Counter, count: int
) -> None:
    person = await server.add_person()
    for _ in range(count):
        goal = await add_stages(server, person, await add_goal(server, person), "A", "B")
        await ask(server, person, "reminder:set", goal_id=goal["id"], times=["08:00"])
    mine = {"goal_id": goal["id"]}

    expect(await counter.count((person, "/goals goal:list", {"limit": 50})), 6)
    expect(await counter.count((person, "/goals goal:get", mine)), 5)
    expect(await counter.count((person, "/goals reminder:list", {})), 2)
    expect(await counter.count((person, "/goals achievement:list", {})), 3)
    expect(await counter.count((person, "/goals goal:archive", mine)), 13, together=12)


async def test_listing_exports(server: Instance, counter: Counter) -> None:
    person = await server.add_person()
    await take_along(server, person)

    expect(await counter.count((person, "/account export:list", {"limit": 100})), 2)


async def test_completing_a_stage(server: Instance, counter: Counter) -> None:
    person = await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), *"ABC")
    stages = [{"stage_id": stage["id"]} for stage in goal["stages"]]

    # The first one earns something.
    await counter.count((person, "/goals stage:complete", stages[0]))
    expect(await counter.count((person, "/goals stage:complete", stages[1])), 20, together=19)
    expect(await counter.count((person, "/goals stage:complete", stages[1])), 10, together=9)


async def test_splitting_a_goal(server: Instance, counter: Counter) -> None:
    person = await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), "A")
    device = await server.connect(person, "/goals")

    expect(
        await counter.count((person, "/goals ai:split", {"goal_id": goal["id"]})), 16, together=14
    )
    told = await device.wait_for("ai:finished", namespace="/goals")
    first, second, *_ = ({"suggestion_id": s["id"]} for s in told.data["split"]["suggestions"])
    expect(await counter.count((person, "/goals suggestion:accept", first)), 13, together=12)
    expect(await counter.count((person, "/goals suggestion:refuse", second)), 11, together=10)


@pytest.mark.parametrize("count", [1, 20])
async def test_a_psychologist_looks_at_any_number_of_patients_and_results(
    server: Instance, counter: Counter, count: int
) -> None:
    psychologist, patient = await server.connect_pair()
    for number in range(count):
        other = await server.add_person()
        await server.relate(psychologist, other)
        await (await start_diary(server, other)).add()
        await submit(server, other, PHQ9, [0] * 8 + [1])
        await submit(server, patient, (PHQ9, GAD7)[number % 2], [1] * 8 + [0])
    whose = {"patient_id": patient.id}
    span = {"from": f"{days_ago(60)}", "to": f"{days_ago(0)}"}

    expect(await counter.count((psychologist, "/care patient:list", {"limit": 100})), 6)
    expect(await counter.count((psychologist, "/care patient:stats", {**whose, **span})), 7)
    expect(await counter.count((patient, "/assessments result:list", {"limit": 100})), 3)
    expect(await counter.count((psychologist, "/assessments result:patient", whose)), 5)
    exported = {**whose, "format": "fhir", "limit": 100}
    expect(await counter.count((psychologist, "/assessments result:export", exported)), 7)
    expect(await counter.count((psychologist, "/assessments alert:list", {"limit": 100})), 4)
    expect(await counter.count((patient, "/assessments test:list", {"limit": 100})), 2)
    listed = await server.ask(patient, SPACE, "test:list", {})
    test = {"test_id": listed["items"][0]["id"]}
    expect(await counter.count((patient, "/assessments test:get", test)), 4)

"""A server under fuzz: what it logs, what it holds, and a pair that chats meanwhile."""

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from handlers import NAMESPACES
from server.tasks import end_tasks
from storage.accounts import Role
from tests.fuzz.packets import Scene, list_askings
from tests.goals import add_goal, add_stages
from tests.instance import Instance, Person
from tests.questionnaires import PHQ9, find_test, publish_test, submit
from tests.server.trial import delivery_of, wait_until, wires_of
from tests.talks import message, start_talk

PATIENCE = 15.0


@contextmanager
def hear_complaints() -> Iterator[list[str]]:
    """Every line of the log that is an error, by us or by a library."""
    heard: list[str] = []

    def keep(logger: Any, method: str, event: Any) -> Any:
        heard.append(f"{event} {structlog.processors.format_exc_info(logger, method, event)}")
        raise structlog.DropEvent

    class Libraries(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(logging.Formatter().format(record))

    handler = Libraries(logging.ERROR)
    structlog.configure(
        processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR)
    )
    logging.getLogger().addHandler(handler)
    try:
        yield heard
    finally:
        logging.getLogger().removeHandler(handler)
        structlog.reset_defaults()


@dataclass(frozen=True, slots=True)
class Census:
    """Everything that a server holds for those who are connected."""

    tasks: Counter[str]
    """By what they run."""
    wires: int
    connections: int
    feeds: int
    followers: int
    sockets: int

    @classmethod
    def take(cls, server: Instance) -> "Census":
        delivery = delivery_of(server)
        transport = delivery._transport
        assert transport is not None
        tasks = Counter(map(_name_task, asyncio.all_tasks()))
        # Made anew by whoever waits with a timeout.
        del tasks[asyncio.Event.wait.__qualname__]
        return cls(
            tasks,
            len(wires_of(server)),
            len(transport._connections),
            len(delivery._feeds),
            sum(len(f) for spaces in delivery._followers.values() for f in spaces.values()),
            sum(delivery._sockets.values()),
        )

    @property
    def held(self) -> dict[str, int]:
        names = ("wires", "connections", "feeds", "followers", "sockets")
        return {name: getattr(self, name) for name in names}


async def wait_until_back(server: Instance, before: Census) -> None:
    """Until the server holds what it held before, and no task is left that was not there."""

    def is_back() -> bool:
        now = Census.take(server)
        return now.held == before.held and now.tasks <= before.tasks

    try:
        await wait_until(is_back, "the server holds what it held before", PATIENCE)
    except AssertionError:
        now = Census.take(server)
        left = now.tasks - before.tasks
        raise AssertionError(f"left behind: {now.held} for {before.held}, tasks {left}") from None


def _name_task(task: "asyncio.Task[Any]") -> str:
    return str(getattr(task.get_coro(), "__qualname__", task))


async def make_scenes(server: Instance) -> list[Scene]:
    """The fuzzers: both people of a chat, and an admin. Each has another device that stays."""
    talk = await start_talk(server)
    await talk.send(talk.psychologist)
    await talk.send(talk.patient)
    admin = await server.add_person(Role.ADMIN)
    people = [person.id for person in (*talk.people, admin)]
    ids = {"chat_id": [talk.chat_id], "user_id": people, "user_ids": people, "seq": [1, 2]}
    known = {
        **ids,
        "psychologist_id": people,
        "patient_id": people,
        "notification_id": [1, 2, 3],
        "entry_id": [await add_entry(server, talk.patient) for _ in range(2)],
    }
    for person in (*talk.people, admin):
        await server.connect(person, "/account")
    goals = [await set_goal(server, person) for person in talk.people]
    known |= {
        "goal_id": [goal["id"] for goal in goals],
        "stage_id": [stage["id"] for goal in goals for stage in goal["stages"]],
        "after_stage_id": [stage["id"] for goal in goals for stage in goal["stages"]],
        "reminder_id": [1, 2, 3],
        "suggestion_id": [101, 102, 103, 201, 202],
    }
    known |= await answer_a_test(server, talk.psychologist, talk.patient)
    askings = list_askings(NAMESPACES)
    cares = ("/care", "/chat", "/mood")
    return [
        *(Scene(askings, known, person.token) for person in talk.people),
        Scene(tuple(a for a in askings if a.namespace not in cares), known, admin.token),
    ]


async def add_entry(server: Instance, patient: Person) -> int:
    entry_id: int = (await server.ask(patient, "/mood", "entry:add", {"score": 5}))["id"]
    return entry_id


async def answer_a_test(
    server: Instance, psychologist: Person, patient: Person
) -> dict[str, list[int]]:
    """With an alert; and a test of the psychologist's own. The ids of it all."""
    own = await publish_test(server, psychologist)
    shipped = await find_test(server, patient, PHQ9)
    result = await submit(server, patient, PHQ9, [0] * 8 + [1])
    questions = [*own["questions"], *shipped["questions"]]
    return {
        "test_id": [own["id"], shipped["id"]],
        "question_id": [question["id"] for question in questions],
        "option_id": [option["id"] for question in questions for option in question["options"]],
        "result_id": [result["id"]],
        "result_ids": [result["id"]],
        "alert_id": [1],
    }


async def set_goal(server: Instance, person: Person) -> Any:
    """With a few stages and a reminder."""
    goal = await add_stages(server, person, await add_goal(server, person), "A", "B", "C")
    about = {"goal_id": goal["id"], "times": ["08:00"]}
    await server.ask(person, "/goals", "reminder:set", about)
    return goal


class Chatting:
    """Two people who write to each other each time they are given a turn."""

    def __init__(self) -> None:
        self.sent = 0
        self._turn = asyncio.Event()
        self._is_over = False

    def give_turn(self) -> None:
        self._turn.set()

    async def run(self, server: Instance) -> None:
        talk = await start_talk(server)
        sender = await server.connect(talk.psychologist)
        reader = await server.connect(talk.patient)
        while not self._is_over or self.sent < 2:
            if not self._is_over:
                await self._turn.wait()
                self._turn.clear()
            self.sent += 1
            await sender.ask("message:send", message(talk.chat_id, f"{self.sent}"))
        await reader.wait_for("message:created", count=self.sent)
        told = [told.data["text"] for told in reader.pushes() if told.event == "message:created"]
        wanted = [f"{number}" for number in range(1, self.sent + 1)]
        assert told == wanted, f"the pair was told {told} of {self.sent}"
        assert not reader.left | sender.left, "the pair was put out"
        await sender.close()
        await reader.close()

    def end(self) -> None:
        self._is_over = True
        self._turn.set()


@asynccontextmanager
async def unharmed(server: Instance) -> AsyncIterator[Chatting]:
    """While this is open a pair chats; after it nothing is left, and nothing was complained of."""
    # What the first connection of all starts goes on for ever.
    wires = len(wires_of(server))
    await (await server.connect(await server.add_person())).close()
    await wait_until(lambda: len(wires_of(server)) == wires, "it is gone again")
    before = Census.take(server)
    chatting = Chatting()
    with hear_complaints() as complaints:
        async with at_once(chatting.run(server)) as going_on:
            yield chatting
            chatting.end()
            await going_on
        await wait_until_back(server, before)
        gc.collect()
    assert not complaints, complaints[:5]


@asynccontextmanager
async def at_once(*work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Future[list[None]]"]:
    """All of these; whoever fails first ends the others."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield asyncio.gather(*tasks)
    finally:
        await end_tasks(tasks)

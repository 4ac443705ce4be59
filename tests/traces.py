"""A world in which somebody has left traces everywhere, and looking for them afterwards."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import delete, select, text

from handlers import NAMESPACES
from handlers.notifications import push_to_device
from handlers.notifications.payloads import PushContent, PushToDevice
from jobs.perform import perform
from server.context import Context
from storage.dead_jobs import DeadJob
from storage.events import Head, LogEntry
from storage.goals import mark_fired
from storage.outbox import Job
from storage.tables import metadata
from tests.backend import SCALED
from tests.instance import Instance, Person
from tests.questionnaires import GAD7, SPACE, find_test, publish_test, send
from tests.security.planted import plant
from tests.security.scene import Scene, set_scene
from tests.stand_ins.operators import create_api_key
from tests.stand_ins.waiting import set_clock

FIRST_ID = 7_000_000
"""People's ids begin here, so that one is nothing else wherever it stands."""

NUMBERS_STAY = {
    "users.id",
    "users.email",
    "sessions.user_id",
    "relations.psychologist_id",
    "relations.patient_id",
    "chats.psychologist_id",
    "chats.patient_id",
    "messages.sender_id",
    "receipts.user_id",
    "alerts.acknowledged_by",
    "alerts.resolved_by",
    "event_log.data",
    "notifications.data",
    "notifications.subject",
    "replies.answer",
}
"""Where the id may stand of somebody who is erased: a number, which leads to a blank row."""


async def make_traces(server: Instance) -> Scene:
    """Anna and Boris have written to each other, and to others, and about each other."""
    await begin_ids(server)
    scene = await set_scene(server)
    anna, boris = scene.anna, scene.boris
    talk = scene.things.talk
    await talk.ask(anna, "message:edit", seq=1, text=plant("edited", "anna"))
    await talk.ask(boris, "message:delete", seq=scene.things.seq)
    for one, other in ((anna, boris), (boris, anna)):
        # Answers that are kept.
        opened = {"user_id": other.id, "client_ref": str(uuid4())}
        await server.ask(one, "/chat", "chat:open", opened)
        schedule = {"times": ["05:00"], "frequency": "daily"}
        await server.ask(one, "/account", "schedule:update", schedule)
        device = {"token": f"phone of {one.email}", "platform": "android"}
        await server.ask(one, "/account", "device:register", device)
        quiet = {"type": "message", "in_app": True, "push": False, "email": False}
        await server.ask(one, "/notifications", "preference:set", quiet)
        await server.request("POST", "/auth/forgot-password", {"email": one.email})
    await talk.ask(boris, "message:read", seq=2)
    note = {"alert_id": scene.things.alert_id, "note": plant("noted", "boris")}
    await server.ask(boris, SPACE, "alert:acknowledge", {**note, "client_ref": str(uuid4())})
    await answer_tests(server, scene)
    await reach_something(server, scene)
    await server.ask(boris, "/care", "relation:invite", {"email": "stranger@example.com"})
    await create_api_key(server, boris.email)
    await add_jobs(server, scene)
    return scene


async def begin_ids(server: Instance) -> None:
    statement = text(
        "SELECT setval('users_id_seq', :first)"
        if SCALED
        else "INSERT INTO sqlite_sequence (name, seq) VALUES ('users', :first)"
    )
    async with Context.open(server.runtime) as ctx:
        await ctx.db.execute(statement, {"first": FIRST_ID})


async def answer_tests(server: Instance, scene: Scene) -> None:
    """Anna has begun a test; a fellow has answered one of Boris's."""
    shipped = await find_test(server, scene.anna, GAD7)
    question = shipped["questions"][0]
    begun = {"question_id": question["id"], "option_id": question["options"][1]["id"]}
    saved = {"test_id": shipped["id"], "answers": [begun]}
    await server.ask(scene.anna, SPACE, "draft:save", saved)
    own = await publish_test(server, scene.boris)
    answers = [
        {"question_id": question["id"], "option_id": question["options"][0]["id"]}
        for question in own["questions"]
    ]
    for person in (scene.strangers["fellow"], scene.anna):  # type: ignore[index]  # a StrEnum's key
        assert (await send(server, person, own, answers))[0] == 201


async def reach_something(server: Instance, scene: Scene) -> None:
    """Anna has completed a stage, which earned her something, and was reminded of the rest."""
    aim = scene.things.goal
    await server.ask(scene.anna, "/goals", "stage:complete", {"stage_id": aim.stage_ids[0]})
    async with Context.open(server.runtime) as ctx:
        assert await mark_fired(ctx.db, aim.reminder_id, ctx.now.date(), "08:00")


async def add_jobs(server: Instance, scene: Scene) -> None:
    """Pushes about each other wait for the devices of both, and some were given up."""
    await do_jobs(server, "notifications.announce", ahead=timedelta(minutes=1))
    await do_jobs(server, "accounts.mail_recovery", ahead=timedelta(minutes=1))
    for person in (scene.anna, scene.boris):
        await server.request("POST", "/auth/forgot-password", {"email": person.email})
    contents = [
        PushContent(
            user_id=one.id,
            type="message",
            subject=f"chat:{scene.things.talk.chat_id}",
            title=other.name,
            text="You have new messages.",
            link="/",
            data={},
            notification_id=None,
        )
        for one, other in ((scene.anna, scene.boris), (scene.boris, scene.anna))
    ]
    async with Context.open(server.runtime) as ctx:
        await ctx.db.execute(delete(DeadJob))
        for number, content in enumerate(contents):
            payload = PushToDevice(device_id=1, content=content)
            ctx.enqueue(push_to_device, payload, delay=timedelta(days=1))
            ctx.db.add(
                DeadJob(
                    id=2_000_000 + number,
                    job=push_to_device.name,
                    key=None,
                    queue=push_to_device.queue,
                    payload=payload.model_dump_json(),
                    request_id="",
                    attempts=12,
                    error="",
                    died_at=ctx.now,
                )
            )


async def do_jobs(server: Instance, name: str, *, ahead: timedelta) -> None:
    """Do the jobs of this name that are due then, until there are none."""
    await set_clock(server, ahead=ahead)
    while True:
        async with server.runtime.database.session(write=False) as db:
            due = Job.job == name, Job.due_at <= server.runtime.clock()
            waiting = list(await db.scalars(select(Job.id).where(*due)))
        if not waiting:
            break
        for job_id in waiting:
            await perform(server.runtime, job_id)
    await set_clock(server, ahead=timedelta(0))


async def find_owned(server: Instance, *people: Person) -> set[str]:
    """In which columns the ids of these people stand by themselves, as owners' do."""
    ids = {str(person.id) for person in people}
    return {place async for place, value in _list_values(server) if value in ids}


async def find_words(server: Instance, words: list[str]) -> list[str]:
    """Where any of these stands: in which column, or in which file."""
    found = []
    async for place, value in _list_values(server):
        found += [f"{place}: {word} in {value[:200]}" for word in words if word in value]
    folder = server.runtime.settings.data_dir / "blobs"
    for path in folder.rglob("*"):
        content = f"{path}" + (path.read_bytes().decode("latin-1") if path.is_file() else "")
        found += [f"{path}: {word}" for word in words if word in content]
    return found


async def find_number(server: Instance, number: int) -> list[str]:
    """Where it stands and may not."""
    return [
        f"{place}: {value[:200]}"
        async for place, value in _list_values(server)
        if str(number) in value and place not in NUMBERS_STAY
    ]


async def _list_values(server: Instance) -> Any:
    async with server.runtime.database.session(write=False) as db:
        for table in metadata.sorted_tables:
            for row in (await db.execute(select(table))).mappings():
                for name, value in row.items():
                    said = json.dumps(value, ensure_ascii=False, default=str)
                    yield f"{table.name}.{name}", said


async def check_streams(server: Instance) -> None:
    """No seq is missing, and everything is what it was declared to be."""
    types = {
        (space.name, push.name): push.data for space in NAMESPACES for push in space.pushes.values()
    }
    async with server.runtime.database.session(write=False) as db:
        heads = list(await db.scalars(select(Head)))
        entries = list(await db.scalars(select(LogEntry)))
    for entry in entries:
        types[entry.namespace, entry.event].model_validate_json(entry.data)
    for head in heads:
        seqs = sorted(
            entry.seq
            for entry in entries
            if (entry.user_id, entry.namespace) == (head.user_id, head.namespace)
        )
        assert seqs == list(range(head.floor + 1, head.seq + 1))


def list_words(person: Person, name: str) -> Iterator[str]:
    """Whatever was planted of somebody, and what they were called."""
    yield from (f"-{name}", person.email, f"phone of {person.email}")
    if name == "anna":
        # Where she signed in from.
        yield "192.0.2.77"

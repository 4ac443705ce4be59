"""A life with goals, through the official client, while whoever does the work dies all the time.

The client tells it (`node/life.mjs`); between every two of its steps the worker, or the embedded
server, is killed, and another one comes up. Nothing is lost, told twice or out of order.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from storage.accounts import Role
from storage.goals import Share
from storage.outbox import Job
from tests.backend import SCALED, Backend
from tests.client import Told
from tests.exports import unpack, unsign
from tests.files import fetch
from tests.instance import Person
from tests.leavers import find_receipts, wait_for_first_round
from tests.mortal import Mortal, run_mortal
from tests.nodejs import FOLDER, find_node
from tests.snapshots import (
    Snapshot,
    account_snapshot,
    feed_snapshot,
    fold,
    goals_snapshot,
    relations_snapshot,
)
from tests.stand_ins.fcm import FcmStandIn
from tests.stand_ins.openai import Answer, ModelStandIn, stages
from tests.stand_ins.smtp import SmtpStandIn
from tests.stand_ins.waiting import eventually
from tests.traces import begin_ids, check_streams, find_number, find_words

Given = dict[str, Any]

LINE = 1 << 24
EMAIL = "vera@example.com"
WORDS = [EMAIL, "Vera", "Run 5 km", "Read a book", "Find a book", "Stretch", "Результат", "%PDF"]
"""What she was called, and what she, her phone and the model wrote."""

INVITATIONS = 22
"""More than a page of the feed has."""

MINUTES = timedelta(minutes=4)
"""Behind a wall time that was two minutes away, and the pause before an erasure's second round."""

ANSWERS = (
    Answer(status=429, retry_after="1"),
    Answer([""]),
    Answer(['{"stages": [', '{"title": "Find a book"}', ", nothing that is JSON"]),
    stages("Read a page", "Read on"),
    Answer(['{"stages": [', '{"title": "Stretch"}', ", "], stall=True),
    stages("Rest"),
)
"""What the model makes of the questions: a goal whose answer is whole at the fourth time, another
one over which the worker dies."""

TOLD = {
    "achievement:earned": 3,
    "achievement:revoked": 1,
    "ai:finished": 2,
    "export:ready": 1,
    "goal:deleted": 1,
    "relation:invited": INVITATIONS,
    "reminder:due": 2,
    "stage:suggested": 5,
}
"""How often what happens once is told; each completed stage moves several achievements too."""


@dataclass
class Scene:
    place: Mortal
    smtp: SmtpStandIn
    fcm: FcmStandIn
    model: ModelStandIn
    person: Person = field(init=False)
    before: dict[str, Snapshot] = field(init=False)
    after: dict[str, Snapshot] = field(init=False)
    told: list[Any] = field(default_factory=list)

    async def pushed(self, title: str) -> None:
        """Until this was pushed to the phone; a worker that dies may have done it already."""

        async def is_there() -> bool:
            return any(one["notification"]["title"] == title for one in self.fcm.sent)

        await eventually(is_there, f"a push: {title}")


Interlude = Callable[[Scene, Any], Awaitable[Given]]


async def die(scene: Scene, said: Any) -> Given:
    await scene.place.strike()
    return {}


async def look_around(scene: Scene, said: Any) -> Given:
    scene.person = Person(said["id"], EMAIL, "Vera", said["token"], "", 0)
    scene.before = await look(scene)
    return await die(scene, said)


async def go_on_as(scene: Scene, said: Any) -> Given:
    scene.person = replace(scene.person, token=said["token"])
    return await die(scene, said)


async def bring_the_letter(scene: Scene, said: Any) -> Given:
    await scene.place.strike()
    letter = (await scene.smtp.wait_for(to=EMAIL))[0]
    found = re.search(r"reset-password\?token=(\S+)", letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert found
    return {"reset": found[1]}


async def invite(scene: Scene, said: Any) -> Given:
    """By many psychologists, while pushes are switched off."""
    server = scene.place.instance
    people = [await server.add_person(Role.PSYCHOLOGIST) for _ in range(INVITATIONS)]
    for psychologist in people:
        await server.ask(psychologist, "/care", "relation:invite", {"email": EMAIL})
    await scene.place.strike()
    await wait_until_done(scene, "notifications.announce")
    assert scene.fcm.sent == []
    return {"invitations": INVITATIONS}


async def wait_for_the_digest(scene: Scene, said: Any) -> Given:
    await scene.place.strike(MINUTES)
    await scene.pushed("Waiting for you")
    return {}


async def die_over_the_model(scene: Scene, said: Any) -> Given:
    """One answer is worse than the other, and each time somebody else has to ask again."""
    for count in (1, 2):
        await scene.model.wait_for_questions(count)
        await scene.place.strike()
    return {}


async def die_while_it_stalls(scene: Scene, said: Any) -> Given:
    await scene.place.strike()
    await scene.model.wait_until_left()
    question = await scene.model.wait_for_questions(len(ANSWERS))
    assert json.loads(question["messages"][1]["content"])["stages"] == [
        *("Buy shoes", "Run 1 km", "Run 5 km", "Stretch")
    ]
    return {}


def bring_the_push(title: str) -> Interlude:
    async def wait(scene: Scene, said: Any) -> Given:
        await scene.place.strike()
        await scene.pushed(title)
        return {}

    return wait


async def let_minutes_pass(scene: Scene, said: Any) -> Given:
    await scene.place.strike(MINUTES)
    return {}


async def remind(scene: Scene, said: Any) -> Given:
    """For whoever is ahead of the server two minutes are over at once."""
    await scene.place.strike()
    await scene.pushed("Read a book")
    ahead = scene.place.ahead if SCALED else timedelta(0)
    return {"minutes": 2 + ahead // timedelta(minutes=1)}


async def count_holders(scene: Scene, said: Any) -> Given:
    """Once a day; the tokens of yesterday have run out."""
    await scene.place.strike(timedelta(days=1))

    async def is_counted() -> bool:
        async with scene.place.instance.runtime.database.session(write=False) as db:
            share = await db.get(Share, "first_goal")
        return share is not None and share.holders == 1

    await eventually(is_counted, "a count")
    return {"percent": round(100 / (INVITATIONS + 1), 1), "anew": False}


async def open_the_archive(scene: Scene, said: Any) -> Given:
    fetched = await fetch(scene.place.instance, said["url"])
    files = unpack(fetched.body)
    listed = await ask(scene, "/goals", "goal:list", limit=50)
    assert json.loads(files["goals/goals.json"]) == listed["items"]
    (attached,) = json.loads(files["uploads/uploads.json"])
    assert files[attached["path"]].startswith(b"%PDF")
    return await die(scene, said)


async def let_all_be_done(scene: Scene, said: Any) -> Given:
    await scene.place.strike()
    await wait_until_done(scene)
    return {"heads": {namespace: await find_head(scene, namespace) for namespace in scene.before}}


async def look_back(scene: Scene, said: Any) -> Given:
    scene.told, scene.after = unsign(said["history"]), await look(scene)
    # What is looked for after she has left for ever can be found.
    assert await find_words(scene.place.instance, WORDS[1:2])
    return await die(scene, said)


async def see_everything_go(scene: Scene, said: Any) -> Given:
    """Whoever erases dies over it too; in the end others' streams are whole, and she is nowhere."""
    server = scene.place.instance
    for _ in range(2):
        await scene.place.strike()
    await wait_for_first_round(server)
    await scene.place.strike(MINUTES)
    (receipt,) = await eventually(lambda: find_receipts(server), "a receipt")
    letter = scene.smtp.find(EMAIL)[-1].get_body(("plain",))
    assert letter is not None
    assert str(-receipt.pseudonym) in letter.get_content()
    assert await find_words(server, WORDS) == []
    assert await find_number(server, scene.person.id) == []
    await check_streams(server)
    return {}


INTERLUDES: dict[str, Interlude] = {
    "signsIn": look_around,
    "asksForRecovery": bring_the_letter,
    "recovers": go_on_as,
    "changesThePassword": go_on_as,
    "switchesPushesOff": invite,
    "switchesPushesOn": wait_for_the_digest,
    "asksTheModel": die_over_the_model,
    "hearsAModelThatStalls": die_while_it_stalls,
    "completesAStage": bring_the_push("Earned: The first step"),
    "reachesTheGoal": bring_the_push("Earned: Reached"),
    "setsAReminder": let_minutes_pass,
    "isReminded": remind,
    "snoozes": let_minutes_pass,
    "needsNoReminder": count_holders,
    "looksAtAchievements": go_on_as,
    "fetchesIt": open_the_archive,
    "deletesAGoal": let_all_be_done,
    "rests": look_back,
    "findsEverythingAgain": go_on_as,
    "leavesForEver": see_everything_go,
}
"""What happens after a step besides a death."""


@pytest.mark.timeout(300)
async def test_nobody_notices_that_the_workers_die(
    backend: Backend, smtp: SmtpStandIn, fcm: FcmStandIn, model: ModelStandIn
) -> None:
    model.answers.extend(ANSWERS)
    variables = {"SMTP_URL": smtp.url, **write_variables(fcm.settings, model.settings)}
    async with run_mortal(backend, variables) as place:
        await begin_ids(place.instance)
        async with start_story(place.instance.url) as story:
            scene = Scene(place, smtp, fcm, model)
            steps = await tell(scene, story)

    assert steps[-1] == "beginsAnew"
    assert place.deaths > len(steps)
    for namespace, old in scene.before.items():
        told = [
            Told(one["event"], one["data"], one["meta"])
            for one in scene.told
            if one["namespace"] == namespace
        ]
        # Each once, in order: from the first one on without a gap.
        assert [one.seq for one in told] == list(range(1, len(told) + 1))
        folded = fold(old, told, scene.person.id)
        assert without_percent(folded) == without_percent(scene.after[namespace]), namespace
    counts = Counter(one["event"] for one in scene.told)
    assert {event: counts[event] for event in TOLD} == TOLD


async def tell(scene: Scene, story: asyncio.subprocess.Process) -> list[str]:
    """The steps, each with a death behind it."""
    assert story.stdin is not None
    assert story.stdout is not None
    steps: list[str] = []
    while line := await story.stdout.readline():
        word, name, said = line.decode().split(" ", 2)
        assert word == "ok", json.loads(said)
        steps.append(name)
        given = await INTERLUDES.get(name, die)(scene, json.loads(said))
        given = {"anew": not SCALED, "now": scene.place.now.isoformat(), **given}
        story.stdin.write(json.dumps(given).encode() + b"\n")
    assert await story.wait() == 0
    return steps


async def look(scene: Scene) -> dict[str, Snapshot]:
    """A snapshot of each namespace."""
    page = {"limit": 100}
    goals = goals_snapshot(
        await ask(scene, "/goals", "goal:list", limit=50),
        await ask(scene, "/goals", "goal:list_archived", limit=50),
        await ask(scene, "/goals", "achievement:list"),
    )
    return {
        "/account": account_snapshot(
            await ask(scene, "/account", "profile:get"),
            await ask(scene, "/account", "settings:get"),
            await ask(scene, "/account", "export:list"),
        ),
        "/care": relations_snapshot(await ask(scene, "/care", "relation:list", **page)),
        "/goals": goals,
        "/notifications": feed_snapshot(
            await ask(scene, "/notifications", "notification:list", **page),
            await ask(scene, "/notifications", "unread:get"),
        ),
    }


def without_percent(snapshot: Snapshot) -> Snapshot:
    """Percentages are of the day, and nobody is told of them."""
    achievements = [{**one, "percent": None} for one in snapshot.get("achievements", ())]
    return {**snapshot, "achievements": achievements}


async def find_head(scene: Scene, namespace: str) -> int:
    """How much there was to tell so far."""
    server, token = scene.place.instance, scene.person.token
    status, answer = await server.request("GET", f"/events{namespace}", token=token)
    assert status == 200
    head: int = answer["data"]["head"]
    return head


async def ask(scene: Scene, namespace: str, event: str, **payload: Any) -> Any:
    return unsign(await scene.place.instance.ask(scene.person, namespace, event, payload))


async def wait_until_done(scene: Scene, *names: str) -> None:
    """Until no job, or none of these, is due for those who do them."""

    async def is_done() -> bool:
        due = select(Job.id).where(Job.due_at <= scene.place.now).limit(1)
        if names:
            due = select(Job.id).where(Job.job.in_(names)).limit(1)
        async with scene.place.instance.runtime.database.session(write=False) as db:
            return await db.scalar(due) is None

    await eventually(is_done, "the work to be done")


@asynccontextmanager
async def start_story(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(find_node("socket.io-client"), FOLDER / "life.mjs", json.dumps({"url": url})),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def write_variables(*settings: dict[str, Any]) -> dict[str, str]:
    return {name.upper(): str(value) for some in settings for name, value in some.items()}

"""Messages sent in one statement are stored and told as those that are sent step by step."""

import asyncio
import random
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from sqlalchemy import select, text

from handlers.chat.payloads import SendMessage
from handlers.chat.sending import send_in_steps, send_messages
from handlers.chat.unread import settle_notifications
from server.context import Context
from server.contract import Asked
from server.errors import Error, NotFound
from server.follow_ups import LeftToWorkers, NewRow, Stored
from server.outgoing import FollowUp
from server.runtime import Runtime
from storage import chat as chats
from storage import outbox
from tests.instance import Instance
from tests.stand_ins.waiting import eventually, settled
from tests.talks import Talk, add_talk, start_talk

ROWS = {
    "chats": (
        "SELECT id, last_seq, psychologist_read_seq, psychologist_delivered_seq,"
        " psychologist_unread, patient_read_seq, patient_delivered_seq, patient_unread FROM chats"
    ),
    "messages": "SELECT chat_id, seq, sender_id, text, deleted, files FROM messages",
    "receipts": "SELECT chat_id, user_id, kind, seq FROM receipts",
    "heads": "SELECT user_id, seq FROM heads WHERE namespace = '/chat'",
    "log": "SELECT user_id, seq, event, data FROM event_log WHERE event = 'message:created'",
}
ROW = select(outbox.Job.id).where(outbox.Job.job == settle_notifications.job.name)
JOBS = "SELECT payload FROM outbox WHERE job = 'chat.settle'"
PASSING = ("client_ref", "created_at")


class Idle(LeftToWorkers):
    """Does no follow-ups, so that their rows stay to be looked at."""

    patience = timedelta(hours=1)


@pytest.mark.scaled
@pytest.mark.parametrize("seed", range(4))
async def test_both_ways_leave_the_same(
    server: Instance, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(server.runtime, "follow_ups", Idle())
    chance = random.Random(seed)
    ones, others = await start_talks(server), await start_talks(server)
    for _ in range(8):
        said = [
            (chance.randrange(len(ones)), chance.randrange(2), str(chance.random()))
            for _ in range(chance.randint(1, 12))
        ]
        async with Context.open(server.runtime) as ctx:
            at_once = await send_messages(ctx, ask(ones, said))
        async with Context.open(server.runtime) as ctx:
            in_steps = await send_in_steps(ctx, ask(others, said))
        assert [tell(one, ones) for one in at_once] == [tell(one, others) for one in in_steps]

    assert await read(server.runtime, ones) == await read(server.runtime, others)


@pytest.mark.parametrize("who", [(2,), (0, 2), (2, 1, 0), (0, 2, 1, 0)])
async def test_a_stranger_is_refused_and_leaves_no_gap(
    server: Instance, who: Sequence[int]
) -> None:
    talk, other = await start_talk(server), await start_talk(server)
    people = [*talk.people, other.psychologist]
    asked = [
        Asked(
            people[one].identity,
            SendMessage(chat_id=talk.chat_id, client_ref=uuid4(), text="to one chat"),
        )
        for one in who
    ]

    async with Context.open(server.runtime) as ctx:
        *answers, apart = await send_messages(ctx, [*asked, *ask([other], [(0, 1, "apart")])])

    refused = [place for place, answer in enumerate(answers) if isinstance(answer, NotFound)]
    assert refused == [place for place, one in enumerate(who) if one == 2]
    sent = [orjson.loads(one.as_json)["seq"] for one in answers if not isinstance(one, Error)]
    assert sent == list(range(1, len(who) - len(refused) + 1))
    assert not isinstance(apart, Error)
    assert orjson.loads(apart.as_json)["seq"] == 1
    async with server.runtime.database.session(write=False) as db:
        (chat,) = (await db.execute(text(ROWS["chats"] + f" WHERE id = {talk.chat_id}"))).all()
    assert chat.last_seq == len(sent)


@pytest.mark.scaled
@pytest.mark.parametrize("reader", [0, 1])
async def test_a_message_that_waits_for_a_reading_moves_what_that_left(
    server: Instance, reader: int
) -> None:
    """Its snapshot is older than the lock that it waits for."""
    talk = await start_talk(server)
    for who in (0, 1, 0):
        await send(server, ask([talk], [(0, who, "before")]))
    person = talk.people[reader]
    async with Context.open(server.runtime) as reading:
        talks = await chats.lock_talks(reading.db, [talk.chat_id])
        member = talks[talk.chat_id].members[person.id]
        chats.mark_read(talks[talk.chat_id], member, 3, 0, reading.now)
        chats.mark_delivered(talks[talk.chat_id], member, 3, reading.now)
        member.moved = True
        reading.write(chats.save_talks(talks.values(), reading.now))
        sending = asyncio.create_task(send(server, ask([talk], [(0, 1, "after")])))
        await eventually(lambda: is_waiting(server.runtime), "the message to wait")
    await sending

    async with server.runtime.database.session(write=False) as db:
        chat = await db.get_one(chats.Chat, talk.chat_id)
    assert chat.find_place(talk.patient.id) == (4, 4, 0)
    assert chat.find_place(talk.psychologist.id) == (3, 3, 1)


class Sharing(LeftToWorkers):
    """Plans one row for all that changes."""

    def __init__(self) -> None:
        self._stored: Stored | None = None

    def plan(self, follow_up: FollowUp, ids: Collection[int], new_row: NewRow) -> Stored:
        self._stored = self._stored or super().plan(follow_up, ids, new_row)
        return self._stored


@pytest.mark.scaled
async def test_a_shared_row_is_done_once_more_after_whoever_has_it(
    server: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.runtime, "follow_ups", Sharing())
    talk = await start_talk(server)
    await send(server, ask([talk], [(0, 0, "first")]))
    async with Context.open(server.runtime) as ctx:
        job_id = (await ctx.db.scalars(ROW)).one()
        lease = timedelta(minutes=1)
        job = await outbox.claim_job(ctx.db, job_id, now=ctx.now, lease=lease)
    assert job is not None

    await send(server, ask([talk], [(0, 1, "while it is done")]))

    async with Context.open(server.runtime) as ctx:
        assert await outbox.finish_job(ctx.db, job)
        again = await outbox.claim_job(ctx.db, job_id, now=ctx.now, lease=lease)
    assert again is not None
    async with Context.open(server.runtime) as ctx:
        assert await outbox.finish_job(ctx.db, again)
        assert await ctx.db.scalar(ROW) is None

    await send(server, ask([talk], [(0, 0, "after it was done")]))

    async with server.runtime.database.session(write=False) as db:
        assert await db.scalar(ROW) is not None


@pytest.mark.scaled
async def test_those_who_write_all_the_time_share_a_row_until_it_is_done(server: Instance) -> None:
    talk = await start_talk(server)

    async def write_and_look() -> bool:
        await send(server, ask([talk], [(0, 0, "asked"), (0, 1, "answered")]))
        async with server.runtime.database.session(write=False) as db:
            return await db.scalar(ROW.where(outbox.Job.revision > 1)) is not None

    await eventually(write_and_look, "messages to find a row that is there")
    await settled(server)


async def send(server: Instance, asked: Sequence[Asked[SendMessage]]) -> None:
    async with Context.open(server.runtime) as ctx:
        await send_messages(ctx, asked)


async def is_waiting(runtime: Runtime) -> bool:
    """Whether somebody waits for a lock of somebody else's."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with runtime.database.session(write=False) as db:
        return bool((await db.execute(waiting)).scalar_one())


async def start_talks(server: Instance) -> list[Talk]:
    first = await start_talk(server)
    return [first, *[await add_talk(first, await server.add_person()) for _ in range(2)]]


def ask(talks: Sequence[Talk], said: Sequence[tuple[int, int, str]]) -> list[Asked[SendMessage]]:
    return [
        Asked(
            talks[place].people[who].identity,
            SendMessage(chat_id=talks[place].chat_id, client_ref=uuid4(), text=words),
        )
        for place, who, words in said
    ]


def tell(answer: Any, talks: Sequence[Talk]) -> Any:
    return name(orjson.loads(answer.as_json), talks)


async def read(runtime: Runtime, talks: Sequence[Talk]) -> dict[str, list[Any]]:
    """What is stored of these chats, with the same names for the same things."""
    found = {}
    async with runtime.database.session(write=False) as db:
        for what, query in ROWS.items():
            rows = [dict(row._mapping) for row in await db.execute(text(query))]
            found[what] = sorted(
                (str(name(row, talks)) for row in rows if is_of(row, talks)),
            )
        payloads = [orjson.loads(row.payload) for row in await db.execute(text(JOBS))]
    # One job may be for several chats, and one chat in several jobs.
    followed = {chat_id for payload in payloads for chat_id in payload["ids"]}
    found["followed"] = [
        f"chat {place}" for place, talk in enumerate(talks) if talk.chat_id in followed
    ]
    return found


def is_of(row: dict[str, Any], talks: Sequence[Talk]) -> bool:
    chats = {talk.chat_id for talk in talks}
    people = {person.id for talk in talks for person in talk.people}
    return row.get("chat_id", row.get("id")) in chats or row.get("user_id") in people


def name(value: dict[str, Any], talks: Sequence[Talk]) -> dict[str, Any]:
    """Ids as what they stand for, and nothing that passes."""
    chats = {talk.chat_id: f"chat {place}" for place, talk in enumerate(talks)}
    people = {
        person.id: f"{place}.{who}"
        for place, talk in enumerate(talks)
        for who, person in enumerate(talk.people)
    }
    named: dict[str, Any] = {}
    for key, part in value.items():
        if key in ("chat_id", "id"):
            named[key] = chats[part]
        elif key in ("user_id", "sender_id"):
            named[key] = people[part]
        elif key == "data":
            named[key] = name(orjson.loads(part), talks)
        elif key not in PASSING:
            named[key] = part
    return named

"""Pushes that could not go at once: what has changed meanwhile counts, and nothing else waits."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from handlers.accounts import people
from jobs.worker import SLOTS
from server.context import Context
from server.outgoing import Queue
from storage.accounts import Status
from storage.accounts.devices import MAX_DEVICES
from storage.outbox import Job
from tests.conftest import StartInstance
from tests.devices import list_tokens, register, wait_until_quiet
from tests.instance import Instance, Person
from tests.stand_ins.fcm import FcmStandIn
from tests.stand_ins.waiting import eventually, set_clock
from tests.talks import Talk, start_talk

ACCOUNT = "/account"
PHONE = "token of a phone"
SOON = timedelta(seconds=6)


@pytest.fixture
async def talk(start: StartInstance, fcm: FcmStandIn) -> Talk:
    """A chat whose patient has a phone, which is not connected."""
    talk = await start_talk(await start(**fcm.settings))
    await register(talk.server, talk.patient, PHONE)
    return talk


async def change_status(server: Instance, person: Person, status: Status) -> None:
    async with Context.open(server.runtime) as ctx:
        await people.change_status(ctx, person.email, status)


async def fail_to_push(talk: Talk, fcm: FcmStandIn, error: str) -> None:
    """A message whose push was tried once, in vain."""
    fcm.errors[PHONE] = error
    await talk.send(talk.psychologist)
    await set_clock(talk.server, ahead=SOON)

    async def has_failed() -> bool:
        async with talk.server.runtime.database.session(write=False) as db:
            failed = await db.scalar(select(func.count()).where(Job.failures == 1))
        return failed == 1

    await eventually(has_failed, "a push that failed")
    fcm.errors.clear()


@pytest.mark.parametrize("error", ["internal", "unavailable"])
async def test_what_the_provider_could_not_take_is_sent_later(
    talk: Talk, fcm: FcmStandIn, error: str
) -> None:
    await fail_to_push(talk, fcm, error)

    await set_clock(talk.server, ahead=timedelta(minutes=1))
    await fcm.wait_for()
    await wait_until_quiet(talk.server)

    assert [push["token"] for push in fcm.sent] == [PHONE]


async def test_a_push_that_is_tried_again_waits_for_quiet_hours_to_end(
    talk: Talk, fcm: FcmStandIn
) -> None:
    await fail_to_push(talk, fcm, "internal")
    now = datetime.now(UTC)
    hours = {
        "starts": f"{now - timedelta(minutes=5):%H:%M}",
        "ends": f"{now + timedelta(hours=2):%H:%M}",
    }
    await talk.server.ask(talk.patient, ACCOUNT, "quiet_hours:update", hours)

    await set_clock(talk.server, ahead=timedelta(minutes=1))
    await wait_until_quiet(talk.server, until=timedelta(hours=1))
    assert (fcm.sent, len(fcm.attempts)) == ([], 1)

    await set_clock(talk.server, ahead=timedelta(hours=2, minutes=2))
    await fcm.wait_for()


@pytest.mark.parametrize(
    ("namespace", "event", "choice"),
    [
        (ACCOUNT, "settings:update", {"push_enabled": False}),
        (
            "/notifications",
            "preference:set",
            {"type": "message", "in_app": True, "push": False, "email": False},
        ),
    ],
)
async def test_a_push_that_nobody_wants_any_more_is_not_tried_again(
    talk: Talk, fcm: FcmStandIn, namespace: str, event: str, choice: dict[str, Any]
) -> None:
    await fail_to_push(talk, fcm, "internal")
    await talk.server.ask(talk.patient, namespace, event, choice)

    await set_clock(talk.server, ahead=timedelta(minutes=1))
    await wait_until_quiet(talk.server)

    assert (fcm.sent, len(fcm.attempts)) == ([], 1)


async def test_who_was_blocked_gets_none(talk: Talk, fcm: FcmStandIn) -> None:
    await talk.send(talk.psychologist)
    await change_status(talk.server, talk.patient, Status.BLOCKED)
    await set_clock(talk.server, ahead=SOON)
    await wait_until_quiet(talk.server)

    assert fcm.attempts == []
    assert await list_tokens(talk.server) == []


async def test_summaries_go_on_when_a_block_is_over(talk: Talk, fcm: FcmStandIn) -> None:
    server, patient = talk.server, talk.patient
    schedule = {"times": ["05:00"], "frequency": "daily"}
    await server.ask(patient, ACCOUNT, "schedule:update", schedule)
    await talk.send(talk.psychologist)
    await change_status(server, patient, Status.BLOCKED)
    await set_clock(server, ahead=timedelta(days=1, minutes=1))
    await wait_until_quiet(server)

    await change_status(server, patient, Status.ACTIVE)
    await register(server, await server.sign_in(patient.email), PHONE)
    await set_clock(server, ahead=timedelta(days=2, minutes=2))
    (push,) = await fcm.wait_for()
    await wait_until_quiet(server)

    assert (push["data"]["type"], len(fcm.sent)) == ("digest", 1)


async def test_a_provider_that_hangs_holds_up_no_letters(talk: Talk, fcm: FcmStandIn) -> None:
    server, patient = talk.server, talk.patient
    for number in range(SLOTS[Queue.PUSH]):
        await register(server, patient, f"token {number}")
    fcm.tokens_may_pass.clear()
    choice = {"type": "digest", "in_app": False, "push": False, "email": True}
    await server.ask(patient, "/notifications", "preference:set", choice)
    soon = datetime.now(UTC) + timedelta(minutes=2)
    schedule = {"times": [f"{soon:%H:%M}"], "frequency": "daily"}
    await server.ask(patient, ACCOUNT, "schedule:update", schedule)
    await talk.send(talk.psychologist)
    await set_clock(server, ahead=SOON)

    async def all_hang() -> bool:
        async with server.runtime.database.session(write=False) as db:
            taken = await db.scalar(
                select(func.count()).where(Job.queue == Queue.PUSH, Job.claimed_until.is_not(None))
            )
        return taken == SLOTS[Queue.PUSH]

    async def find_letter() -> list[Path]:
        return list((server.runtime.settings.data_dir / "outbox").glob("digest.*.eml"))

    await eventually(all_hang, "a queue full of pushes that hang")
    await set_clock(server, ahead=timedelta(minutes=3))
    await eventually(find_letter, "a summary by mail")
    fcm.tokens_may_pass.set()
    await wait_until_quiet(server)


async def test_the_oldest_device_makes_room(talk: Talk) -> None:
    tokens = [f"token {number:02}" for number in range(MAX_DEVICES)]
    for token in tokens:
        await register(talk.server, talk.patient, token)

    assert await list_tokens(talk.server) == tokens

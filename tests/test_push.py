"""Push: when a message is pushed, to whom, how often, and what becomes of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from handlers.notifications import notify
from handlers.notifications.kinds import KINDS, declare_kind
from server.context import Context
from storage.dead_jobs import DeadJob
from storage.notifications import NewNotification
from storage.outbox import Job
from tests.client import Client
from tests.conftest import StartInstance
from tests.devices import list_tokens, register, wait_until_quiet
from tests.instance import Instance
from tests.stand_ins.fcm import FcmStandIn
from tests.stand_ins.waiting import eventually, set_clock
from tests.talks import Talk, add_talk, refusal, start_talk

ACCOUNT = "/account"
SOON = timedelta(seconds=6)
PHONE, TABLET = "token of a phone", "token of a tablet"


@pytest.fixture
async def server(start: StartInstance, fcm: FcmStandIn) -> Instance:
    return await start(**fcm.settings)


@pytest.fixture
async def talk(server: Instance) -> Talk:
    """A chat whose patient has a phone, which is not connected."""
    talk = await start_talk(server)
    await register(server, talk.patient, PHONE)
    return talk


async def test_a_message_to_an_offline_patient_becomes_one_push(
    talk: Talk, fcm: FcmStandIn
) -> None:
    for number in range(5):
        await talk.send(talk.psychologist, f"A secret, part {number}")
    await set_clock(talk.server, ahead=SOON)
    await fcm.wait_for()
    await wait_until_quiet(talk.server)

    (push,) = fcm.sent
    subject = f"chat:{talk.chat_id}"
    assert push["token"] == PHONE
    assert push["notification"] == {
        "title": talk.psychologist.name,
        "body": "You have new messages.",
    }
    feed = await talk.server.ask(talk.patient, "/notifications", "notification:list", {})
    assert push["data"] == {
        "type": "message",
        "subject": subject,
        "link": f"/chats/{talk.chat_id}",
        "chat_id": str(talk.chat_id),
        "notification_id": str(feed["items"][0]["id"]),
    }
    assert push["android"]["collapse_key"] == subject
    assert push["android"]["notification"]["tag"] == subject
    assert push["apns"]["headers"]["apns-collapse-id"] == subject
    assert push["apns"]["payload"]["aps"]["badge"] == 5
    assert "secret" not in str(push)


async def test_every_device_gets_it_and_a_later_message_replaces_it(
    talk: Talk, fcm: FcmStandIn
) -> None:
    await register(talk.server, talk.patient, TABLET)
    await talk.send(talk.psychologist)
    await set_clock(talk.server, ahead=SOON)
    await fcm.wait_for(2)
    await wait_until_quiet(talk.server)
    await talk.send(talk.psychologist)
    await set_clock(talk.server, ahead=2 * SOON)
    await fcm.wait_for(4)
    await wait_until_quiet(talk.server)

    assert sorted(push["token"] for push in fcm.sent) == [PHONE, PHONE, TABLET, TABLET]
    assert {push["android"]["collapse_key"] for push in fcm.sent} == {f"chat:{talk.chat_id}"}
    badges = [push["apns"]["payload"]["aps"]["badge"] for push in fcm.find(PHONE)]
    assert badges == [1, 2]


@pytest.mark.parametrize("event", ["message:delivered", "message:read"])
async def test_what_a_device_has_got_is_not_pushed(talk: Talk, fcm: FcmStandIn, event: str) -> None:
    message = await talk.send(talk.psychologist)
    await talk.ask(talk.patient, event, seq=message["seq"])
    other = await add_talk(talk, await talk.server.add_person())
    await register(talk.server, other.patient, TABLET)
    await other.send(other.psychologist)

    await set_clock(talk.server, ahead=SOON)
    await fcm.wait_for()
    await wait_until_quiet(talk.server)

    assert [push["token"] for push in fcm.sent] == [TABLET]


async def test_what_is_read_while_the_provider_is_busy_is_not_pushed_again(
    talk: Talk, fcm: FcmStandIn
) -> None:
    fcm.errors[PHONE] = "quota"
    message = await talk.send(talk.psychologist)
    await set_clock(talk.server, ahead=SOON)
    await fcm.wait_for_attempts()
    await talk.ask(talk.patient, "message:read", seq=message["seq"])

    fcm.errors.clear()
    await set_clock(talk.server, ahead=2 * SOON + timedelta(seconds=fcm.retry_after))
    await wait_until_quiet(talk.server)

    assert (fcm.sent, len(fcm.attempts)) == ([], 1)


@pytest.mark.parametrize("error", ["unregistered", "mismatch"])
async def test_a_dead_token_is_forgotten_and_the_others_are_served(
    talk: Talk, fcm: FcmStandIn, error: str
) -> None:
    await register(talk.server, talk.patient, TABLET)
    fcm.errors[PHONE] = error
    await talk.send(talk.psychologist)
    await set_clock(talk.server, ahead=SOON)
    await fcm.wait_for()
    await wait_until_quiet(talk.server)

    assert [push["token"] for push in fcm.sent] == [TABLET]
    assert await list_tokens(talk.server) == [TABLET]


async def test_who_is_asked_to_wait_waits_as_long_as_told(talk: Talk, fcm: FcmStandIn) -> None:
    await register(talk.server, talk.patient, TABLET)
    fcm.errors[PHONE], fcm.retry_after = "quota", 100
    await talk.send(talk.psychologist)
    await set_clock(talk.server, ahead=SOON)
    await fcm.wait_for_attempts(2)
    await wait_until_quiet(talk.server, until=timedelta(seconds=80))
    assert [push["token"] for push in fcm.sent] == [TABLET]

    fcm.errors.clear()
    await set_clock(talk.server, ahead=SOON + timedelta(seconds=110))
    await fcm.wait_for(2)
    await wait_until_quiet(talk.server)

    # The device that had it is not disturbed again.
    assert [push["token"] for push in fcm.sent] == [TABLET, PHONE]


@pytest.mark.parametrize(
    ("error", "kind"), [("invalid", "InvalidArgumentError"), ("apns", "ThirdPartyAuthError")]
)
async def test_what_will_never_be_taken_goes_to_the_dead_letters(
    talk: Talk, fcm: FcmStandIn, error: str, kind: str
) -> None:
    fcm.errors[PHONE] = error
    await talk.send(talk.psychologist)
    await set_clock(talk.server, ahead=SOON)

    async def find() -> DeadJob | None:
        async with talk.server.runtime.database.session(write=False) as db:
            return (await db.scalars(select(DeadJob))).one_or_none()

    dead = await eventually(find, "a dead push")
    assert dead is not None
    assert (dead.job, dead.error, dead.attempts) == ("notifications.push", kind, 1)
    assert await list_tokens(talk.server) == [PHONE]


async def test_a_provider_that_hangs_holds_up_nothing_else(talk: Talk, fcm: FcmStandIn) -> None:
    fcm.tokens_may_pass.clear()
    await talk.send(talk.psychologist)
    await set_clock(talk.server, ahead=SOON)
    client = await talk.server.connect(talk.patient)

    async with asyncio.timeout(3):
        for _ in range(20):
            await client.ask("unread:get")
        await talk.server.ask(talk.patient, "/notifications", "notification:list", {})

    fcm.tokens_may_pass.set()
    await fcm.wait_for()


async def test_who_has_switched_pushes_off_gets_none(talk: Talk, fcm: FcmStandIn) -> None:
    patients = [await talk.server.add_person() for _ in range(3)]
    talks = [await add_talk(talk, patient) for patient in patients]
    for number, patient in enumerate(patients):
        await register(talk.server, patient, f"token {number}")
    off = {"push_enabled": False}
    await talk.server.ask(patients[0], ACCOUNT, "settings:update", off)
    choice = {"type": "message", "in_app": True, "push": False, "email": False}
    await talk.server.ask(patients[1], "/notifications", "preference:set", choice)
    await talk.server.ask(patients[2], ACCOUNT, "device:remove", {"token": "token 2"})

    for one in [*talks, talk]:
        await one.send(one.psychologist)
    await set_clock(talk.server, ahead=SOON)
    await fcm.wait_for()
    await wait_until_quiet(talk.server)

    assert [push["token"] for push in fcm.sent] == [PHONE]


async def test_devices_belong_to_one_person_and_go_with_their_session(
    talk: Talk, fcm: FcmStandIn
) -> None:
    server = talk.server
    again = await server.sign_in(talk.patient.email)
    await register(server, again, TABLET)
    # The phone changes hands: what was its owner's is not shown to the next one.
    await register(server, talk.psychologist, PHONE)
    await server.ask(again, ACCOUNT, "session:end", {"session_id": again.session_id})

    assert await list_tokens(server) == [PHONE]
    gone = server.ask(talk.patient, ACCOUNT, "device:remove", {"token": PHONE})
    assert await refusal(gone) == "not_found"
    await talk.send(talk.psychologist)
    await talk.send(talk.patient)
    await set_clock(server, ahead=SOON)
    await fcm.wait_for()
    await wait_until_quiet(server)
    assert [push["notification"]["title"] for push in fcm.sent] == [talk.patient.name]


async def test_quiet_hours_put_pushes_off_but_for_critical_ones(
    talk: Talk, fcm: FcmStandIn
) -> None:
    server, patient = talk.server, talk.patient
    kind = KINDS.get("trial.critical") or declare_kind("trial.critical", critical=True)
    now = datetime.now(UTC)
    hours = {
        "starts": f"{now - timedelta(minutes=5):%H:%M}",
        "ends": f"{now + timedelta(hours=2):%H:%M}",
    }
    assert await server.ask(patient, ACCOUNT, "quiet_hours:update", hours) == hours

    await talk.send(talk.psychologist)
    await set_clock(server, ahead=SOON)
    await wait_until_quiet(server, until=timedelta(hours=1))
    assert fcm.sent == []
    async with Context.open(server.runtime) as ctx:
        note = NewNotification(patient.id, kind.name, "trial:1", "Now", "Urgent", "/", {})
        await notify(ctx, [note])
    await fcm.wait_for()
    assert [push["data"]["type"] for push in fcm.sent] == [kind.name]

    await set_clock(server, ahead=timedelta(hours=2, minutes=2))
    await fcm.wait_for(2)
    assert fcm.sent[1]["data"]["type"] == "message"


async def test_a_summary_comes_when_it_was_asked_for_and_says_nothing_without_cause(
    talk: Talk, fcm: FcmStandIn
) -> None:
    server, patient = talk.server, talk.patient
    await server.ask(patient, ACCOUNT, "profile:update", {"time_zone": "Asia/Kathmandu"})
    schedule = {"times": ["21:30", "05:00"], "frequency": "daily"}
    answer = await server.ask(patient, ACCOUNT, "schedule:update", schedule)
    assert answer == {"times": ["05:00", "21:30"], "frequency": "daily", "weekday": None}

    await set_clock(server, ahead=timedelta(days=1))
    await wait_until_quiet(server)
    assert fcm.sent == []
    await set_clock(server, ahead=timedelta(0))
    await talk.send(talk.psychologist)
    await set_clock(server, ahead=SOON)
    await fcm.wait_for()
    await set_clock(server, ahead=timedelta(days=2))
    await fcm.wait_for(2)
    await wait_until_quiet(server)

    summary = fcm.sent[1]
    assert summary["data"]["type"] == "digest"
    assert (
        summary["notification"]["body"] == "Unread messages: 1 (chats: 1). Other notifications: 0."
    )
    await server.ask(patient, ACCOUNT, "schedule:update", {"times": [], "frequency": "off"})
    assert await count_jobs(server, "accounts.digest") == 0


async def count_jobs(server: Instance, name: str) -> int:
    async with server.runtime.database.session(write=False) as db:
        return await db.scalar(select(func.count()).where(Job.job == name)) or 0


@pytest.mark.parametrize(
    ("event", "payload", "path"),
    [
        ("schedule:update", {"times": ["5:00"], "frequency": "daily"}, "times.0"),
        ("schedule:update", {"times": [], "frequency": "daily"}, "times"),
        ("schedule:update", {"times": ["05:00"], "frequency": "weekly", "weekday": 8}, "weekday"),
        ("schedule:update", {"times": ["05:00"], "frequency": "hourly"}, "frequency"),
        ("quiet_hours:update", {"starts": "22:00", "ends": None}, "ends"),
        ("quiet_hours:update", {"starts": "22:00", "ends": "22:00"}, "ends"),
        ("device:register", {"token": "", "platform": "ios"}, "token"),
        ("device:register", {"token": "t", "platform": "fridge"}, "platform"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    server: Instance, event: str, payload: dict[str, Any], path: str
) -> None:
    person = await server.add_person()
    client: Client = await server.connect(person, ACCOUNT)
    answer = await client._client.call(event, payload, namespace=ACCOUNT)
    assert [field["path"] for field in answer["error"]["fields"]] == [path]

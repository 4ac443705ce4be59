"""What people want to be told of, by which channels, and letters that can be ended."""

import re
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession
from sqlalchemy import func, select

from handlers.notifications import notify
from server.context import Context
from storage.accounts import Role
from storage.notifications import NewNotification
from storage.outbox import Job
from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.snapshots import feed_snapshot, fold
from tests.stand_ins.smtp import SmtpStandIn
from tests.stand_ins.waiting import eventually, set_clock, settled
from tests.talks import start_talk

FEED = "/notifications"
LATER = timedelta(minutes=6)


@pytest.fixture
async def server(start: StartInstance, smtp: SmtpStandIn) -> Instance:
    return await start(smtp_url=smtp.url)


async def choose(server: Instance, person: Person, type: str, **switches: bool) -> Any:
    choice = {"type": type, "in_app": True, "push": True, "email": False} | switches
    return await server.ask(person, FEED, "preference:set", choice)


async def list_choices(server: Instance, person: Person) -> dict[str, Any]:
    answer = await server.ask(person, FEED, "preference:list", {})
    return {item["type"]: item for item in answer["items"]}


async def wait_for_mail_queue(server: Instance) -> None:
    async def is_empty() -> bool:
        async with server.runtime.database.session(write=False) as db:
            waiting = await db.scalar(select(func.count()).where(Job.queue == "mail"))
        return waiting == 0

    await eventually(is_empty, "an empty mail queue")


async def get_letter(server: Instance, smtp: SmtpStandIn) -> tuple[Person, EmailMessage]:
    """Somebody who asked for letters about messages, and the first of them."""
    talk = await start_talk(server)
    await choose(server, talk.patient, "message", email=True)
    await talk.send(talk.psychologist, "A secret")
    await set_clock(server, ahead=LATER)
    (letter,) = await smtp.wait_for(to=talk.patient.email)
    return talk.patient, letter


def read(letter: EmailMessage, kind: str) -> str:
    body = letter.get_body((kind,))
    assert body is not None
    text: str = body.get_content()
    return text


async def test_every_type_has_its_switches(server: Instance) -> None:
    person = await server.add_person()
    before = await list_choices(server, person)
    assert before["message"] == {
        "type": "message",
        "in_app": True,
        "push": True,
        "email": False,
        "critical": False,
    }

    told = await choose(server, person, "message", push=False, email=True)

    after = await list_choices(server, person)
    assert after == before | {"message": told}
    assert (told["push"], told["email"]) == (False, True)


@pytest.mark.parametrize(
    ("type", "code"), [("weather", "unknown_type"), ("trial.loud", "critical")]
)
async def test_a_choice_that_cannot_be_is_refused(server: Instance, type: str, code: str) -> None:
    from handlers.notifications.kinds import KINDS, declare_kind

    if "trial.loud" not in KINDS:
        declare_kind("trial.loud", critical=True)
    person = await server.add_person()
    status, answer = await server.request(
        "POST",
        "/events/notifications/preference:set",
        {"type": type, "in_app": False, "push": True, "email": False},
        token=person.token,
    )
    assert status == 422
    assert [field["code"] for field in answer["error"]["fields"]] == [code]


async def test_what_is_not_wanted_in_the_feed_is_not_there(server: Instance) -> None:
    talk = await start_talk(server)
    device = await server.connect(talk.patient, FEED)
    await choose(server, talk.patient, "message", in_app=False)
    await talk.send(talk.psychologist)
    await settled(server)

    listed = await server.ask(talk.patient, FEED, "notification:list", {})
    assert (listed["items"], listed["total"]) == ([], 0)
    assert await server.ask(talk.patient, FEED, "unread:get", {}) == {"total": 0}
    await choose(server, talk.patient, "message")
    await talk.ask(talk.patient, "message:read", seq=1)
    await settled(server)
    await talk.send(talk.psychologist)
    told = await device.wait_for("notification:created", namespace=FEED)
    assert told.seq == 1


async def test_what_says_something_else_now_is_told_and_not_announced_again(
    server: Instance,
) -> None:
    person = await server.add_person()
    device = await server.connect(person, FEED)

    async def list_feed() -> Any:
        listed = await server.ask(person, FEED, "notification:list", {})
        return feed_snapshot(listed, await server.ask(person, FEED, "unread:get", {}))

    snapshots = [await list_feed()]
    for title in ("Sleep", "Sleep", "Better sleep"):
        async with Context.open(server.runtime) as ctx:
            note = NewNotification(person.id, "resource", "resource:1", title, "New", "/r/1", {})
            await notify(ctx, [note])
        snapshots.append(await list_feed())

    told = await device.wait_for("notification:updated", namespace=FEED)
    assert (told.data["title"], told.seq) == ("Better sleep", 2)
    assert fold(snapshots[0], device.pushes(FEED), person.id) == snapshots[-1]


async def test_subscriptions_are_what_was_set_last(server: Instance) -> None:
    person = await server.add_person()
    for categories in (["sleep", "anxiety"], ["sleep", "food", "sleep"], []):
        wanted = {"categories": sorted(set(categories))}
        assert (
            await server.ask(person, FEED, "subscription:set", {"categories": categories}) == wanted
        )
        assert await server.ask(person, FEED, "subscription:list", {}) == wanted


async def test_a_letter_says_it_in_text_and_html_and_can_be_ended(
    server: Instance, smtp: SmtpStandIn
) -> None:
    person, letter = await get_letter(server, smtp)

    for kind in ("plain", "html"):
        body = read(letter, kind)
        assert "You have new messages." in body
        assert "A secret" not in body
    assert "<a href=" in read(letter, "html")
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = re.fullmatch(r"<(.*)>", letter["List-Unsubscribe"])
    assert link is not None
    parts = urlsplit(link[1])
    url = f"{server.url}{parts.path}?{parts.query}"

    async with ClientSession() as web:
        async with web.get(url) as page:
            assert (page.status, page.content_type) == (200, "text/html")
            assert '<form method="post">' in await page.text()
        assert (await list_choices(server, person))["message"]["email"] is True
        for _ in range(2):
            form = {"List-Unsubscribe": "One-Click"}
            async with web.post(url, data=form) as page:
                assert page.status == 200
        async with web.post(f"{url[:-3]}abc") as page:
            assert page.status == 404
    assert (await list_choices(server, person))["message"]["email"] is False


async def test_what_is_read_in_time_needs_no_letter(server: Instance, smtp: SmtpStandIn) -> None:
    talk = await start_talk(server)
    await choose(server, talk.patient, "message", email=True)
    message = await talk.send(talk.psychologist)
    await talk.ask(talk.patient, "message:read", seq=message["seq"])
    await set_clock(server, ahead=LATER)
    await wait_for_mail_queue(server)
    assert smtp.letters == []


async def test_an_invitation_that_waits_is_mailed_in_the_patients_language(
    server: Instance, smtp: SmtpStandIn
) -> None:
    psychologist = await server.add_person(Role.PSYCHOLOGIST, "Anna & Sons")
    waiting, quick = await server.add_person(), await server.add_person()
    await server.ask(waiting, "/account", "profile:update", {"locale": "ru"})
    for patient in (waiting, quick):
        await server.ask(psychologist, "/care", "relation:invite", {"email": patient.email})
    answer = {"psychologist_id": psychologist.id}
    await server.ask(quick, "/care", "relation:accept", answer)

    await set_clock(server, ahead=LATER)
    (letter,) = await smtp.wait_for()
    await wait_for_mail_queue(server)

    assert (len(smtp.letters), letter["To"]) == (1, waiting.email)
    assert letter["Subject"] == "Anna & Sons: приглашает вас к работе."
    assert "Anna &amp; Sons" in read(letter, "html")


async def test_a_summary_goes_by_mail_where_it_is_wanted(
    server: Instance, smtp: SmtpStandIn
) -> None:
    talk = await start_talk(server)
    await choose(server, talk.patient, "digest", email=True)
    schedule = {"times": ["05:00"], "frequency": "weekly", "weekday": 3}
    await server.ask(talk.patient, "/account", "schedule:update", schedule)
    await talk.send(talk.psychologist)

    await set_clock(server, ahead=timedelta(days=8))

    (letter,) = await smtp.wait_for(to=talk.patient.email)
    assert letter["Subject"] == "Waiting for you"
    assert "Unread messages: 1 (chats: 1)." in read(letter, "plain")


async def test_letters_that_could_not_be_sent_are_not_sent_to_who_has_ended_them(
    server: Instance, smtp: SmtpStandIn
) -> None:
    talk = await start_talk(server)
    await choose(server, talk.patient, "digest", email=True)
    schedule = {"times": ["05:00"], "frequency": "daily"}
    await server.ask(talk.patient, "/account", "schedule:update", schedule)
    await talk.send(talk.psychologist)
    smtp.busy = True
    await set_clock(server, ahead=timedelta(days=1))

    async def has_failed() -> bool:
        async with server.runtime.database.session(write=False) as db:
            return await db.scalar(select(func.count()).where(Job.failures == 1)) == 1

    await eventually(has_failed, "a letter that was not taken")
    smtp.busy = False
    await choose(server, talk.patient, "digest", email=False)
    await set_clock(server, ahead=timedelta(days=1, minutes=1))
    await wait_for_mail_queue(server)

    assert smtp.letters == []

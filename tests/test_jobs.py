"""Jobs: done once, tried again, given up; told by the letters they send."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from jobs.perform import MAX_FAILURES, perform
from jobs.upkeep import EVERY, FIRST, prune
from server.auth import hash_token
from storage import accounts
from storage.accounts import Role
from storage.outbox import Job
from tests.conftest import StartInstance
from tests.instance import Instance
from tests.stand_ins.letters import (
    ask_for_letter,
    list_letter_jobs,
    wait_for_attempt,
    wait_for_dead_letter,
    wait_until_sent,
)
from tests.stand_ins.smtp import SmtpStandIn
from tests.stand_ins.waiting import eventually, set_clock

BACKOFF = timedelta(hours=2)
"""Longer than any pause between two attempts."""


@pytest.fixture
async def server(start: StartInstance, smtp: SmtpStandIn) -> Instance:
    return await start(smtp_url=smtp.url)


async def test_a_job_is_done_and_its_row_is_gone(server: Instance, smtp: SmtpStandIn) -> None:
    person = await server.add_person()

    await ask_for_letter(server, person)

    await smtp.wait_for(to=person.email)
    await wait_until_sent(server)
    assert len(smtp.letters) == 1


async def test_workers_that_want_the_same_job_do_it_once(
    start: StartInstance, smtp: SmtpStandIn
) -> None:
    servers = [await start(smtp_url=smtp.url) for _ in range(3)]
    people = [await servers[0].add_person() for _ in range(8)]
    for number, person in enumerate(people):
        await ask_for_letter(servers[number % 3], person)
    jobs = await list_letter_jobs(servers[0])

    await asyncio.gather(*(perform(s.runtime, job.id) for job in jobs for s in servers))

    await wait_until_sent(servers[0])
    assert sorted(letter["To"] for letter in smtp.letters) == sorted(p.email for p in people)


@pytest.mark.scaled
async def test_a_job_left_by_a_dead_worker_is_done_by_another_when_its_lease_is_over(
    start: StartInstance, smtp: SmtpStandIn
) -> None:
    first, second = await start(smtp_url=smtp.url), await start(smtp_url=smtp.url)
    person = await first.add_person()
    smtp.may_pass.clear()
    await ask_for_letter(first, person)
    await smtp.wait_for_knock()

    await set_clock(second, ahead=timedelta(minutes=2))

    await smtp.wait_for_knock(2)
    smtp.may_pass.set()
    letters = await smtp.wait_for(2, to=person.email)
    await wait_until_sent(second)
    assert len({letter["Message-ID"] for letter in letters}) == 1


async def test_a_job_that_failed_is_tried_again_later_and_later(
    server: Instance, smtp: SmtpStandIn
) -> None:
    person = await server.add_person()
    smtp.busy = True
    await ask_for_letter(server, person)

    first = await wait_for_attempt(server, 1)
    pause = first.due_at - datetime.now(UTC)
    assert timedelta(0) < pause <= timedelta(seconds=2.5)
    assert first.error == "SMTPDataError"

    await set_clock(server, ahead=BACKOFF)
    second = await wait_for_attempt(server, 2)
    later = second.due_at - server.runtime.clock()
    assert timedelta(seconds=2) < later <= timedelta(seconds=5)

    smtp.busy = False
    await set_clock(server, ahead=2 * BACKOFF)
    await smtp.wait_for(to=person.email)
    await wait_until_sent(server)
    assert len(smtp.letters) == 1


async def test_a_job_waits_while_the_mail_server_is_away(
    server: Instance, smtp: SmtpStandIn
) -> None:
    person = await server.add_person()
    await smtp.stop()
    await ask_for_letter(server, person)
    await wait_for_attempt(server, 1)

    await smtp.start()
    await set_clock(server, ahead=BACKOFF)

    await smtp.wait_for(to=person.email)


async def test_a_job_that_never_succeeds_is_given_up_and_stays_to_be_seen(
    server: Instance, smtp: SmtpStandIn
) -> None:
    person = await server.add_person()
    smtp.busy = True
    await ask_for_letter(server, person)
    for attempt in range(1, MAX_FAILURES):
        job = await wait_for_attempt(server, attempt)
        await set_clock(server, ahead=BACKOFF * attempt)

    dead = await wait_for_dead_letter(server)
    assert (dead.id, dead.attempts, dead.error) == (job.id, MAX_FAILURES, "SMTPDataError")
    smtp.busy = False
    await perform(server.runtime, dead.id)
    assert (await list_letter_jobs(server), smtp.letters) == ([], [])
    await ask_for_letter(server, person)
    await smtp.wait_for(to=person.email)
    assert (await wait_for_dead_letter(server)).id == dead.id


async def test_jobs_of_one_key_are_one_job_while_it_waits(
    server: Instance, smtp: SmtpStandIn
) -> None:
    one, other = await server.add_person(), await server.add_person()
    smtp.busy = True
    await ask_for_letter(server, one)
    await wait_for_attempt(server, 1)
    for _ in range(3):
        await ask_for_letter(server, one)
    assert len(await list_letter_jobs(server)) == 1

    smtp.busy = False
    await ask_for_letter(server, other)
    await smtp.wait_for(to=other.email)
    await set_clock(server, ahead=BACKOFF)

    await smtp.wait_for(to=one.email)
    await wait_until_sent(server)
    assert len(smtp.find(one.email)) == 1


async def test_a_job_asked_for_while_it_runs_is_run_again(
    server: Instance, smtp: SmtpStandIn
) -> None:
    person = await server.add_person()
    smtp.may_pass.clear()
    await ask_for_letter(server, person)
    await smtp.wait_for_knock()

    await ask_for_letter(server, person)
    (job,) = await list_letter_jobs(server)
    assert job.revision == 1
    smtp.may_pass.set()

    await smtp.wait_for(2, to=person.email)
    await wait_until_sent(server)


async def test_upkeep_forgets_what_has_been_kept_long_enough_and_asks_for_itself_again(
    server: Instance, smtp: SmtpStandIn
) -> None:
    person = await server.add_person()
    change = {"name": "Another", "client_ref": str(uuid4())}
    await server.ask(person, "/account", "profile:update", change)
    await set_clock(server, ahead=FIRST)
    await wait_for_upkeep(server)

    await set_clock(server, ahead=timedelta(days=40))
    await wait_for_upkeep(server)
    await set_clock(server, ahead=timedelta(0))

    async with server.runtime.database.session(write=False) as db:
        assert await accounts.get_refresh_token(db, hash_token(person.refresh_token)) is None
    back = await server.sign_in(person.email)
    _, answer = await server.request("GET", "/events/account?after=0", token=back.token)
    stream = answer["data"]
    assert (stream["items"], stream["reset"], stream["head"]) == ([], True, 1)
    # The ref is forgotten too, or it would be a conflict now.
    again = await server.ask(back, "/account", "profile:update", {**change, "name": "A third"})
    assert again["name"] == "A third"


async def wait_for_upkeep(server: Instance) -> None:
    """Until upkeep was done at the server's time, which makes it due an hour later."""

    async def is_done() -> bool:
        async with server.runtime.database.session(write=False) as db:
            due_at = await db.scalar(select(Job.due_at).where(Job.job == prune.name))
        return due_at is not None and due_at > server.runtime.clock() + EVERY / 2

    await eventually(is_done, "upkeep")


async def test_letters_are_in_the_language_of_their_reader(
    server: Instance, smtp: SmtpStandIn
) -> None:
    anna, boris = await server.add_person(name="Anna"), await server.add_person(name="Борис")
    await server.ask(boris, "/account", "profile:update", {"locale": "ru"})

    await ask_for_letter(server, anna)
    await ask_for_letter(server, boris)

    (english,) = await smtp.wait_for(to=anna.email)
    (russian,) = await smtp.wait_for(to=boris.email)
    assert english["Subject"] == "A new password for Emotrack"
    assert "Hello, Anna!" in english.get_content()
    assert russian["Subject"] == "Новый пароль для Emotrack"
    assert "Здравствуйте, Борис!" in russian.get_content()


async def test_an_invitation_is_in_the_language_of_whoever_invites(
    server: Instance, smtp: SmtpStandIn
) -> None:
    anna = await server.add_person(Role.PSYCHOLOGIST, "Anna")
    boris = await server.add_person(Role.PSYCHOLOGIST, "Борис")
    await server.ask(boris, "/account", "profile:update", {"locale": "ru"})

    for psychologist in (anna, boris):
        await server.ask(psychologist, "/care", "relation:invite", {"email": "new@example.com"})

    letters = await smtp.wait_for(2, to="new@example.com")
    assert {letter["Subject"] for letter in letters} == {
        "Anna invites you to Emotrack",
        "Борис приглашает вас в Emotrack",
    }

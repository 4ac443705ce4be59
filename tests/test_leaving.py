"""Leaving for a while: nothing is lost, and nobody gets in; and who may leave at all."""

import asyncio
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession
from sqlalchemy import select, update

from handlers.notifications import write_link
from server.context import Context
from server.errors import NotFound
from storage.accounts import Role, Session, Status, User
from storage.outbox import Job
from tests.conftest import StartInstance
from tests.instance import PASSWORD, Instance, Person
from tests.leavers import AWHILE, FOR_EVER, erase, finish, leave, wait_for_first_round
from tests.stand_ins.operators import change_status
from tests.stand_ins.waiting import eventually, set_clock
from tests.talks import refusal, start_talk

PATHS = pytest.mark.parametrize("path", [AWHILE, FOR_EVER])


async def sign_in(server: Instance, person: Person) -> tuple[int, Any]:
    body = {"email": person.email, "password": PASSWORD}
    return await server.request("POST", "/auth/login", body)


async def read_status(server: Instance, person: Person) -> str:
    async with server.runtime.database.session(write=False) as db:
        return str(await db.scalar(select(User.status).where(User.id == person.id)))


async def list_jobs(server: Instance, name: str) -> list[Job]:
    async with server.runtime.database.session(write=False) as db:
        return list(await db.scalars(select(Job).where(Job.job == name)))


@PATHS
async def test_every_socket_is_cut_on_every_instance(
    instances: tuple[Instance, Instance], path: str
) -> None:
    server, other = instances
    person = await server.add_person()
    elsewhere = await server.sign_in(person.email)
    devices = [
        await server.connect(person, "/account"),
        await other.connect(elsewhere, "/account"),
    ]

    status, _ = await leave(server, person, path)

    assert status == (204 if path == AWHILE else 202)
    async with asyncio.timeout(2):
        await asyncio.gather(*(device.wait_until_left("/account") for device in devices))
    for session in (person, elsewhere):
        assert await refusal(server.ask(session, "/account", "profile:get", {})) == (
            "unauthenticated"
        )
        body = {"refresh_token": session.refresh_token}
        assert (await server.request("POST", "/auth/refresh", body))[0] == 401
    assert (await leave(server, person, path))[0] == 401


@PATHS
@pytest.mark.parametrize("given", [None, "a wrong password", "x" * 100])
async def test_without_the_password_nobody_leaves(
    server: Instance, path: str, given: str | None
) -> None:
    person = await server.add_person(with_password=True)

    status, answer = await leave(server, person, path, given)

    assert (status, answer["error"]["code"]) == (401, "bad_credentials")
    assert await read_status(server, person) == Status.ACTIVE
    assert (await leave(server, person, path, PASSWORD))[0] in (202, 204)


@PATHS
async def test_who_has_no_password_must_have_just_signed_in(server: Instance, path: str) -> None:
    person = await server.add_person()
    status, answer = await leave(server, person, path, PASSWORD)
    assert (status, answer["error"]["code"]) == (401, "bad_credentials")
    async with Context.open(server.runtime) as ctx:
        earlier = ctx.now - timedelta(minutes=11)
        statement = update(Session).where(Session.id == person.session_id)
        await ctx.db.execute(statement.values(created_at=earlier))

    status, answer = await leave(server, person, path)

    assert (status, answer["error"]["code"]) == (401, "bad_credentials")
    assert (await leave(server, await server.sign_in(person.email), path))[0] in (202, 204)


@PATHS
async def test_guesses_at_the_password_are_limited(start: StartInstance, path: str) -> None:
    server = await start(rate_limit_scale=1)
    person = await server.add_person(with_password=True)

    statuses = [(await leave(server, person, path))[0] for _ in range(11)]

    assert statuses == [401] * 10 + [429]


@PATHS
@pytest.mark.parametrize(
    "body", [{}, {"password": 5}, {"password": ""}, {"password": None, "x": 1}]
)
async def test_the_request_is_checked(server: Instance, path: str, body: Any) -> None:
    person = await server.add_person()
    status, answer = await server.request("DELETE", path, body, token=person.token)
    assert (status, answer["error"]["code"]) == (422, "invalid")


async def test_the_cookie_goes_too(server: Instance) -> None:
    person = await server.add_person()
    headers = {"Authorization": f"Bearer {person.token}"}

    async with (
        ClientSession() as http,
        http.delete(server.url + AWHILE, json={"password": None}, headers=headers) as response,
    ):
        (cookie,) = response.headers.getall("Set-Cookie")

    assert cookie.startswith('refresh_token=""; ')
    assert "Max-Age=0" in cookie


async def test_signing_in_restores_everything(server: Instance) -> None:
    talk = await start_talk(server)
    person = await server.add_person(with_password=True)
    await server.relate(talk.psychologist, person)
    await server.ask(person, "/mood", "entry:add", {"score": 3, "note": "Still here"})
    await leave(server, person, AWHILE, PASSWORD)
    await set_clock(server, ahead=timedelta(days=29, hours=23))

    status, session = await sign_in(server, person)

    assert (status, session["user"]["status"]) == (200, "active")
    back = Person(person.id, person.email, "", session["access_token"], "", 0)
    listed = await server.ask(back, "/mood", "entry:list", {})
    assert [entry["note"] for entry in listed["items"]] == ["Still here"]
    relations = await server.ask(back, "/care", "relation:list", {})
    assert [one["status"] for one in relations["items"]] == ["active"]
    assert not await list_jobs(server, "accounts.expire")
    await set_clock(server, ahead=timedelta(days=31))
    assert await read_status(server, person) == Status.ACTIVE


async def test_who_waits_for_approval_still_does_after_coming_back(server: Instance) -> None:
    person = await server.add_person(Role.PSYCHOLOGIST, with_password=True)
    await change_status(server, person.email, Status.PENDING)
    await leave(server, person, AWHILE, PASSWORD)

    _, session = await sign_in(server, person)

    assert session["user"]["status"] == "pending"


async def test_others_find_them_as_they_were(server: Instance) -> None:
    talk = await start_talk(server)
    await leave(server, talk.patient, AWHILE)

    listed = await server.ask(talk.psychologist, "/chat", "chat:list", {})

    assert listed["items"][0]["patient"]["name"] == talk.patient.name
    await talk.send(talk.psychologist, "See you soon")
    body = {"email": talk.patient.email, "password": PASSWORD}
    status, answer = await server.request("POST", "/auth/register", body)
    assert (status, answer["error"]["code"]) == (409, "email_taken")


async def test_after_thirty_days_there_is_nothing_to_come_back_to(server: Instance) -> None:
    person = await server.add_person(with_password=True)
    await leave(server, person, AWHILE, PASSWORD)
    await set_clock(server, ahead=timedelta(days=30, minutes=1))

    async def is_erased() -> bool:
        return await read_status(server, person) == Status.ERASED

    await eventually(is_erased, "the account to expire")

    status, answer = await sign_in(server, person)
    assert (status, answer["error"]["code"]) == (401, "bad_credentials")
    body = {"email": person.email, "password": PASSWORD}
    assert (await server.request("POST", "/auth/register", body))[0] == 201


async def test_a_late_job_lets_nobody_back_in(start: StartInstance) -> None:
    server = await start(jobs=False)
    person = await server.add_person(with_password=True)
    await leave(server, person, AWHILE, PASSWORD)
    await set_clock(server, ahead=timedelta(days=30, minutes=1))

    status, answer = await sign_in(server, person)

    assert (status, answer["error"]["code"]) == (401, "bad_credentials")
    assert await read_status(server, person) == Status.DEACTIVATED


async def test_who_was_blocked_meanwhile_neither_comes_back_nor_is_erased(
    server: Instance,
) -> None:
    person = await server.add_person(with_password=True)
    await leave(server, person, AWHILE, PASSWORD)
    await change_status(server, person.email, Status.BLOCKED)

    assert (await sign_in(server, person))[0] == 401
    await set_clock(server, ahead=timedelta(days=31))

    async def is_over() -> bool:
        return not await list_jobs(server, "accounts.expire")

    await eventually(is_over, "the account to expire")
    assert await read_status(server, person) == Status.BLOCKED


async def test_a_forgotten_password_is_no_reason_to_be_lost(server: Instance) -> None:
    person = await server.add_person(with_password=True)
    await leave(server, person, AWHILE, PASSWORD)
    await server.request("POST", "/auth/forgot-password", {"email": person.email})

    async def find_letter() -> str:
        folder = server.runtime.settings.data_dir / "outbox"
        return "".join(path.read_text() for path in folder.rglob("*.eml"))

    assert "reset-password" in await eventually(find_letter, "a letter")


async def test_an_address_registers_anew_at_once(start: StartInstance) -> None:
    server = await start(jobs=False)
    person = await server.add_person(with_password=True)

    assert (await leave(server, person, FOR_EVER, PASSWORD))[0] == 202

    assert (await sign_in(server, person))[0] == 401
    body = {"email": person.email, "password": PASSWORD}
    status, session = await server.request("POST", "/auth/register", body)
    assert (status, session["user"]["id"] == person.id) == (201, False)


async def test_asked_for_twice_it_is_done_once(server: Instance) -> None:
    person = await server.add_person()
    other = await server.sign_in(person.email)

    answers = await asyncio.gather(*(leave(server, one, FOR_EVER) for one in (person, other)))

    assert sorted(status for status, _ in answers) == [202, 401]
    await wait_for_first_round(server)
    assert len(await finish(server)) == 1


async def test_operators_find_nobody_any_more(server: Instance) -> None:
    person = await server.add_person()
    await erase(server, person)
    for email in (person.email, f"erased:{person.id}"):
        with pytest.raises(NotFound):
            await change_status(server, email, Status.ACTIVE)
    assert await read_status(server, person) == Status.ERASED


async def test_the_receipt_is_the_last_letter(server: Instance) -> None:
    person = await server.add_person()
    await server.ask(person, "/mood", "entry:add", {"score": 3})
    await erase(server, person)

    (receipt,) = await finish(server)

    assert receipt.user_id is None
    assert receipt.pseudonym < 0
    assert receipt.counts["belongings"] >= 2
    folder = server.runtime.settings.data_dir / "outbox"
    (letter,) = [p for p in folder.rglob("*.eml") if person.email in p.read_text()]
    assert str(-receipt.pseudonym) in letter.read_text()


async def test_letters_from_before_lead_nowhere(server: Instance) -> None:
    person = await server.add_person(with_password=True)
    await server.request("POST", "/auth/forgot-password", {"email": person.email})

    async def find_token() -> str:
        folder = server.runtime.settings.data_dir / "outbox"
        text = "".join(path.read_text() for path in folder.rglob("*.eml")).replace("=\n", "")
        found = re.search(r"token=(?:3D)?([0-9a-f]{64,})", text)
        return found[1] if found else ""

    token = await eventually(find_token, "a letter")
    async with Context.open(server.runtime) as ctx:
        out = urlsplit(write_link(ctx, person.id, "message"))
    assert (await leave(server, person, FOR_EVER, PASSWORD))[0] == 202

    body = {"token": token, "password": "another password"}
    assert (await server.request("POST", "/auth/reset-password", body))[0] == 422
    assert (await server.request("POST", f"{out.path}?{out.query}"))[0] == 404

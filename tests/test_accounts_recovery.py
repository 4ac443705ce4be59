"""Passwords: a lost one is replaced by a letter, a known one by its owner."""

import re
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import StartInstance
from tests.instance import PASSWORD, Instance, Person
from tests.stand_ins.browser import Browser
from tests.stand_ins.letters import wait_for_attempt
from tests.stand_ins.smtp import SmtpStandIn
from tests.stand_ins.waiting import set_clock

NEW = "another password for tests"
LINK = re.compile(r"https://app\.example\.com/reset-password\?token=(\S+)")


@pytest.fixture
async def server(start: StartInstance, smtp: SmtpStandIn) -> Instance:
    return await start(smtp_url=smtp.url, public_url="https://app.example.com/")


async def forget(server: Instance, email: str) -> None:
    answer = await server.request("POST", "/auth/forgot-password", {"email": email})
    assert answer == (202, None)


async def read_token(smtp: SmtpStandIn, email: str, count: int = 1) -> str:
    letters = await smtp.wait_for(count, to=email)
    found = LINK.search(letters[-1].get_content())
    assert found is not None
    return found[1]


async def reset(server: Instance, token: str, password: str = NEW) -> tuple[int, Any]:
    body = {"token": token, "password": password}
    status, answer = await server.request("POST", "/auth/reset-password", body)
    return status, answer["error"]["fields"][0]["code"] if answer else None


async def can_sign_in(server: Instance, person: Person, password: str) -> bool:
    body = {"email": person.email, "password": password}
    status, _ = await server.request("POST", "/auth/login", body)
    return status == 200


async def test_a_lost_password_is_replaced_by_the_link_in_a_letter(
    server: Instance, smtp: SmtpStandIn
) -> None:
    person = await server.add_person(with_password=True)
    device = await server.connect(person, "/account")
    await forget(server, person.email.upper())
    token = await read_token(smtp, person.email)

    assert await reset(server, token) == (204, None)

    await device.wait_until_left("/account")
    status, _ = await server.request(
        "POST", "/auth/refresh", {"refresh_token": person.refresh_token}
    )
    assert status == 401
    assert not await can_sign_in(server, person, PASSWORD)
    assert await can_sign_in(server, person, NEW)
    assert await reset(server, token) == (422, "not_valid")


async def test_an_unknown_address_gets_the_same_answer_and_no_letter(
    server: Instance, smtp: SmtpStandIn
) -> None:
    person = await server.add_person()
    await forget(server, "nobody@example.com")
    await forget(server, person.email)

    await smtp.wait_for(to=person.email)

    assert smtp.find("nobody@example.com") == []


async def test_a_link_runs_out_after_half_an_hour(server: Instance, smtp: SmtpStandIn) -> None:
    person = await server.add_person()
    await forget(server, person.email)
    token = await read_token(smtp, person.email)

    await set_clock(server, ahead=timedelta(minutes=31))

    assert await reset(server, token) == (422, "not_valid")
    assert await reset(server, "never sent") == (422, "not_valid")
    await set_clock(server, ahead=timedelta(minutes=29))
    assert await reset(server, token) == (204, None)


async def test_a_link_is_fresh_when_its_letter_was_late(
    server: Instance, smtp: SmtpStandIn
) -> None:
    person = await server.add_person()
    smtp.busy = True
    await forget(server, person.email)
    await wait_for_attempt(server, 1)
    smtp.busy = False
    await set_clock(server, ahead=timedelta(hours=3))

    token = await read_token(smtp, person.email)

    assert await reset(server, token) == (204, None)


async def test_a_refused_password_leaves_the_link_good(server: Instance, smtp: SmtpStandIn) -> None:
    person = await server.add_person()
    await forget(server, person.email)
    token = await read_token(smtp, person.email)

    assert await reset(server, token, "password") == (422, "too_common")
    assert await reset(server, token, person.email) == (422, "same_as_email")
    assert await reset(server, token) == (204, None)


async def test_a_new_password_makes_every_other_link_worthless(
    server: Instance, smtp: SmtpStandIn
) -> None:
    person = await server.add_person(with_password=True)
    tokens = []
    for count in (1, 2, 3):
        await forget(server, person.email)
        tokens.append(await read_token(smtp, person.email, count))
    assert await reset(server, tokens[1]) == (204, None)
    assert await reset(server, tokens[0]) == (422, "not_valid")
    assert await reset(server, tokens[2]) == (422, "not_valid")

    await forget(server, person.email)
    last = await read_token(smtp, person.email, 4)
    back = await server.sign_in(person.email)
    await change(server, back, NEW, PASSWORD)
    assert await reset(server, last) == (422, "not_valid")


async def change(server: Instance, person: Person, current: str, new: str) -> tuple[int, Any]:
    return await server.request(
        "PUT", "/account/password", {"current": current, "new": new}, token=person.token
    )


async def test_changing_the_password_ends_every_other_session(server: Instance) -> None:
    here = await server.add_person(with_password=True)
    elsewhere = await server.sign_in(here.email)
    mine, other = await server.connect(here, "/account"), await server.connect(elsewhere, "/chat")

    status, session = await change(server, here, PASSWORD, NEW)

    assert status == 200
    await other.wait_until_left("/chat")
    body = {"refresh_token": elsewhere.refresh_token}
    assert (await server.request("POST", "/auth/refresh", body))[0] == 401
    claims = server.runtime.tokens.read(session["access_token"])
    assert claims.session_id == here.session_id
    await mine.ask("token:refresh", {"token": session["access_token"]}, namespace="/account")
    assert (await mine.ask("profile:get", namespace="/account"))["id"] == here.id
    body = {"refresh_token": session["refresh_token"]}
    assert (await server.request("POST", "/auth/refresh", body))[0] == 200
    assert not await can_sign_in(server, here, PASSWORD)
    assert await can_sign_in(server, here, NEW)


async def test_a_browser_changes_the_password_and_goes_on_with_its_cookie(server: Instance) -> None:
    person = await server.add_person(with_password=True)
    async with Browser(server.url) as browser:
        credentials = {"email": person.email, "password": PASSWORD, "cookie": True}
        session = (await browser.send("POST", "/auth/login", credentials)).body
        wish = {"current": PASSWORD, "new": NEW, "cookie": True}
        changed = await browser.send(
            "PUT", "/account/password", wish, token=session["access_token"]
        )

        assert changed.body["refresh_token"] is None
        assert (await browser.send("POST", "/auth/refresh", {})).status == 200


async def test_changing_the_password_takes_the_old_one_and_a_good_new_one(server: Instance) -> None:
    person = await server.add_person(with_password=True)
    elsewhere = await server.sign_in(person.email)

    status, answer = await change(server, person, "a wrong password", NEW)
    assert (status, answer["error"]["code"]) == (401, "bad_credentials")
    status, answer = await change(server, person, PASSWORD, person.email)
    assert (status, answer["error"]["fields"][0]["path"]) == (422, "new")
    status, answer = await server.request(
        "PUT", "/account/password", {"current": PASSWORD, "new": NEW}
    )
    assert (status, answer["error"]["code"]) == (401, "unauthenticated")

    device = await server.connect(elsewhere, "/account")
    assert (await device.ask("profile:get", namespace="/account"))["id"] == person.id

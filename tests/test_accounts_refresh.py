"""Refresh tokens: good once, and a stolen one ends the session."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from storage.accounts import Status
from tests.conftest import StartInstance
from tests.instance import PASSWORD, Instance, Person
from tests.stand_ins.browser import Answer, Browser
from tests.stand_ins.operators import change_status
from tests.stand_ins.waiting import set_clock

REFRESH = "/auth/refresh"


async def refresh(server: Instance, token: str, ref: str | None = None) -> Answer:
    async with Browser(server.url) as browser:
        body = (
            {"refresh_token": token} if ref is None else {"refresh_token": token, "client_ref": ref}
        )
        return await browser.send("POST", REFRESH, body)


async def is_signed_in(server: Instance, token: str) -> bool:
    status, _ = await server.request("POST", "/events/account/profile:get", {}, token=token)
    return status == 200


async def test_a_refresh_brings_new_tokens_for_the_same_session(server: Instance) -> None:
    person = await server.add_person()

    first = await refresh(server, person.refresh_token)
    second = await refresh(server, first.body["refresh_token"])

    assert (first.status, second.status) == (200, 200)
    tokens = {person.refresh_token, first.body["refresh_token"], second.body["refresh_token"]}
    assert len(tokens) == 3
    claims = server.runtime.tokens.read(second.body["access_token"])
    assert (claims.user_id, claims.session_id) == (person.id, person.session_id)
    assert await is_signed_in(server, person.token)
    assert await is_signed_in(server, second.body["access_token"])


async def test_a_lost_answer_is_given_again_to_the_letter(
    instances: tuple[Instance, Instance],
) -> None:
    here, there = instances
    person = await here.add_person()
    ref = str(uuid4())

    first = await refresh(here, person.refresh_token, ref)
    again = await refresh(here, person.refresh_token, ref)
    elsewhere = await refresh(there, person.refresh_token, ref.upper())

    assert first.status == 200
    assert first.text == again.text == elsewhere.text
    assert (await refresh(there, first.body["refresh_token"])).status == 200


async def test_a_lost_answer_is_given_again_for_a_minute_only(server: Instance) -> None:
    person = await server.add_person()
    ref = str(uuid4())
    first = await refresh(server, person.refresh_token, ref)
    await set_clock(server, ahead=timedelta(seconds=50))
    assert (await refresh(server, person.refresh_token, ref)).text == first.text

    await set_clock(server, ahead=timedelta(seconds=70))
    late = await refresh(server, person.refresh_token, ref)

    assert (late.status, late.code) == (401, "unauthenticated")
    assert (await refresh(server, first.body["refresh_token"])).status == 401


async def test_a_token_used_twice_ends_the_session_and_its_sockets_everywhere(
    instances: tuple[Instance, Instance],
) -> None:
    here, there = instances
    person = await here.add_person()
    bystander = await here.sign_in(person.email)
    device, remote = await here.connect(person, "/account"), await there.connect(person, "/chat")
    spared = await there.connect(bystander, "/account")
    first = await refresh(here, person.refresh_token, str(uuid4()))

    stolen = await refresh(here, person.refresh_token, str(uuid4()))

    assert (stolen.status, stolen.code) == (401, "unauthenticated")
    await device.wait_until_left("/account")
    await remote.wait_until_left("/chat")
    assert (await refresh(here, first.body["refresh_token"])).status == 401
    assert not await is_signed_in(there, first.body["access_token"])
    assert (await spared.ask("profile:get", namespace="/account"))["id"] == person.id


async def test_a_token_used_twice_without_a_ref_ends_the_session(server: Instance) -> None:
    person = await server.add_person()
    first = await refresh(server, person.refresh_token)

    assert (await refresh(server, person.refresh_token)).status == 401
    assert not await is_signed_in(server, first.body["access_token"])


async def test_refreshes_at_once_with_one_ref_get_one_answer(
    instances: tuple[Instance, Instance],
) -> None:
    person = await instances[0].add_person()
    ref = str(uuid4())

    answers = await asyncio.gather(
        *(refresh(server, person.refresh_token, ref) for server in instances * 4)
    )

    assert {answer.status for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1


async def test_of_refreshes_at_once_without_a_ref_one_is_served(
    instances: tuple[Instance, Instance],
) -> None:
    person = await instances[0].add_person()

    answers = await asyncio.gather(
        *(refresh(server, person.refresh_token) for server in instances * 3)
    )

    assert sorted(answer.status for answer in answers) == [200, *[401] * 5]
    (served,) = (answer for answer in answers if answer.status == 200)
    assert not await is_signed_in(instances[0], served.body["access_token"])


async def test_a_token_that_ran_out_or_never_was_is_refused(server: Instance) -> None:
    person = await server.add_person()
    assert (await refresh(server, "never was")).code == "unauthenticated"
    async with Browser(server.url) as browser:
        assert (await browser.send("POST", REFRESH)).code == "unauthenticated"

    await set_clock(server, ahead=timedelta(days=6))
    renewed = await refresh(server, person.refresh_token)
    assert renewed.status == 200
    await set_clock(server, ahead=timedelta(days=14))

    assert (await refresh(server, renewed.body["refresh_token"])).code == "unauthenticated"


async def test_a_blocked_person_cannot_refresh(server: Instance) -> None:
    person = await server.add_person()
    device = await server.connect(person, "/account")

    await change_status(server, person.email, Status.BLOCKED)

    await device.wait_until_left("/account")
    assert (await refresh(server, person.refresh_token)).status == 401
    assert not await is_signed_in(server, person.token)


async def sign_in_by_cookie(browser: Browser, person: Person) -> Answer:
    body = {"email": person.email, "password": PASSWORD, "cookie": True}
    answer = await browser.send("POST", "/auth/login", body)
    assert answer.status == 200
    return answer


async def test_a_browser_keeps_its_refresh_token_out_of_reach(server: Instance) -> None:
    person = await server.add_person(with_password=True)
    async with Browser(server.url) as browser:
        signed_in = await sign_in_by_cookie(browser, person)

        cookie = signed_in.cookies["refresh_token"]
        assert signed_in.body["refresh_token"] is None
        assert cookie.value not in signed_in.text
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Strict")
        assert (cookie["path"], cookie["max-age"]) == ("/auth", str(7 * 24 * 3600))
        assert signed_in.headers["Cache-Control"] == "no-store"
        assert browser.cookies("/events/account") == {}


@pytest.mark.scaled
async def test_in_production_cookies_travel_over_tls_alone(start: StartInstance) -> None:
    server = await start(
        environment="production",
        public_url="https://app.example.com",
        jwt_secret_key="a key for this test, of 32 bytes or more",
        smtp_url="smtp://127.0.0.1:1",
        s3_bucket="nowhere",
        firebase_credentials="nowhere.json",
        ai_base_url="https://nowhere.example",
        ai_api_key="nobody's",
        ai_model="none",
        rate_limit_scale=1,
    )
    person = await server.add_person(with_password=True)
    async with Browser(server.url) as browser:
        signed_in = await sign_in_by_cookie(browser, person)

    assert signed_in.cookies["refresh_token"]["secure"]


async def test_a_browser_refreshes_and_signs_out_by_cookie(server: Instance) -> None:
    person = await server.add_person(with_password=True)
    async with Browser(server.url) as browser:
        await sign_in_by_cookie(browser, person)
        before = browser.cookies(REFRESH)

        refreshed = await browser.send("POST", REFRESH, {"client_ref": str(uuid4())})

        assert (refreshed.status, refreshed.body["refresh_token"]) == (200, None)
        assert browser.cookies(REFRESH) not in ({}, before)
        assert (await browser.send("POST", REFRESH)).status == 200
        token = refreshed.body["access_token"]
        assert (await browser.send("POST", "/auth/logout", token=token)).status == 204
        assert browser.cookies(REFRESH) == {}
        assert (await browser.send("POST", REFRESH)).status == 401


async def test_a_cookie_used_twice_ends_the_session_too(server: Instance) -> None:
    person = await server.add_person(with_password=True)
    async with Browser(server.url) as browser:
        await sign_in_by_cookie(browser, person)
        stolen = browser.cookies(REFRESH)["refresh_token"]
        refreshed = await browser.send("POST", REFRESH, {})

        assert (await refresh(server, stolen)).status == 401
        assert (await browser.send("POST", REFRESH, {})).status == 401
        assert not await is_signed_in(server, refreshed.body["access_token"])

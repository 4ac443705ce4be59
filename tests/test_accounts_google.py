"""Signing in with an OpenID provider, a real one but for its place."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from server.context import Context
from storage import accounts
from storage.accounts import Status
from tests.conftest import StartInstance
from tests.instance import PASSWORD, Instance
from tests.stand_ins.browser import Answer, Browser
from tests.stand_ins.openid import CLIENT_ID, CLIENT_SECRET, OpenIdStandIn, run_openid
from tests.stand_ins.operators import change_status

LOGIN = "/auth/google/login"


@pytest.fixture
async def openid() -> AsyncIterator[OpenIdStandIn]:
    async with run_openid() as openid:
        yield openid


@pytest.fixture
async def server(start: StartInstance, openid: OpenIdStandIn) -> Instance:
    return await start_with(start, openid)


@pytest.fixture
async def browser(server: Instance) -> AsyncIterator[Browser]:
    async with Browser(server.url) as browser:
        yield browser


async def start_with(start: StartInstance, openid: OpenIdStandIn, **changes: str) -> Instance:
    values = {
        "google_client_id": CLIENT_ID,
        "google_client_secret": CLIENT_SECRET,
        "google_issuer": openid.issuer,
        **changes,
    }
    return await start(**values)


async def go_to_provider(browser: Browser) -> str:
    """Through the consent page: the path to come back to."""
    sent = await browser.send("GET", LOGIN)
    assert sent.status == 302
    consent = await browser.send("GET", sent.headers["Location"])
    assert consent.status == 302
    back = urlsplit(consent.headers["Location"])
    return f"{back.path}?{back.query}"


async def sign_in(browser: Browser) -> Answer:
    return await browser.send("GET", await go_to_provider(browser))


async def refuses(browser: Browser, path: str) -> bool:
    answer = await browser.send("GET", path)
    return (answer.status, answer.code) == (401, "bad_credentials")


async def test_a_newcomer_gets_an_account_and_a_session(
    server: Instance, browser: Browser, openid: OpenIdStandIn
) -> None:
    openid.account.email, openid.account.name = "New@Example.com", "Новая"

    answer = await sign_in(browser)

    user = answer.body["user"]
    assert answer.status == 200
    assert (user["email"], user["name"], user["role"]) == ("new@example.com", "Новая", "patient")
    assert answer.headers["Cache-Control"] == "no-store"
    device = await server.connect(answer.body["access_token"], "/account")
    assert await device.ask("profile:get", namespace="/account") == user
    body = {"refresh_token": answer.body["refresh_token"]}
    assert (await browser.send("POST", "/auth/refresh", body)).status == 200
    login = {"email": "new@example.com", "password": PASSWORD}
    assert (await browser.send("POST", "/auth/login", login)).status == 401


async def test_an_attempt_is_kept_by_the_browser_alone_and_not_for_long(
    server: Instance, browser: Browser
) -> None:
    answer = await browser.send("GET", LOGIN)

    cookie = answer.cookies["google_attempt"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert (cookie["path"], cookie["max-age"]) == ("/auth/google", "600")
    await sign_in(browser)
    assert browser.cookies(LOGIN) == {}


async def test_a_verified_address_is_linked_and_then_known_by_its_subject(
    server: Instance, browser: Browser, openid: OpenIdStandIn
) -> None:
    person = await server.add_person()
    openid.account.email = person.email.upper()

    first = await sign_in(browser)
    openid.account.email, openid.account.email_verified = "moved@example.com", False
    second = await sign_in(browser)

    assert first.body["user"]["id"] == second.body["user"]["id"] == person.id
    assert second.body["user"]["email"] == person.email
    openid.account.sub, openid.account.email = "subject-2", person.email
    openid.account.email_verified = True
    assert await refuses(browser, await go_to_provider(browser))


async def test_whoever_registered_the_address_of_another_is_put_out_when_its_owner_comes(
    server: Instance, browser: Browser, openid: OpenIdStandIn
) -> None:
    squatter = await server.add_person(with_password=True)
    device = await server.connect(squatter, "/account")
    openid.account.email = squatter.email

    assert (await sign_in(browser)).status == 200

    await device.wait_until_left("/account")
    credentials = {"email": squatter.email, "password": PASSWORD}
    assert (await server.request("POST", "/auth/login", credentials))[0] == 401


async def test_whoever_has_proved_the_address_keeps_the_password(
    server: Instance, browser: Browser, openid: OpenIdStandIn
) -> None:
    person = await server.add_person(with_password=True)
    async with Context.open(server.runtime) as ctx:
        await accounts.update_user(ctx.db, person.id, email_verified_at=ctx.now)
    openid.account.email = person.email

    assert (await sign_in(browser)).body["user"]["id"] == person.id

    credentials = {"email": person.email, "password": PASSWORD}
    assert (await server.request("POST", "/auth/login", credentials))[0] == 200


async def test_an_address_that_is_not_verified_opens_nothing(
    server: Instance, browser: Browser, openid: OpenIdStandIn
) -> None:
    person = await server.add_person()
    for email in (person.email, "new@example.com"):
        openid.account.email = email
        for verified in (False, None, "true"):
            openid.lies = {"email_verified": verified}
            assert await refuses(browser, await go_to_provider(browser)), verified


NOW = datetime.now(UTC)
LIES: list[dict[str, Any]] = [
    {"nonce": "another"},
    {"nonce": "другой"},
    {"nonce": None},
    {"aud": "another client"},
    {"iss": "https://accounts.example.com"},
    {"exp": int((NOW - timedelta(hours=1)).timestamp())},
    {"exp": None},
    {"iat": int((NOW + timedelta(hours=1)).timestamp())},
    {"sub": None},
    {"sub": 7},
    {"email": None},
]


async def test_an_identity_that_is_not_in_order_is_refused(
    browser: Browser, openid: OpenIdStandIn
) -> None:
    for lie in LIES:
        openid.lies = lie
        assert await refuses(browser, await go_to_provider(browser)), lie

    openid.lies = {}
    assert (await sign_in(browser)).status == 200


async def test_a_forged_signature_is_refused_and_a_new_key_is_found(
    browser: Browser, openid: OpenIdStandIn
) -> None:
    assert (await sign_in(browser)).status == 200
    openid.rotate()
    assert (await sign_in(browser)).status == 200

    openid.forge()

    assert await refuses(browser, await go_to_provider(browser))


async def test_the_way_back_must_be_the_one_that_was_sent(
    server: Instance, browser: Browser
) -> None:
    back = await go_to_provider(browser)
    state = urlsplit(back).query.partition("state=")[2].partition("&")[0]
    async with Browser(server.url) as other:
        assert await refuses(other, back)
        await go_to_provider(other)
        assert await refuses(other, back)
    for wrong in ("another", "%D0%B4%D1%80%D1%83%D0%B3%D0%BE%D0%B9", "%ff", ""):
        assert await refuses(browser, back.replace(state, wrong))

    assert (await browser.send("GET", back)).status == 200


async def test_a_code_is_good_once_and_for_whoever_began(
    server: Instance, browser: Browser
) -> None:
    """The code of one attempt under the state of another: the verifier does not fit."""
    mine = await go_to_provider(browser)
    async with Browser(server.url) as other:
        theirs = await go_to_provider(other)
    code = theirs.partition("code=")[2].partition("&")[0]
    own_code = mine.partition("code=")[2].partition("&")[0]
    assert await refuses(browser, mine.replace(own_code, code))

    assert (await browser.send("GET", mine)).status == 200
    assert await refuses(browser, mine)


async def test_a_person_who_does_not_consent_is_not_signed_in(
    browser: Browser, openid: OpenIdStandIn
) -> None:
    openid.consents = False

    assert await refuses(browser, await go_to_provider(browser))


async def test_a_blocked_person_is_not_signed_in(
    server: Instance, browser: Browser, openid: OpenIdStandIn
) -> None:
    person = await server.add_person()
    openid.account.email = person.email
    await change_status(server, person.email, Status.BLOCKED)

    assert await refuses(browser, await go_to_provider(browser))


async def test_a_failing_provider_is_told_from_a_refusing_one(
    browser: Browser, openid: OpenIdStandIn
) -> None:
    for status, code in ((400, "bad_credentials"), (503, "unavailable")):
        openid.failing = status
        assert (await sign_in(browser)).code == code


async def test_a_provider_that_is_away_makes_signing_in_unavailable(start: StartInstance) -> None:
    async with run_openid() as gone:
        pass
    server = await start_with(start, gone)

    status, answer = await server.request("GET", LOGIN)

    assert (status, answer["error"]["code"]) == (503, "unavailable")
    assert answer["error"]["retry_after"] >= 1


async def test_a_wrong_client_secret_signs_nobody_in(
    start: StartInstance, openid: OpenIdStandIn
) -> None:
    server = await start_with(start, openid, google_client_secret="wrong")
    async with Browser(server.url) as browser:
        assert await refuses(browser, await go_to_provider(browser))


async def test_a_server_without_a_provider_has_no_such_routes(start: StartInstance) -> None:
    server = await start()
    for path in (LOGIN, "/auth/google/callback?state=x&code=y"):
        status, answer = await server.request("GET", path)
        assert (status, answer["error"]["code"]) == (404, "not_found")


async def test_who_has_left_comes_back_with_google_too(server: Instance, browser: Browser) -> None:
    before = (await sign_in(browser)).body
    body = {"password": None}
    token = before["access_token"]
    status, _ = await server.request("DELETE", "/account", body, token=token)
    assert status == 204

    after = await sign_in(browser)

    assert (after.status, after.body["user"]) == (200, before["user"])


async def test_who_was_erased_begins_anew(server: Instance, browser: Browser) -> None:
    before = (await sign_in(browser)).body
    body = {"password": None}
    token = before["access_token"]
    status, _ = await server.request("DELETE", "/account/data", body, token=token)
    assert status == 202

    after = await sign_in(browser)

    assert after.status == 200
    assert after.body["user"]["id"] > before["user"]["id"]

"""Signing up, in and out."""

import asyncio
import statistics
from time import perf_counter
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.accounts.passwords import check_password
from server.errors import Invalid
from storage.accounts import Role, Status
from tests.client import Refused
from tests.instance import PASSWORD, Instance
from tests.stand_ins.browser import Browser
from tests.stand_ins.operators import change_status, create_api_key

ANNA = {"email": "Anna@Example.com", "password": PASSWORD}


async def test_registering_opens_an_account_and_signs_in(server: Instance) -> None:
    status, session = await server.request(
        "POST", "/auth/register", {**ANNA, "name": "Анна"}, headers={"Accept-Language": "ru-RU"}
    )

    assert status == 201
    assert set(session) == {"user", "access_token", "refresh_token", "token_type", "expires_in"}
    assert (session["token_type"], session["expires_in"]) == ("bearer", 1800)
    user = session["user"]
    assert (user["email"], user["name"]) == ("anna@example.com", "Анна")
    assert (user["role"], user["status"], user["locale"]) == ("patient", "active", "ru")
    assert user["created_at"].endswith("Z")
    device = await server.connect(session["access_token"], "/account")
    assert await device.ask("profile:get", namespace="/account") == user


async def test_an_address_is_registered_once_however_it_is_written(server: Instance) -> None:
    addresses = ["anna@example.com", "ANNA@EXAMPLE.COM"]

    answers = await asyncio.gather(
        *(server.request("POST", "/auth/register", {**ANNA, "email": one}) for one in addresses)
    )

    assert sorted(status for status, _ in answers) == [201, 409]
    (refusal,) = (answer["error"] for status, answer in answers if status == 409)
    assert (refusal["code"], refusal["retryable"]) == ("email_taken", False)


WEAK = [
    ("", "string_too_short"),
    ("seven b", "too_short"),
    ("пароль" * 6 + "п", "too_long"),
    ("Anna.Ivanova@example.com", "same_as_email"),
    ("Anna.Ivanova", "same_as_email"),
    ("Password1", "too_common"),
    ("nul\0character", "nul_character"),
]


async def test_a_weak_password_is_refused_by_name(server: Instance) -> None:
    for password, code in WEAK:
        status, answer = await server.request(
            "POST",
            "/auth/register",
            {"email": "anna.ivanova@example.com", "password": password},
        )
        fields = [(field["path"], field["code"]) for field in answer["error"]["fields"]]
        assert (status, answer["error"]["code"], fields) == (422, "invalid", [("password", code)])


@given(st.text(st.characters(codec="utf-8"), max_size=90))
def test_a_password_is_measured_in_bytes(password: str) -> None:
    size = len(password.encode())
    try:
        check_password(password, "anna@example.com")
    except Invalid as error:
        (field,) = error.fields or []
        assert (field.code == "too_short") == (size < 8)
        assert (field.code == "too_long") == (size > 72)
    else:
        assert 8 <= size <= 72


async def test_a_password_of_72_bytes_counts_to_its_last_byte(server: Instance) -> None:
    longest = "ж" * 36
    await server.request("POST", "/auth/register", {**ANNA, "password": longest})

    async def try_password(password: str) -> int:
        body = {"email": "anna@example.com", "password": password}
        return (await server.request("POST", "/auth/login", body))[0]

    assert await try_password(longest) == 200
    assert await try_password(longest[:-1] + "з") == 401
    assert await try_password(longest + "ж") == 401


async def test_registering_asks_for_nothing_beyond_the_form(server: Instance) -> None:
    for change in (
        {"role": "admin"},
        {"role": "merchant"},
        {"email": "nobody"},
        {"status": "active"},
        {"id": 1},
    ):
        status, answer = await server.request("POST", "/auth/register", {**ANNA, **change})
        assert (status, answer["error"]["code"]) == (422, "invalid")
        assert [field["path"] for field in answer["error"]["fields"]] == list(change)


async def test_a_psychologist_works_after_approval_without_a_new_sign_in(server: Instance) -> None:
    _, session = await server.request("POST", "/auth/register", {**ANNA, "role": "psychologist"})
    assert session["user"]["status"] == "pending"
    invitation = {"email": "somebody@example.com"}
    device = await server.connect(session["access_token"], "/care", "/account")
    with pytest.raises(Refused, match="forbidden"):
        await device.ask("relation:invite", invitation, namespace="/care")
    profile = await device.ask("profile:get", namespace="/account")
    assert profile["status"] == "pending"

    await change_status(server, "anna@example.com", Status.ACTIVE)

    assert await device.ask("relation:invite", invitation, namespace="/care") == {}
    status, _ = await server.request(
        "POST", "/events/care/relation:list", {}, token=session["access_token"]
    )
    assert status == 200


async def test_signing_in_opens_one_more_session(server: Instance) -> None:
    person = await server.add_person(with_password=True)
    body = {"email": person.email.upper(), "password": PASSWORD}

    status, session = await server.request(
        "POST", "/auth/login", body, headers={"User-Agent": "a telephone"}
    )

    assert status == 200
    assert session["user"]["id"] == person.id
    sessions = await server.ask(person, "/account", "session:list", {})
    assert [one["user_agent"] for one in sessions["items"]] == ["a telephone", ""]


async def test_whoever_may_not_sign_in_gets_the_same_answer(server: Instance) -> None:
    known, blocked = [await server.add_person(with_password=True) for _ in range(2)]
    keyless = await server.add_person()
    await change_status(server, blocked.email, Status.BLOCKED)
    tries = [
        (known.email, "a wrong password"),
        ("nobody@example.com", PASSWORD),
        (blocked.email, PASSWORD),
        (keyless.email, PASSWORD),
        (known.email, PASSWORD + "x" * 100),
    ]

    async with Browser(server.url) as browser:
        answers = [
            await browser.send("POST", "/auth/login", {"email": email, "password": password})
            for email, password in tries
        ]

    assert {(answer.status, answer.code) for answer in answers} == {(401, "bad_credentials")}
    assert len({answer.text for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1


async def test_an_unknown_address_takes_as_long_as_a_wrong_password(server: Instance) -> None:
    person = await server.add_person(with_password=True)

    async def measure(email: str) -> float:
        started = perf_counter()
        body = {"email": email, "password": "a wrong password"}
        await server.request("POST", "/auth/login", body)
        return perf_counter() - started

    pairs = [(await measure(person.email), await measure("nobody@example.com")) for _ in range(5)]

    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert 0.5 < unknown / known < 2


async def test_a_browser_may_say_anything_about_itself(server: Instance) -> None:
    """Headers are bytes: neither database takes all that may stand there."""
    person = await server.add_person(with_password=True)
    body = f'{{"email":"{person.email}","password":"{PASSWORD}"}}'.encode()
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"Host: {host}\r\nContent-Length: {len(body)}\r\nContent-Type: application/json"

    writer.write(b"POST /auth/login HTTP/1.1\r\nUser-Agent: caf\xe9 \xff\r\nConnection: close\r\n")
    writer.write(head.encode() + b"\r\n\r\n" + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_signing_out_ends_this_session_and_its_sockets_alone(server: Instance) -> None:
    here = await server.add_person()
    elsewhere = await server.sign_in(here.email)
    device = await server.connect(here, "/account", "/chat")
    other = await server.connect(elsewhere, "/account")

    status, _ = await server.request("POST", "/auth/logout", token=here.token)

    assert status == 204
    await device.wait_until_left("/account")
    await device.wait_until_left("/chat")
    status, answer = await server.request("POST", "/auth/logout", token=here.token)
    assert (status, answer["error"]["code"]) == (401, "unauthenticated")
    body = {"refresh_token": here.refresh_token, "client_ref": str(uuid4())}
    assert (await server.request("POST", "/auth/refresh", body))[0] == 401
    with pytest.raises(Refused, match="unauthenticated"):
        await server.connect(here, "/account")
    assert (await other.ask("profile:get", namespace="/account"))["id"] == here.id


async def test_a_partners_server_signs_in_with_its_key(server: Instance) -> None:
    merchant = await server.add_person(Role.MERCHANT)
    key = await create_api_key(server, merchant.email)
    body = {**key, "grant_type": "client_credentials"}

    status, session = await server.request("POST", "/auth/token", body)

    assert (status, session["refresh_token"]) == (200, None)
    device = await server.connect(session["access_token"], "/account")
    assert (await device.ask("profile:get", namespace="/account"))["id"] == merchant.id
    for wrong in ({"client_id": "key_unknown"}, {"client_secret": "wrong"}):
        status, answer = await server.request("POST", "/auth/token", {**body, **wrong})
        assert (status, answer["error"]["code"]) == (401, "bad_credentials")
    await change_status(server, merchant.email, Status.BLOCKED)
    assert (await server.request("POST", "/auth/token", body))[0] == 401
    await device.wait_until_left("/account")


async def test_no_answer_holds_a_secret(server: Instance) -> None:
    person = await server.add_person(with_password=True)
    secret = "hunter2"
    async with Browser(server.url) as browser:
        answers = [
            await browser.send("POST", "/auth/register", {**ANNA, "password": secret}),
            await browser.send("POST", "/auth/login", {"email": secret, "password": secret}),
            await browser.send("POST", "/auth/login", {"email": 7, "password": [secret]}),
            await browser.send("POST", "/auth/login", {"email": person.email, "password": secret}),
            await browser.send("POST", "/auth/refresh", {"refresh_token": secret}),
            await browser.send("POST", "/auth/token", {"client_id": "k", "client_secret": secret}),
            await browser.send("POST", "/auth/reset-password", {"token": secret, "password": 1}),
            await browser.send(
                "POST", "/auth/login", {"email": person.email, "password": PASSWORD}
            ),
        ]
        token = answers[-1].body["access_token"]
        answers += [
            await browser.send("POST", "/events/account/profile:get", {}, token=token),
            await browser.send("POST", "/events/account/session:list", {}, token=token),
        ]

    for answer in answers:
        assert secret not in answer.text
        assert PASSWORD not in answer.text
        assert "$2b$" not in answer.text
        assert "hash" not in answer.text

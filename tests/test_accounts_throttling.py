"""What attackers repeat is limited: by address, by account, over all instances."""

import asyncio
import itertools
from ipaddress import IPv4Address
from typing import Any

import pytest

from tests.conftest import StartInstance
from tests.instance import PASSWORD, Instance

LOGIN = "/auth/login"
PER_ADDRESS = 60
PER_ACCOUNT = 10
BEHIND_PROXY = {"rate_limit_scale": 1, "trusted_proxies": "127.0.0.0/8"}


_numbers = itertools.count(1)


def new_address() -> str:
    """One that no test has used: Redis remembers them all."""
    return str(IPv4Address("10.0.0.0") + next(_numbers))


async def send(server: Instance, path: str, body: Any, *, address: str) -> tuple[int, Any]:
    headers = {"X-Forwarded-For": f"203.0.113.9, {address}"}
    return await server.request("POST", path, body, headers=headers)


async def guess(server: Instance, email: str, times: int) -> list[int]:
    """Wrong passwords, each from an address of its own."""
    body = {"email": email, "password": "a wrong password"}
    tries = (send(server, LOGIN, body, address=new_address()) for _ in range(times))
    return sorted(status for status, _ in await asyncio.gather(*tries))


async def test_guesses_from_one_address_are_limited(start: StartInstance) -> None:
    server = await start(**BEHIND_PROXY)
    body = {"refresh_token": "a guess"}
    address = new_address()
    guesses = (send(server, "/auth/refresh", body, address=address) for _ in range(PER_ADDRESS))
    assert {status for status, _ in await asyncio.gather(*guesses)} == {401}

    status, answer = await send(server, "/auth/refresh", body, address=address)

    error = answer["error"]
    assert (status, error["code"], error["retryable"]) == (429, "rate_limited", True)
    assert 1 <= error["retry_after"] <= 60
    assert (await send(server, "/auth/refresh", body, address=new_address()))[0] == 401
    body = {"token": "a guess", "password": PASSWORD}
    assert (await send(server, "/auth/reset-password", body, address=address))[0] == 422


async def test_guesses_at_one_account_are_limited_wherever_they_come_from(
    start: StartInstance,
) -> None:
    server = await start(**BEHIND_PROXY)
    person, other = [await server.add_person(with_password=True) for _ in range(2)]
    assert await guess(server, person.email, PER_ACCOUNT) == [401] * PER_ACCOUNT

    right = {"email": person.email.upper(), "password": PASSWORD}
    status, answer = await send(server, LOGIN, right, address=new_address())

    assert (status, answer["error"]["code"]) == (429, "rate_limited")
    assert 1 <= answer["error"]["retry_after"] <= 300
    right = {"email": other.email, "password": PASSWORD}
    assert (await send(server, LOGIN, right, address=new_address()))[0] == 200


async def test_letters_to_one_address_are_limited(start: StartInstance) -> None:
    server = await start(**BEHIND_PROXY)
    body = {"email": "nobody.in.particular@example.com"}

    statuses = [
        (await send(server, "/auth/forgot-password", body, address=new_address()))[0]
        for _ in range(6)
    ]

    assert statuses == [*[202] * 5, 429]


async def test_guesses_at_the_current_password_are_limited(start: StartInstance) -> None:
    server = await start(**BEHIND_PROXY)
    person = await server.add_person()
    body = {"current": "a wrong password", "new": "another password"}

    tries = (
        server.request("PUT", "/account/password", body, token=person.token)
        for _ in range(PER_ACCOUNT + 1)
    )
    statuses = sorted(status for status, _ in await asyncio.gather(*tries))

    assert statuses == [*[401] * PER_ACCOUNT, 429]


async def test_an_address_is_not_believed_from_a_stranger(start: StartInstance) -> None:
    server = await start(rate_limit_scale=1)
    body = {"refresh_token": "a guess"}

    tries = (
        send(server, "/auth/refresh", body, address=new_address()) for _ in range(PER_ADDRESS + 5)
    )
    statuses = sorted(status for status, _ in await asyncio.gather(*tries))

    assert statuses == [*[401] * PER_ADDRESS, *[429] * 5]


@pytest.mark.scaled
async def test_guesses_are_counted_over_all_instances(start: StartInstance) -> None:
    here, there = await start(**BEHIND_PROXY), await start(**BEHIND_PROXY)
    person = await here.add_person(with_password=True)

    statuses = [
        *await guess(here, person.email, PER_ACCOUNT // 2),
        *await guess(there, person.email, PER_ACCOUNT // 2 + 2),
    ]

    assert sorted(statuses) == [*[401] * PER_ACCOUNT, 429, 429]
    body = {"refresh_token": "a guess"}
    address = new_address()
    tries = (
        send(server, "/auth/refresh", body, address=address)
        for server in (here, there)
        for _ in range(PER_ADDRESS // 2 + 1)
    )
    assert sorted(status for status, _ in await asyncio.gather(*tries))[-3:] == [401, 429, 429]

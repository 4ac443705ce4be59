"""Access tokens: what is accepted, where, and for how long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from handlers.accounts import people
from server.context import Context
from storage.accounts import Role
from tests.client import Refused
from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.stand_ins.browser import Browser
from tests.stand_ins.waiting import set_clock

FIRST_KEY = "the first key, which has 32 bytes or more"
SECOND_KEY = "the second key, which is as long as the first"


def forge(server: Instance, person: Person, key: str | None = None, **changes: Any) -> str:
    """The person's token with other claims, or signed with another key."""
    claims = jwt.decode(person.token, options={"verify_signature": False})
    key = server.runtime.settings.signing_keys[0] if key is None else key
    told = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    return jwt.encode(told, key, "HS256" if key else "none")


async def test_a_token_says_who_and_which_sign_in(server: Instance) -> None:
    person = await server.add_person(Role.PSYCHOLOGIST)

    claims = jwt.decode(person.token, options={"verify_signature": False})

    assert claims["iss"] == "emotrack"
    assert (claims["sub"], claims["sid"]) == (str(person.id), person.session_id)
    assert (claims["role"], claims["exp"] - claims["iat"]) == ("psychologist", 1800)
    assert claims["jti"]


async def test_a_token_that_ran_out_is_told_from_a_bad_one(server: Instance) -> None:
    person = await server.add_person()
    old = server.runtime.tokens.issue(
        user_id=person.id,
        role="patient",
        session_id=person.session_id,
        at=datetime.now(UTC) - timedelta(hours=1),
        jti="old",
    )

    status, answer = await server.request("POST", "/events/account/profile:get", {}, token=old)

    assert (status, answer["error"]["code"]) == (401, "token_expired")
    with pytest.raises(Refused, match="token_expired"):
        await server.connect(old, "/account")


async def test_a_forged_token_opens_nothing(server: Instance) -> None:
    person, other = await server.add_person(), await server.add_person()
    forged = [
        "",
        "no token",
        person.token[:-2],
        forge(server, person, key="another key that has 32 bytes or more"),
        forge(server, person, key=""),
        forge(server, person, iss="somebody else"),
        forge(server, person, sub="not a number"),
        forge(server, person, sub=str(other.id)),
        forge(server, person, sid=None),
        forge(server, person, sid=10**9),
        forge(server, person, jti=None),
        forge(server, person, exp=None),
        server.runtime.tokens.seal("google", ["a"], timedelta(hours=1), datetime.now(UTC)),
    ]

    for token in forged:
        status, answer = await server.request(
            "POST", "/events/account/profile:get", {}, token=token
        )
        assert (status, answer["error"]["code"]) == (401, "unauthenticated"), token
    with pytest.raises(Refused, match="unauthenticated"):
        await server.connect(forged[3], "/account")


async def test_a_token_in_a_url_is_refused(server: Instance) -> None:
    person = await server.add_person()
    async with Browser(server.url) as browser:
        polling = f"/socket.io/?EIO=4&transport=polling&token={person.token}"
        for path in (polling, f"/events/account?token={person.token}"):
            answer = await browser.send("GET", path)
            assert (answer.status, answer.code) == (401, "unauthenticated")
        signed = await browser.send(
            "GET", f"/events/account?token={person.token}", token=person.token
        )
        assert (signed.status, signed.code) == (422, "invalid")


async def test_tokens_of_the_key_before_are_good_until_they_run_out(start: StartInstance) -> None:
    before = await start(jwt_secret_key=FIRST_KEY)
    person = await before.add_person()

    after = await start(jwt_secret_key=SECOND_KEY, jwt_previous_secret_key=FIRST_KEY)
    later = await start(jwt_secret_key=SECOND_KEY)

    device = await after.connect(person, "/account")
    assert (await device.ask("profile:get", namespace="/account"))["id"] == person.id
    with pytest.raises(Refused, match="unauthenticated"):
        await later.connect(person, "/account")
    renewed = await after.sign_in(person.email)
    await later.connect(renewed, "/account")
    with pytest.raises(Refused, match="unauthenticated"):
        await before.connect(renewed, "/account")


async def test_a_token_is_good_at_once_where_the_clock_is_behind(
    instances: tuple[Instance, Instance],
) -> None:
    ahead, behind = instances
    await set_clock(ahead, ahead=timedelta(seconds=5))
    person = await ahead.add_person()

    device = await behind.connect(person, "/account")

    assert (await device.ask("profile:get", namespace="/account"))["id"] == person.id


async def test_operators_may_write_an_address_as_they_like(server: Instance) -> None:
    async with Context.open(server.runtime) as ctx:
        user = await people.create_user(ctx, "Olga@Example.com", Role.ADMIN, "Olga", None)

    assert user.email == "olga@example.com"
    assert (await server.sign_in("OLGA@example.com")).id == user.id

"""Keys are changed while people are connected: nobody is put out, and the old one runs out."""

from typing import Any
from uuid import uuid4

import jwt
import pytest

from tests.client import Refused
from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.talks import message, start_talk

OLD = "the key that goes, which has 32 bytes or more"
NEW = "the key that comes, which is as long as that"
THIRD = "a key that nobody was told of, long enough too"


async def start_old(start: StartInstance) -> Instance:
    return await start(jwt_secret_key=OLD)


async def start_new(start: StartInstance) -> Instance:
    return await start(jwt_secret_key=NEW, jwt_previous_secret_key=OLD)


def is_signed_with(token: str, key: str) -> bool:
    try:
        jwt.decode(token, key, algorithms=["HS256"], issuer="emotrack")
    except jwt.InvalidSignatureError:
        return False
    return True


async def renew(server: Instance, person: Person, **more: Any) -> tuple[int, Any]:
    body = {"refresh_token": person.refresh_token, **more}
    return await server.request("POST", "/auth/refresh", body)


async def test_tokens_of_two_keys_are_good_and_of_a_third_are_not(start: StartInstance) -> None:
    old, new = await start_old(start), await start_new(start)
    third = await start(jwt_secret_key=THIRD)
    people = [await one.add_person() for one in (old, new)]
    stranger = await third.add_person()

    for person in people:
        assert (await new.ask(person, "/account", "profile:get", {}))["id"] == person.id
        device = await new.connect(person, "/account")
        assert (await device.ask("profile:get", namespace="/account"))["id"] == person.id
    with pytest.raises(Refused, match="unauthenticated"):
        await new.ask(stranger, "/account", "profile:get", {})
    with pytest.raises(Refused, match="unauthenticated"):
        await new.connect(stranger, "/account")


async def test_what_is_signed_anew_is_signed_with_the_new_key(start: StartInstance) -> None:
    old, new = await start_old(start), await start_new(start)
    person = await old.add_person()
    assert is_signed_with(person.token, OLD)

    status, session = await renew(new, person)

    assert status == 200
    for token in (session["access_token"], (await new.sign_in(person.email)).token):
        assert is_signed_with(token, NEW)
        assert not is_signed_with(token, OLD)


async def test_old_sockets_and_tokens_go_on(start: StartInstance) -> None:
    """Somebody stays on an instance with the old key, somebody moves to one with the new."""
    old = await start_old(start)
    talk = await start_talk(old)
    stays = await old.connect(talk.psychologist)
    new = await start_new(start)
    moves = await new.connect(talk.patient, "/chat", after=0)

    for number, device in enumerate((stays, moves), 1):
        await device.ask("message:send", message(talk.chat_id, f"Still here {number}"))
        for hearing in (stays, moves):
            await hearing.wait_for("message:created", count=number)


async def test_a_live_socket_goes_over_to_the_new_key(start: StartInstance) -> None:
    old, new = await start_old(start), await start_new(start)
    person = await old.add_person()
    device = await new.connect(person, "/account")
    _, session = await renew(new, person)

    renewed = {"token": session["access_token"]}
    assert await device.ask("token:refresh", renewed, namespace="/account") == {}
    only_new = await start(jwt_secret_key=NEW)
    await only_new.connect(session["access_token"], "/account")
    with pytest.raises(Refused, match="unauthenticated"):
        await only_new.connect(person, "/account")


async def test_links_signed_with_the_old_key_work_until_they_run_out(start: StartInstance) -> None:
    old, new = await start_old(start), await start_new(start)
    only_new = await start(jwt_secret_key=NEW)
    link = old.runtime.links.sign("/uploads/999999", old.runtime.clock())
    path = link[link.index("/uploads") :]

    statuses = [(await server.request("GET", path))[0] for server in (old, new, only_new)]

    assert statuses == [404, 404, 401]


async def test_instances_that_know_both_keys_refuse_nobody_while_the_key_changes(
    start: StartInstance,
) -> None:
    """First every instance learns the new key as its other one, then one after another signs."""
    not_yet = await start(jwt_secret_key=OLD, jwt_previous_secret_key=NEW)
    already = await start_new(start)
    for signing in (not_yet, already):
        person = await signing.add_person()
        for reading in (not_yet, already):
            device = await reading.connect(person, "/account")
            assert (await device.ask("profile:get", namespace="/account"))["id"] == person.id


async def test_an_answer_that_was_lost_is_given_again_by_the_new_key(start: StartInstance) -> None:
    """A refresh was done under the old key, and its repeat comes to an instance with the new."""
    old, new = await start_old(start), await start_new(start)
    person = await old.add_person()
    ref = str(uuid4())
    await renew(old, person, client_ref=ref)

    status, again = await renew(new, person, client_ref=ref)
    assert status == 200
    status, _ = await new.request(
        "POST", "/auth/refresh", {"refresh_token": again["refresh_token"]}
    )
    assert status == 200

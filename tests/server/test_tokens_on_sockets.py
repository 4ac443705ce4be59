"""Tokens run out on live sockets too, and a session that ends takes its sockets along."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientSession

from server import dispatch
from storage import accounts
from tests.client import Client, Refused
from tests.instance import Instance, Person
from tests.server.raw import Closed, RawPolling, RawSocket
from tests.server.trial import PLACE, tell, token_of, wait_until, wires_of


async def refusal(client: Client, event: str, payload: Any) -> str:
    with pytest.raises(Refused) as refused:
        await client.ask(event, payload, namespace=PLACE)
    return refused.value.code


async def test_at_expiry_only_a_refresh_is_served(kernel: Instance, person: Person) -> None:
    short = token_of(kernel, person, seconds=2)
    client = await kernel.connect(short, PLACE, "/account")
    for namespace in (PLACE, "/account"):
        expired = await client.wait_for("token:expired", namespace=namespace)
        assert set(expired.meta) == {"at"}
    assert await refusal(client, "echo:get", {}) == "token_expired"
    assert await refusal(client, "many:add", {"number": 1}) == "token_expired"
    assert await refusal(client, "token:refresh", {"token": short}) == "token_expired"
    await tell(kernel, [person], 1)
    assert await client.ask("token:refresh", {"token": person.token}, namespace="/account") == {}
    assert (await client.ask("many:add", {"number": 2}, namespace=PLACE))["number"] == 2
    await client.wait_for_seq(2, namespace=PLACE)


async def test_who_does_not_refresh_is_put_out(
    kernel: Instance, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "GRACE", 0.1)
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, token_of(kernel, person, seconds=2))
        closed = await socket.wait_closed()
    assert (closed.code, closed.reason) == (1008, "token_expired")
    assert socket.seen[-2].startswith(f'2{PLACE},["token:expired",{{}},')
    assert socket.seen[-1] == f"1{PLACE},"


async def test_a_refresh_in_time_moves_the_expiry(
    kernel: Instance, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "GRACE", 0.1)
    client = await kernel.connect(token_of(kernel, person, seconds=2), PLACE)
    later = token_of(kernel, person, seconds=4)
    expiry = kernel.runtime.tokens.read(later).expires_at
    await client.ask("token:refresh", {"token": later}, namespace=PLACE)
    await client.wait_for("token:expired", namespace=PLACE)
    # The loop counts in whole milliseconds, and by another clock.
    assert kernel.runtime.clock() > expiry - timedelta(seconds=0.1)


async def test_a_refresh_must_be_of_the_same_sign_in(kernel: Instance, person: Person) -> None:
    stranger = await kernel.add_person()
    again = await kernel.sign_in(person.email)
    client = await kernel.connect(person, PLACE)
    assert await refusal(client, "token:refresh", {"token": stranger.token}) == "forbidden"
    assert await refusal(client, "token:refresh", {"token": again.token}) == "forbidden"
    assert await refusal(client, "token:refresh", {"token": "nonsense"}) == "unauthenticated"
    assert await refusal(client, "token:refresh", {"token": person.token, "x": 1}) == "invalid"
    assert (await client.ask("echo:get", {}, namespace=PLACE))["text"] == ""


async def test_a_fresh_token_in_another_join_renews_the_connection(
    kernel: Instance, person: Person
) -> None:
    short = token_of(kernel, person, seconds=2)
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, short)
        while not (await socket.receive()).startswith(f'2{PLACE},["token:expired"'):
            pass
        await socket.join("/account", person.token)
        assert "data" in await socket.ask(PLACE, 1, "echo:get", "{}")


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_the_end_of_a_session_reaches_the_official_client(
    kernel: Instance, person: Person, transport: str
) -> None:
    client = await kernel.connect(person, PLACE, "/account", transports=(transport,))
    other = await kernel.sign_in(person.email)
    stays = await kernel.connect(other, PLACE, transports=(transport,))
    end = {"session_id": person.session_id}
    await kernel.ask(other, "/account", "session:end", end)
    for namespace in (PLACE, "/account"):
        assert await client.wait_until_left(namespace) == "server disconnect"
    assert (await stays.ask("echo:get", {}, namespace=PLACE))["text"] == ""
    with pytest.raises(Refused) as refused:
        await kernel.connect(person, PLACE)
    assert refused.value.code == "unauthenticated"


async def test_one_can_end_the_session_one_asks_from(kernel: Instance, person: Person) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.join("/account", person.token)
        body = f'{{"session_id":{person.session_id}}}'
        await socket.send(f'42/account,1["session:end",{body}]')
        closed = await socket.wait_closed()
    assert (closed.code, closed.reason) == (1008, "session_ended")
    assert "1/account," in socket.seen


async def test_a_raw_polling_client_is_put_out_too(kernel: Instance, person: Person) -> None:
    other = await kernel.sign_in(person.email)
    async with ClientSession() as session, RawPolling(session, kernel.url) as polling:
        await polling.join(PLACE, person.token)
        waiting = asyncio.create_task(polling.wait_for(f"1{PLACE},never"))
        await kernel.ask(other, "/account", "session:end", {"session_id": person.session_id})
        with pytest.raises(Closed):
            await waiting
    await wait_until(lambda: not wires_of(kernel), "the session is forgotten")


async def test_a_session_that_ends_unheard_is_found_in_the_database(
    kernel: Instance, person: Person
) -> None:
    client = await kernel.connect(person, PLACE)
    async with kernel.runtime.database.session(write=True) as db:
        await accounts.end_sessions(db, person.id)
        await db.commit()
    async with asyncio.timeout(2):
        assert await client.wait_until_left(PLACE) == "server disconnect"

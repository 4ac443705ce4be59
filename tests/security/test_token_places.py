"""A token signs somebody in where a page must put it on purpose, and nowhere else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.server.raw import RawPolling, RawSocket

# The door knows no database: once is enough.
pytestmark = pytest.mark.embedded

TRANSPORTS = ("polling", "websocket")
PLACE = "/account"

Wire = RawPolling | RawSocket


@pytest.fixture
async def server(start: StartInstance) -> Instance:
    return await start(jobs=False)


@pytest.fixture
async def person(server: Instance) -> Person:
    return await server.add_person()


@asynccontextmanager
async def open_wire(
    server: Instance, transport: str, headers: dict[str, str], query: str = ""
) -> AsyncIterator[Wire]:
    """A connection whose handshake has these headers and this in its query."""
    async with ClientSession(headers=headers) as session:
        if transport == "polling":
            polling = RawPolling(session, server.url)
            polling.address += query
            async with polling:
                yield polling
            return
        address = f"{server.url}/socket.io/?EIO=4&transport=websocket{query}"
        async with session.ws_connect(address) as websocket:
            await websocket.receive_str()
            yield RawSocket(websocket)


async def send(wire: Wire, packet: str) -> None:
    await (wire.post(packet) if isinstance(wire, RawPolling) else wire.send(packet))


async def refused(wire: Wire, packet: str) -> str:
    """The code with which a join is refused."""
    await send(wire, packet)
    refusal = await wire.wait_for(f"4{PLACE},")
    return str(refusal["message"])


def list_headers(token: str) -> list[dict[str, str]]:
    return [
        {"Authorization": f"Bearer {token}"},
        {"Authorization": token, "X-Auth-Token": token, "X-Access-Token": token},
        {"Cookie": f"token={token}; access_token={token}; refresh_token={token}; auth={token}"},
    ]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_headers_of_a_handshake_sign_nobody_in(
    server: Instance, person: Person, transport: str
) -> None:
    for headers in list_headers(person.token):
        async with open_wire(server, transport, headers) as wire:
            assert await refused(wire, f"40{PLACE},") == "unauthenticated"
            assert await refused(wire, f"40{PLACE},{{}}") == "invalid"
            await send(wire, f'42{PLACE},1["profile:get",{{}}]')
            (answer,) = await wire.wait_for(f"3{PLACE},1")
            assert answer["error"]["code"] == "unauthenticated"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_token_in_the_address_of_a_handshake_is_refused(
    server: Instance, person: Person, transport: str
) -> None:
    path = f"/socket.io/?EIO=4&transport={transport}&token={person.token}"
    if transport == "websocket":
        async with ClientSession() as session:
            with pytest.raises(WSServerHandshakeError, match="401"):
                await session.ws_connect(server.url + path)
    status, answer = await server.request("GET", path)
    assert (status, answer["error"]["code"]) == (401, "unauthenticated")
    status, answer = await server.request("POST", path)
    assert (status, answer["error"]["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", ["access_token", "auth", "Authorization", "TOKEN", "auth[token]"])
async def test_other_names_in_the_address_sign_nobody_in(
    server: Instance, person: Person, transport: str, name: str
) -> None:
    query = f"&{name}={person.token}"
    async with open_wire(server, transport, {}, query) as wire:
        assert await refused(wire, f"40{PLACE},") == "unauthenticated"


async def test_the_address_of_a_namespace_signs_nobody_in(server: Instance, person: Person) -> None:
    async with RawSocket.open(server.url) as socket:
        assert await refused(socket, f"40{PLACE}?token={person.token},") == "unauthenticated"


async def test_other_names_in_auth_are_refused(server: Instance, person: Person) -> None:
    async with RawSocket.open(server.url) as socket:
        for name in ("access_token", "Token", "authorization", "jwt"):
            auth = f'{{"{name}":"{person.token}"}}'
            assert await refused(socket, f"40{PLACE},{auth}") == "invalid"
        for auth in (f'"{person.token}"', f'["{person.token}"]', f'{{"token":["{person.token}"]}}'):
            assert await refused(socket, f"40{PLACE},{auth}") == "invalid"


async def test_two_people_who_race_for_a_connection_do_not_share_it(
    server: Instance, person: Person
) -> None:
    other = await server.add_person()
    async with RawSocket.open(server.url) as socket:
        await socket.send(f'40/account,{{"token":"{person.token}"}}')
        await socket.send(f'40/chat,{{"token":"{other.token}"}}')
        outcomes: dict[str, str] = {}
        while set(outcomes) != {"/account", "/chat"}:
            packet = await socket.receive()
            if packet[0] in "04":
                outcomes[packet[1:].partition(",")[0]] = packet
        joined = [place for place, packet in outcomes.items() if packet[0] == "0"]
        assert len(joined) == 1
        lost = ({"/account", "/chat"} - set(joined)).pop()
        assert '"message":"forbidden"' in outcomes[lost]


async def test_cookies_sign_nobody_in_over_http(server: Instance, person: Person) -> None:
    """A page of somebody else can make a browser send its cookies, and nothing more."""
    for headers in list_headers(person.token)[1:]:
        for method, path in (("POST", "/events/account/profile:get"), ("GET", "/events/account")):
            status, answer = await server.request(method, path, {}, headers=headers)
            assert (status, answer["error"]["code"]) == (401, "unauthenticated")

"""Which web pages may open a socket: those of the server itself and those it is told of."""

import json
from collections.abc import Mapping

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from tests.conftest import StartInstance
from tests.instance import Instance
from tests.server.raw import RawPolling

# The door knows no database: once is enough.
pytestmark = pytest.mark.embedded

OURS = "https://app.example.com"
FOREIGN = "https://evil.example.net"
ALIKE = (
    FOREIGN,
    "null",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example.net",
    "https://evil-app.example.com",
    "https://APP.example.com",
    f"{OURS}/",
    f"{OURS}, {FOREIGN}",
    f"{FOREIGN}, {OURS}",
)
TRANSPORTS = ("polling", "websocket")

Headers = Mapping[str, str]


async def shake_hands(server: Instance, transport: str, headers: Headers) -> int:
    """The status of a handshake with these headers: 200 or 101 where it succeeds."""
    address = f"{server.url}/socket.io/?EIO=4&transport={transport}"
    async with ClientSession(headers=headers) as session:
        if transport == "polling":
            async with session.get(address) as response:
                opened = response.status == 200
                assert ("sid" in await response.text()) is opened
                return response.status
        try:
            async with session.ws_connect(address) as websocket:
                assert "sid" in json.loads((await websocket.receive_str())[1:])
                return 101
        except WSServerHandshakeError as refused:
            return refused.status


def forge(origin: str) -> list[dict[str, str]]:
    """What makes a page look like the server's own to whoever believes these headers."""
    scheme, _, host = origin.partition("://")
    forwarded = {"X-Forwarded-Host": host, "X-Forwarded-Proto": scheme}
    rfc_7239 = {"Forwarded": f"host={host};proto={scheme}"}
    return [
        {"Origin": origin, **forwarded},
        {"Origin": origin, "X-Forwarded-Host": f"{host}, 127.0.0.1", "X-Forwarded-Proto": scheme},
        {"Origin": origin, **forwarded, **rfc_7239, "X-Forwarded-For": "127.0.0.1"},
    ]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_only_pages_that_were_told_of_open_a_socket(
    start: StartInstance, transport: str
) -> None:
    server = await start(jobs=False, cors_origins=[OURS])
    opened = 200 if transport == "polling" else 101
    assert await shake_hands(server, transport, {"Origin": OURS}) == opened
    assert await shake_hands(server, transport, {}) == opened
    for origin in ALIKE:
        assert await shake_hands(server, transport, {"Origin": origin}) == 400, origin


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_where_none_was_told_of_only_the_servers_own_pages_do(
    server: Instance, transport: str
) -> None:
    opened = 200 if transport == "polling" else 101
    assert await shake_hands(server, transport, {"Origin": server.url}) == opened
    for origin in ALIKE:
        assert await shake_hands(server, transport, {"Origin": origin}) == 400, origin


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_forwarding_headers_make_no_page_ours(start: StartInstance, transport: str) -> None:
    server = await start(jobs=False, cors_origins=[OURS])
    for headers in forge(FOREIGN):
        assert await shake_hands(server, transport, headers) == 400, headers


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_forwarding_headers_make_no_page_the_servers_own(
    server: Instance, transport: str
) -> None:
    for headers in forge(FOREIGN):
        assert await shake_hands(server, transport, headers) == 400, headers


async def test_a_foreign_page_cannot_go_on_with_a_session_it_got_hold_of(
    start: StartInstance,
) -> None:
    server = await start(jobs=False, cors_origins=[OURS])
    person = await server.add_person()
    async with ClientSession() as session, RawPolling(session, server.url) as polling:
        await polling.join("/chat", person.token)
        async with ClientSession(headers={"Origin": FOREIGN}) as foreign:
            async with foreign.get(polling.address) as response:
                assert response.status == 400
            async with foreign.post(polling.address, data=b"41/chat,") as response:
                assert response.status == 400
            upgrade = polling.address.replace("transport=polling", "transport=websocket")
            with pytest.raises(WSServerHandshakeError, match="400"):
                await foreign.ws_connect(upgrade)
        await polling.post('42/chat,7["unread:get",{}]')
        assert "data" in (await polling.wait_for("3/chat,7"))[0]


@pytest.mark.parametrize("path", ["/socket.io/?EIO=4&transport=polling", "/events/chat"])
async def test_browsers_are_told_which_pages_may_ask(start: StartInstance, path: str) -> None:
    server = await start(jobs=False, cors_origins=[OURS])
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    for origin, allowed in ((OURS, OURS), *((origin, None) for origin in ALIKE)):
        for method, headers in (("OPTIONS", preflight), ("GET", {})):
            async with (
                ClientSession() as session,
                session.request(
                    method, server.url + path, headers={"Origin": origin, **headers}
                ) as response,
            ):
                told = response.headers.get("Access-Control-Allow-Origin")
                assert told == allowed, (origin, method)

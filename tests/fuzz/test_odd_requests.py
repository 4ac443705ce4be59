"""HTTP that no Socket.IO client would send to its address: refused, and nobody is the worse."""

import asyncio
import contextlib
import json
from collections import Counter
from random import Random

import pytest
from aiohttp import ClientSession, ClientTimeout, WSServerHandshakeError
from aiohttp.client_exceptions import ClientError

from tests.fuzz.links import write_body
from tests.fuzz.mutations import LONE, make_noise
from tests.fuzz.packets import Scene
from tests.fuzz.seeds import SEEDS
from tests.fuzz.setting import unharmed
from tests.instance import Instance
from tests.server.raw import RawPolling, RawSocket, connect_packet
from tests.server.trial import wait_until, wires_of

# The door knows no database: once is enough.
pytestmark = pytest.mark.embedded

PLACE = "/account"
CASES = 100
STEPS = 60
METHODS = ("GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW")
VALUES = {
    "EIO": ("4", "4", "4", "3", "5", "", "four", "4.0", "\u0664"),
    "transport": ("polling", "polling", "websocket", "webtransport", "", "x" * 500, "\0"),
    "sid": ("", "nobody", "../..", "%00", "A" * 2000, "\U0001f600"),
    "j": ("0", "x", "-1", ""),
    "b64": ("1",),
    "token": ("a.b.c",),
    "t": ("abc", "q" * 6000),
}
HEADERS = (
    {"Upgrade": "websocket"},
    {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
    {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "x"},
    {"Upgrade": "h2c", "Connection": "Upgrade"},
    {"Content-Type": "application/json"},
    {"Content-Encoding": "gzip"},
    {"Origin": "https://elsewhere.example"},
    {"X-Forwarded-For": "nonsense, 1.2.3.4"},
    {"Accept-Encoding": "gzip, br"},
    {"Cookie": "io=1; ;=;"},
    {"Authorization": "Bearer x"},
)


def write_query(rng: Random, sids: tuple[str, ...]) -> list[tuple[str, str]]:
    """Mostly what a handshake or a poll has, with something missing, wrong, twice or too much."""
    query = [("EIO", "4"), ("transport", "polling")]
    if rng.random() < 0.5:
        query.append(("sid", rng.choice(sids)))
    for _ in range(rng.choice((0, 1, 1, 2))):
        name = rng.choice(sorted(VALUES))
        values = (*VALUES[name], *sids) if name == "sid" else VALUES[name]
        query.insert(rng.randrange(len(query) + 1), (name, rng.choice(values)))
    if rng.random() < 0.2:
        query.pop(rng.randrange(len(query)))
    return query


async def request_oddly(rng: Random, server: Instance, sids: tuple[str, ...]) -> tuple[int, str]:
    """The status and the text; 0 where the server had nothing to say for a while."""
    headers = dict(rng.choice(HEADERS)) if rng.random() < 0.4 else {}
    body = rng.choice((None, b"", rng.choice(LONE).encode(), rng.randbytes(50)))
    async with (
        ClientSession(timeout=ClientTimeout(total=0.2)) as http,
        http.request(
            rng.choice(METHODS),
            f"{server.url}/socket.io/",
            params=write_query(rng, sids),
            headers=headers,
            data=body,
            allow_redirects=False,
        ) as response,
    ):
        return response.status, await response.text()


async def leave(server: Instance, text: str) -> None:
    """Close the session that a handshake has made."""
    for piece in text.split("\x1e"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            sid = json.loads(piece[piece.index("{") :])["sid"]
            async with (
                ClientSession() as http,
                http.post(
                    f"{server.url}/socket.io/?EIO=4&transport=polling&sid={sid}", data=b"1"
                ) as response,
            ):
                assert response.status < 500


@pytest.mark.parametrize("seed", SEEDS)
async def test_odd_requests_are_refused(fuzzed: Instance, scenes: list[Scene], seed: int) -> None:
    seen: Counter[int] = Counter()
    async with unharmed(fuzzed) as chatting, RawSocket.open(fuzzed.url) as other:
        await other.join(PLACE, scenes[0].token)
        for number in range(CASES):
            rng = Random(f"{seed} odd {number}")
            async with ClientSession() as http, RawPolling(http, fuzzed.url) as polling:
                sids = (polling.address.rpartition("=")[2], other.opening["sid"])
                try:
                    status, text = await request_oddly(rng, fuzzed, sids)
                except (TimeoutError, ClientError):
                    # A poll that waits for news, or a method that is no word of HTTP.
                    status, text = 0, ""
            seen[status] += 1
            assert status < 500, f"seed {seed} case {number}: {status} {text[:500]}"
            await leave(fuzzed, text)
            chatting.give_turn()
        assert "data" in await other.ask(PLACE, 1, "profile:get", "{}")
    assert {200, 400, 405} <= set(seen), seen


@pytest.mark.parametrize("seed", SEEDS)
async def test_upgrades_at_any_moment_leave_nothing(
    fuzzed: Instance, scenes: list[Scene], seed: int
) -> None:
    """Polls, posts, probes and second websockets of one session, in any order and at once."""

    async def try_upgrade(rng: Random, address: str) -> None:
        said = rng.choice((["2probe", "5"], ["2probe", "5"], ["2probe"], ["5"], [], ["4", "5"]))
        address = address.replace("=polling", "=websocket")
        async with ClientSession() as http, http.ws_connect(address) as websocket:
            for text in (*said, *(rng.choice(LONE) for _ in range(rng.randrange(3)))):
                await websocket.send_str(text)
            with contextlib.suppress(TimeoutError):
                await websocket.receive(timeout=rng.random() / 20)

    async def post(rng: Random, address: str) -> None:
        frames = rng.choice((["3"], ["1"], make_noise(rng, scenes[0], (PLACE,)), ["3", "3"]))
        body = write_body(frames)
        async with ClientSession() as http, http.post(address, data=body) as response:
            assert response.status < 500

    async def poll(rng: Random, address: str) -> None:
        timeout = ClientTimeout(total=rng.random() / 20)
        async with ClientSession(timeout=timeout) as http, http.get(address) as response:
            assert response.status < 500

    async with unharmed(fuzzed) as chatting:
        for number in range(STEPS):
            rng = Random(f"{seed} upgrade {number}")
            async with ClientSession() as http, RawPolling(http, fuzzed.url) as polling:
                await polling.post(connect_packet(PLACE, scenes[0].token))
                steps = rng.choices((try_upgrade, post, poll), k=rng.randint(1, 4))
                ends = await asyncio.gather(
                    *(step(rng, polling.address) for step in steps), return_exceptions=True
                )
            allowed = (ClientError, ConnectionError, TimeoutError, WSServerHandshakeError)
            wrong = [end for end in ends if end is not None and not isinstance(end, allowed)]
            assert not wrong, f"seed {seed} case {number}: {wrong}"
            chatting.give_turn()
        # A failed upgrade leaves the session to its polls, and these have ended it.
        await wait_until(
            lambda: all(wire.upgraded for wire in wires_of(fuzzed).values()), "none is left polling"
        )

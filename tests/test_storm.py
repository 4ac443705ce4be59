"""Everybody comes back at once: all get in, and those who talk meanwhile hardly notice.

`EMOTRACK_STORM=2000 pytest -s tests/test_storm.py` measures a larger one.
"""

import asyncio
import os
import time
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession, TCPConnector, WSMsgType

from tests.command import Shell
from tests.instance import Instance, Person
from tests.server.raw import connect_packet
from tests.test_floods import measure, open_line

pytestmark = [pytest.mark.scaled, pytest.mark.alone]

CLIENTS = int(os.environ.get("EMOTRACK_STORM", "150"))
NAMESPACES = ("/chat", "/notifications")
PATIENCE = 30 + CLIENTS / 20
HARDLY = 1.0 + CLIENTS / 1000


async def come_back(session: ClientSession, server: Instance, person: Person) -> float:
    """The seconds until this client follows both its streams; any refusal is an error."""
    start = time.perf_counter()
    url = f"{server.url}/socket.io/?EIO=4&transport=websocket"
    async with session.ws_connect(url, max_msg_size=0) as websocket:
        await websocket.receive_str()
        for namespace in NAMESPACES:
            await websocket.send_str(connect_packet(namespace, person.token, after=0))
        missing = set(NAMESPACES)
        while missing:
            message = await websocket.receive()
            assert message.type is WSMsgType.TEXT, repr(message)
            assert not message.data.startswith("44"), message.data
            missing -= {n for n in missing if message.data.startswith(f'42{n},["stream:ready"')}
        return time.perf_counter() - start


@pytest.mark.timeout(60 + CLIENTS / 5)
async def test_when_all_come_back_at_once_all_get_in_and_the_others_hardly_notice(
    shell: Shell,
) -> None:
    async with shell.serve() as served, AsyncExitStack() as stack:
        server = served.instance
        people = [await server.add_person() for _ in range(CLIENTS)]
        lines = [await open_line(server) for _ in range(2)]
        quiet = await measure(lines)
        session = await stack.enter_async_context(ClientSession(connector=TCPConnector(limit=0)))
        async with asyncio.timeout(PATIENCE):
            storm = asyncio.gather(*(come_back(session, server, person) for person in people))
            stormy = await measure(lines)
            took = sorted(await storm)
    print(  # noqa: T201 - what a measurement is made for
        f"{CLIENTS} clients in {took[-1]:.1f} s, half of them in {took[len(took) // 2]:.1f} s; "
        f"p99 of another pair {stormy * 1000:.0f} ms, quiet {quiet * 1000:.0f} ms"
    )
    assert stormy < HARDLY

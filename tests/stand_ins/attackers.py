"""Clients that mean harm, in a process of their own: `python -m tests.stand_ins.attackers KIND URL TOKEN`."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import ClientError, ClientSession, TCPConnector

from tests.server.raw import Closed, RawSocket, connect_packet, event_packet

ROOT = Path(__file__).parents[2]
KNOCKS = 1000
PACKETS = 2000
LARGE_ANSWERS = 500
COMES_BACK_AFTER = 0.05


async def flood(url: str, token: str) -> None:
    """One client that sends as fast as it can, and comes back whenever it is put out."""
    packets = [event_packet("/chat", "unread:get", "{}", ack=n) for n in range(PACKETS)]
    say_ready()
    while True:
        with contextlib.suppress(Closed, ClientError, ConnectionError):
            async with RawSocket.open(url) as socket:
                await socket.send(connect_packet("/chat", token))
                # A join, or its refusal.
                await socket.receive()
                for packet in packets:
                    await socket.send(packet)
                await socket.wait_closed()
        await asyncio.sleep(COMES_BACK_AFTER)


async def stall(url: str, token: str) -> None:
    """One client that asks for much and reads nothing."""
    async with RawSocket.open(url, small_window=True) as socket:
        await socket.send(connect_packet("/chat", token))
        for number in range(LARGE_ANSWERS):
            await socket.send(event_packet("/chat", "chat:list", '{"limit":100}', ack=number))
        say_ready()
        await asyncio.Future()


async def knock(url: str, token: str) -> None:
    """A thousand handshakes after which nobody says who they are, as fast as one client makes them."""
    address = f"{url}/socket.io/?EIO=4&transport="
    async with (
        ClientSession(connector=TCPConnector(limit=0)) as session,
        AsyncExitStack() as stack,
    ):
        say_ready()
        for number in range(KNOCKS):
            if number % 2:
                with contextlib.suppress(ClientError):
                    await stack.enter_async_context(session.ws_connect(f"{address}websocket"))
            else:
                async with session.get(f"{address}polling") as response:
                    await response.read()
        await asyncio.Future()


def say_ready() -> None:
    print("ready", flush=True)  # noqa: T201 - what the test waits for


@asynccontextmanager
async def attack(kind: str, url: str, token: str) -> AsyncIterator[None]:
    """Have this attack under way."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        kind,
        url,
        token,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        await process.communicate()


if __name__ == "__main__":
    kinds = {work.__name__: work for work in (flood, stall, knock)}
    asyncio.run(kinds[sys.argv[1]](*sys.argv[2:]))

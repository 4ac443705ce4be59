"""Several processes that serve one port: the system hands each new connection to one of them.

The requests of one polling client land on any of them, as they do on instances behind a balancer:
each process has a port of its own besides, by which the others reach it.
"""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from time import monotonic

from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

from server.log import get_logger
from server.settings import Settings
from server.tasks import first_of

log = get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
WELL_AFTER = 60.0
"""Seconds after which a process that ends had begun well: the next one is not made to wait."""

LOOK_EVERY = 0.1
ASK_TIMEOUT = ClientTimeout(total=2)
LOCAL = "127.0.0.1"


@contextlib.contextmanager
def reserve_port(settings: Settings) -> Iterator[int]:
    """The port, or a free one for 0, kept for these processes while none of them listens yet."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((settings.host, settings.port))
        yield reserved.getsockname()[1]


def open_private_port(settings: Settings, port: int) -> tuple[socket.socket, str]:
    """A port of this process alone, and the URL by which its peers reach it there."""
    known = URL(settings.internal_url or f"http://{LOCAL}")
    listening = socket.create_server((settings.host if settings.internal_url else LOCAL, port))
    return listening, str(known.with_port(listening.getsockname()[1]))


@contextlib.asynccontextmanager
async def keep_running(commands: Sequence[Sequence[str]], patience: float) -> AsyncIterator[None]:
    """Run these processes, each again when it ends; in the end they have `patience` seconds."""
    leaving = asyncio.Event()
    keepers = [asyncio.create_task(_keep(command, leaving, patience)) for command in commands]
    try:
        yield
    finally:
        leaving.set()
        await asyncio.gather(*keepers)


async def wait_ready(host: str, port: int) -> None:
    """Until one of them is ready."""
    here = LOCAL if host in ("0.0.0.0", "::") else host  # noqa: S104 - not bound to here
    url = URL.build(scheme="http", host=here, port=port, path="/health/ready")
    async with ClientSession(timeout=ASK_TIMEOUT) as session:
        while True:
            with contextlib.suppress(ClientError, TimeoutError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(LOOK_EVERY)


async def wait_for_end_of_input() -> None:
    """Until whoever started this process is gone."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def _keep(command: Sequence[str], leaving: asyncio.Event, patience: float) -> None:
    pause = FIRST_PAUSE
    while not leaving.is_set():
        started = monotonic()
        # A group of its own: what a terminal sends to all, the first one passes on.
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        await first_of(_wait(process), _wait(leaving))
        if leaving.is_set():
            await _end(process, patience)
            return
        pause = FIRST_PAUSE if monotonic() - started > WELL_AFTER else min(2 * pause, LONGEST_PAUSE)
        log.error("processes.ended", code=process.returncode, again_in=pause)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(leaving.wait(), pause)


async def _wait(awaited: asyncio.subprocess.Process | asyncio.Event) -> None:
    await awaited.wait()


async def _end(process: asyncio.subprocess.Process, patience: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), patience)
        except TimeoutError:
            process.kill()
            await process.wait()

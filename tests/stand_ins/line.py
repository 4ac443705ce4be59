"""A line to a server that can be cut, refused or left dead in the middle of everything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.tasks import end_tasks


class Line:
    """Brings every connection to the server behind it, as long as it works."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.refused = 0
        self._place = (host, port)
        self._works = True
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self._works = False
        for writer in self._writers:
            writer.transport.abort()

    def deaden(self) -> None:
        """Bring nothing over any more, without ending anything."""
        self._flows.clear()

    def mend(self) -> None:
        self._works = True
        self._flows.set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._works:
            self.refused += 1
            writer.transport.abort()
            return
        there = await asyncio.open_connection(*self._place)
        for source, target in ((reader, there[1]), (there[0], writer)):
            self._writers.add(target)
            task = asyncio.create_task(self._bring(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        await end_tasks(self._tasks)

    async def _bring(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                while data := await source.read(65_536):
                    await self._flows.wait()
                    target.write(data)
                    await target.drain()
            finally:
                self._writers.discard(target)
                target.close()
                await target.wait_closed()


@asynccontextmanager
async def open_line(host: str, port: int) -> AsyncIterator[Line]:
    line = Line(host, port)
    server = await asyncio.start_server(line.handle, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        await line.stop()

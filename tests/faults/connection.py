"""One connection of a device: the official client, with an end that can be waited for."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import socketio
from aiohttp import ClientError, ClientSession, TCPConnector

from server.tasks import end_tasks
from tests.faults.record import NAMESPACES

CONNECT_WITHIN = 15.0
LOOK_EVERY = 0.25
READY = "stream:ready"

Hear = Callable[[str, str, Any, Any], None]


class NotConnected(Exception):
    """The connection could not be made; `code` says why, where the server said so."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Client(socketio.AsyncClient):  # type: ignore[misc]  # the library is untyped
    """Each namespace has a position of its own, so each gets its own `auth`."""

    auths: Mapping[str, dict[str, Any]]

    async def _handle_eio_connect(self) -> None:
        self.sid = self.eio.sid
        for namespace, auth in self.auths.items():
            await self._send_packet(self.packet_class(0, data=auth, namespace=namespace))


class Connection:
    """Joined to both namespaces, until something ends it."""

    def __init__(self, name: str, hear: Hear) -> None:
        self.name = name
        self.over = asyncio.Event()
        self.reason = ""
        self._hear = hear
        self._session: ClientSession | None = None
        self._ready: dict[str, asyncio.Future[None]] = {}
        self._client = _Client(reconnection=False, handle_sigint=False)

    async def open(
        self, url: str, transports: Sequence[str], auths: Mapping[str, dict[str, Any]]
    ) -> None:
        """Connect, and wait for `stream:ready` of both. Raises: NotConnected."""
        loop = asyncio.get_running_loop()
        self._ready = {namespace: loop.create_future() for namespace in NAMESPACES}
        self._session = ClientSession(connector=TCPConnector(limit=8))
        self._client.eio.http, self._client.eio.external_http = self._session, True
        self._client.auths = auths
        for namespace in NAMESPACES:
            self._listen(namespace)
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await self._client.connect(
                    url, namespaces=list(NAMESPACES), transports=list(transports), wait=False
                )
                over = asyncio.create_task(self.over.wait())
                try:
                    await self._wait_ready(over)
                finally:
                    over.cancel()
        except (TimeoutError, OSError, ClientError, socketio.exceptions.ConnectionError) as error:
            await self.close()
            raise NotConnected(type(error).__name__) from None
        except BaseException:
            await self.close()
            raise

    async def _wait_ready(self, over: "asyncio.Task[Any]") -> None:
        for ready in self._ready.values():
            while not ready.done():
                if over.done():
                    raise NotConnected(self.reason)
                both: list[asyncio.Future[Any]] = [over, ready]
                await asyncio.wait(both, timeout=LOOK_EVERY, return_when="FIRST_COMPLETED")
                self._look()
            ready.result()

    def describe(self) -> str:
        """For those who wonder why it was silent."""
        eio = self._client.eio
        loops = {"reads": eio.read_loop_task, "writes": eio.write_loop_task}
        alive = [name for name, loop in loops.items() if loop is not None and not loop.done()]
        return f"{eio.current_transport} {eio.sid} {' '.join(alive)} {eio.queue.qsize()} queued"

    async def watch(self) -> None:
        """Until the connection is over, also where the library has not noticed."""
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), LOOK_EVERY)
            self._look()

    async def emit(
        self, event: str, payload: Any, namespace: str
    ) -> "asyncio.Future[dict[str, Any]]":
        """The future answer; it never comes when the connection is over."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def settle(data: dict[str, Any]) -> None:
            if not answer.done():
                answer.set_result(data)

        try:
            await self._client.emit(event, payload, namespace=namespace, callback=settle)
        except socketio.exceptions.SocketIOError:
            self._end("not connected")
        return answer

    async def close(self) -> None:
        """Drop the TCP connections, whatever is under way."""
        self._end("closed here")
        eio = self._client.eio
        tasks = [task for task in (eio.read_loop_task, eio.write_loop_task) if task is not None]
        await end_tasks(tasks)
        eio.state = "disconnected"
        # Without a session the library would have made itself one.
        for session in {self._session, eio.http} - {None}:
            await session.close()

    def _look(self) -> None:
        """The library's loops may end alone, after a POST that failed or a poll that was cut.

        What is emitted then would wait for ever.
        """
        eio = self._client.eio
        loops = (eio.read_loop_task, eio.write_loop_task)
        if any(loop is None or loop.done() for loop in loops):
            self._end("the library stopped")

    def _end(self, reason: str) -> None:
        if not self.over.is_set():
            self.reason = reason
            self.over.set()

    def _listen(self, namespace: str) -> None:
        def hear(event: str, data: Any = None, meta: Any = None) -> None:
            if self.over.is_set():
                return
            self._hear(namespace, event, data, meta)
            if event == READY and not self._ready[namespace].done():
                self._ready[namespace].set_result(None)

        def refuse(data: Any = None) -> None:
            code = data.get("message", "") if isinstance(data, dict) else str(data)
            future = self._ready[namespace]
            if not future.done():
                future.set_exception(NotConnected(code))
                # Looked at or not: nobody is to be warned.
                future.exception()

        def leave(reason: str = "") -> None:
            self._end(str(reason) or "left")

        self._client.on("*", hear, namespace=namespace)
        self._client.on("connect_error", refuse, namespace=namespace)
        self._client.on("disconnect", leave, namespace=namespace)

"""A device: the official Python client, with what it was told kept in order."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import socketio

Found = TypeVar("Found")
PATIENCE = 10.0


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error}")
        self.error = error
        self.code: str = error["code"]


@dataclass(frozen=True, slots=True)
class Told:
    """One push or signal."""

    event: str
    data: Any
    meta: dict[str, Any]

    @property
    def seq(self) -> int | None:
        return self.meta.get("seq")


class Client:
    """Connects, asks, and remembers everything it is told, by namespace."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: dict[str, list[Told]] = defaultdict(list)
        self.left: dict[str, str] = {}
        self._news = asyncio.Condition()
        self._refusals: dict[str, dict[str, Any]] = {}
        self._client = socketio.AsyncClient(reconnection=False)

    async def connect(
        self,
        namespaces: Sequence[str],
        auth: dict[str, Any] | None,
        *,
        transports: Sequence[str] = ("websocket",),
    ) -> None:
        """Join the namespaces. Raises: Refused with what `connect_error` brought."""
        for namespace in namespaces:
            self._listen(namespace)
        try:
            await self._client.connect(
                self.url,
                auth=auth,
                namespaces=list(namespaces),
                transports=list(transports),
                wait_timeout=PATIENCE,
            )
        except socketio.exceptions.ConnectionError:
            await self.close()
            for refusal in self._refusals.values():
                raise Refused(refusal["data"]) from None
            raise

    @property
    def session_id(self) -> str:
        """Engine.IO's."""
        return str(self._client.eio.sid)

    async def ask(self, event: str, payload: Any = None, *, namespace: str = "/chat") -> Any:
        """The data of the answer. Raises: Refused."""
        payload = {} if payload is None else payload
        answer = await self._client.call(event, payload, namespace=namespace, timeout=PATIENCE)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["data"]

    async def emit(self, event: str, payload: Any, *, namespace: str = "/chat") -> None:
        """Ask without wanting an answer."""
        await self._client.emit(event, payload, namespace=namespace)

    async def wait_for(
        self,
        event: str,
        *,
        namespace: str = "/chat",
        count: int = 1,
        where: Callable[[Any], bool] = lambda _: True,
    ) -> Told:
        """The `count`-th event of this name, whether it came already or comes now."""

        def find() -> Told | None:
            found = [t for t in self.told[namespace] if t.event == event and where(t.data)]
            return found[count - 1] if len(found) >= count else None

        return await self._wait(find, f"{event} in {namespace}")

    async def wait_for_last(
        self, event: str, value: Any, *, namespace: str = "/chat", of: str | None = None
    ) -> None:
        """Until the last event of this name says this, whole or in one field."""

        def find() -> bool | None:
            said = [told.data for told in self.told[namespace] if told.event == event]
            last = said[-1] if said else None
            return (last[of] if last and of else last) == value or None

        await self._wait(find, f"{event} {value} at last")

    def forget(self, event: str) -> None:
        """Leave out what was told under this name so far."""
        for namespace, told in self.told.items():
            self.told[namespace] = [one for one in told if one.event != event]

    async def wait_until_left(self, namespace: str = "/chat") -> str:
        """Why the server put this client out of the namespace."""
        return await self._wait(lambda: self.left.get(namespace), f"leaving {namespace}")

    async def wait_for_seq(self, seq: int, *, namespace: str = "/chat") -> None:
        """Until everything up to this seq has come."""
        await self._wait(
            lambda: any((t.seq or 0) >= seq for t in self.told[namespace]) or None,
            f"seq {seq} in {namespace}",
        )

    def pushes(self, namespace: str = "/chat") -> list[Told]:
        """What was told and numbered."""
        return [told for told in self.told[namespace] if told.seq is not None]

    @property
    def transport(self) -> str:
        return str(self._client.transport())

    async def close(self) -> None:
        await self._client.disconnect()
        await self._client.eio.disconnect(abort=True)

    async def leave(self, namespace: str) -> None:
        await self._client._send_packet(self._client.packet_class(1, namespace=namespace))

    def _listen(self, namespace: str) -> None:
        async def hear(event: str, *args: Any) -> None:
            data, meta = (*args, {}, {})[:2]
            async with self._news:
                self.told[namespace].append(Told(event, data, meta))
                self._news.notify_all()

        async def refuse(data: Any) -> None:
            self._refusals[namespace] = data

        async def leave(reason: str = "") -> None:
            async with self._news:
                self.left[namespace] = reason or "left"
                self._news.notify_all()

        self._client.on("*", hear, namespace=namespace)
        self._client.on("connect_error", refuse, namespace=namespace)
        self._client.on("disconnect", leave, namespace=namespace)

    async def _wait(self, find: Callable[[], Found | None], what: str) -> Found:
        async with self._news:
            try:
                async with asyncio.timeout(PATIENCE):
                    while (found := find()) is None:
                        await self._news.wait()
            except TimeoutError:
                raise AssertionError(f"nobody was told of {what}") from None
            return found

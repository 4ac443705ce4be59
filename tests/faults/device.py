"""A device: comes back with its cursors, and keeps what it shows by snapshot and pushes."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from server.tasks import end_tasks
from tests.faults.connection import READY, Connection, NotConnected
from tests.faults.folding import fold, put_chat, read_fact
from tests.faults.record import (
    CHAT,
    FEED,
    LOST,
    NAMESPACES,
    SILENT,
    Counts,
    DeviceRecord,
    Line,
    Seen,
    State,
)

FIRST_BACKOFF = 0.1
MAX_BACKOFF = 2.0
ANSWER_WITHIN = 20.0
"""Seconds on an undisturbed connection."""

PAGE = 100
LOOK_EVERY = 0.1


class Calm:
    """Since when nothing disturbs the way between clients and servers."""

    def __init__(self) -> None:
        self.disturbances = 0
        self.since = 0.0

    def patience(self, since: float, now: float) -> float:
        """Seconds that an answer asked for at `since` may still take."""
        if self.disturbances:
            return ANSWER_WITHIN
        return max(since, self.since) + ANSWER_WITHIN - now


class Broken(Exception):
    """The connection was over, or silent, before the answer came; the word for it."""


class Device:
    """Connects again and again until it is stopped."""

    def __init__(
        self,
        name: str,
        person_id: int,
        token: str,
        *,
        url: str,
        transports: Sequence[str],
        calm: Calm,
        rng: random.Random,
        from_start: bool,
        on_push: Callable[[int, Seen], None],
    ) -> None:
        self.record = DeviceRecord(name, person_id, State())
        self.transports = transports
        self.refusals: Counter[str] = Counter()
        self.silences: list[tuple[float, str]] = []
        self.connections = 0
        self._token = token
        self._url = url
        self._calm = calm
        self._rng = rng
        self._on_push = on_push
        self._epoch: str | None = None
        self._wrong_epoch = False
        self._line = dict.fromkeys(NAMESPACES, 0)
        self._loading: dict[str, list[tuple[str, Any]] | None] = dict.fromkeys(NAMESPACES)
        self._stale: set[str] = set()
        if from_start:
            for namespace in NAMESPACES:
                self.record.cursors[namespace] = 0
                self.record.lines.append(Line(namespace, 0, 0))
        self._connection: Connection | None = None
        self._online = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._fetching: asyncio.Task[None] | None = None

    @property
    def online(self) -> bool:
        return self._online.is_set()

    @property
    def settled(self) -> bool:
        return self.online and not self._stale

    def start(self) -> None:
        self._task = asyncio.create_task(self._live())

    async def stop(self) -> None:
        self._stopping = True
        await self.drop()
        if self._task is not None:
            await end_tasks([self._task])

    async def drop(self) -> None:
        """Break the TCP connections without a word."""
        if self._connection is not None:
            await self._connection.close()

    async def forget(self, *, wrong_epoch: bool) -> None:
        """Start anew: as a new installation, or with positions of another time."""
        await self.drop()
        if wrong_epoch:
            self._wrong_epoch = True
        else:
            self.record.cursors.clear()

    async def wait_online(self) -> None:
        await self._online.wait()

    async def ask(self, event: str, payload: Any, namespace: str = CHAT) -> dict[str, Any]:
        """The answer, whatever it says. Raises: Broken."""
        _, coming = await self.begin(event, payload, namespace)
        return await self.finish(*coming)

    async def begin(
        self, event: str, payload: Any, namespace: str = CHAT
    ) -> tuple[str, tuple[Connection, asyncio.Future[dict[str, Any]], str]]:
        """Emit once connected; the connection's name, and what `finish` takes."""
        await self._online.wait()
        connection = self._connection
        assert connection is not None
        return connection.name, (
            connection,
            await connection.emit(event, payload, namespace),
            event,
        )

    async def finish(
        self, connection: Connection, answer: "asyncio.Future[dict[str, Any]]", event: str
    ) -> dict[str, Any]:
        """Wait for what was emitted. Raises: Broken."""
        loop = asyncio.get_running_loop()
        emitted = loop.time()
        over = asyncio.ensure_future(connection.over.wait())
        try:
            while (left := self._calm.patience(emitted, loop.time())) > 0:
                both: list[asyncio.Future[Any]] = [answer, over]
                await asyncio.wait(both, timeout=left, return_when="FIRST_COMPLETED")
                if answer.done():
                    return answer.result()
                if over.done():
                    raise Broken(LOST)
        finally:
            over.cancel()
        about = f"{connection.name} ({connection.describe()}): {event}"
        self.silences.append((emitted, about))
        await connection.close()
        raise Broken(SILENT)

    # -- Living --

    async def _live(self) -> None:
        backoff = FIRST_BACKOFF
        while not self._stopping:
            self.connections += 1
            connection = Connection(f"{self.record.name}#{self.connections}", self._hear)
            self._connection = connection
            try:
                await connection.open(self._url, self.transports, self._make_auths())
            except NotConnected as refusal:
                self.refusals[refusal.code] += 1
                await asyncio.sleep(backoff * self._rng.uniform(0.5, 1.5))
                backoff = min(2 * backoff, MAX_BACKOFF)
                continue
            backoff = FIRST_BACKOFF
            self._online.set()
            self._fetching = asyncio.create_task(self._fetch_stale())
            try:
                await connection.watch()
            finally:
                self._online.clear()
                await end_tasks([self._fetching])
                await connection.close()
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) * FIRST_BACKOFF)

    def _make_auths(self) -> dict[str, dict[str, Any]]:
        auths: dict[str, dict[str, Any]] = {}
        for namespace in NAMESPACES:
            auths[namespace] = {"token": self._token}
            if namespace in self.record.cursors:
                auths[namespace]["after"] = self.record.cursors[namespace]
                if self._epoch is not None:
                    auths[namespace]["epoch"] = "of yore" if self._wrong_epoch else self._epoch
        self._wrong_epoch = False
        return auths

    def _hear(self, namespace: str, event: str, data: Any, meta: Any) -> None:
        if event == READY:
            self._epoch = data["epoch"]
            if data["reset"] or namespace not in self.record.cursors:
                self._begin_anew(namespace, data["from"])
        elif "seq" in meta:
            self._take(namespace, event, data, meta["seq"])

    def _take(self, namespace: str, event: str, data: Any, seq: int) -> None:
        now = asyncio.get_running_loop().time()
        seen = Seen(namespace, self._line[namespace], seq, read_fact(event, data), now)
        self.record.seen.append(seen)
        self.record.cursors[namespace] = seq
        pending = self._loading[namespace]
        if pending is None:
            fold(self.record.state, event, data)
        else:
            pending.append((event, data))
        self._on_push(self.record.person_id, seen)

    # -- Starting anew --

    def _begin_anew(self, namespace: str, start: int) -> None:
        """What comes from here on waits for the lists, which may be older or newer than it."""
        self._line[namespace] += 1
        self.record.lines.append(Line(namespace, self._line[namespace], start))
        self.record.cursors[namespace] = start
        self._loading[namespace] = []
        self._stale.add(namespace)
        if self.online and (self._fetching is None or self._fetching.done()):
            self._fetching = asyncio.create_task(self._fetch_stale())

    async def _fetch_stale(self) -> None:
        while self._stale:
            namespace = min(self._stale)
            line = self._line[namespace]
            try:
                fetched = State()
                if namespace == CHAT:
                    await self.fetch_chats(fetched)
                else:
                    await self.fetch_feed(fetched)
            except Broken:
                return
            if line == self._line[namespace]:
                self._settle(namespace, fetched)

    def _settle(self, namespace: str, fetched: State) -> None:
        for event, data in self._loading[namespace] or []:
            fold(fetched, event, data)
        self._loading[namespace] = None
        self._stale.discard(namespace)
        state = self.record.state
        if namespace == CHAT:
            state.messages, state.read, state.delivered = (
                fetched.messages,
                fetched.read,
                fetched.delivered,
            )
        else:
            state.notes = fetched.notes

    async def fetch_chats(self, state: State) -> None:
        """Every chat and all its messages. Raises: Broken."""
        async for chat in self._page("chat:list", CHAT):
            history: list[Any] = []
            while True:
                after = history[-1]["seq"] if history else 0
                wanted = {"chat_id": chat["id"], "after": after, "limit": PAGE}
                page = await self._insist("message:history", wanted, CHAT)
                history += page["items"]
                if not page["has_more"]:
                    break
            put_chat(state, chat, history)
            state.read[chat["id"], self.record.person_id] = chat["read_seq"]

    async def fetch_feed(self, state: State) -> None:
        """The whole feed. Raises: Broken."""
        async for note in self._page("notification:list", FEED):
            state.notes[note["id"]] = note["read_at"] is not None

    async def count(self) -> Counts:
        """What this person is told when they ask. Raises: Broken."""
        unread = await self._insist("unread:get", {}, CHAT)
        listed = {chat["id"]: chat["unread"] async for chat in self._page("chat:list", CHAT)}
        notes = await self._insist("unread:get", {}, FEED)
        chats = {one["chat_id"]: one["unread"] for one in unread["chats"]}
        return Counts(unread["total"], chats, listed, notes["total"])

    async def _page(self, event: str, namespace: str) -> Any:
        for skip in itertools.count(step=PAGE):
            page = await self._insist(event, {"skip": skip, "limit": PAGE}, namespace)
            for item in page["items"]:
                yield item
            if skip + PAGE >= page["total"]:
                return

    async def _insist(self, event: str, payload: Any, namespace: str) -> Any:
        """The data, asked for again while the server says `retryable`. Raises: Broken."""
        while True:
            answer = await self.ask(event, payload, namespace)
            if "data" in answer:
                return answer["data"]
            if not answer["error"]["retryable"]:
                raise AssertionError(f"{event} {payload}: {answer}")
            await asyncio.sleep(self._rng.uniform(0.2, 0.6))


async def settle_all(devices: Sequence[Device]) -> None:
    """Until every device is connected and has fetched what it needs."""
    while not all(device.settled for device in devices):  # noqa: ASYNC110 - many make it true
        await asyncio.sleep(LOOK_EVERY)

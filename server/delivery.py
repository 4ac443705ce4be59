"""From bus and log to the sockets of this instance, and who is there."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic

import orjson

from server import metrics
from server.bus import Cut, Message, Notice, Rewritten
from server.context import Context
from server.contract import Namespace
from server.feed import Feed, Follower, Start
from server.log import get_logger
from server.presence import Presence
from server.recent import Recent
from server.runtime import Runtime
from server.tasks import end_tasks
from server.together import Together
from server.transport import Client, Transport, event_frame
from storage import accounts, events
from storage.events import NOWHERE, Place, Position, Stream

log = get_logger(__name__)

PAGE = 200
PAGES_AT_ONCE = 50
STREAMS_AT_ONCE = 1000
MAX_REPLAY = 10_000
CHECK_TAIL = 3.0
CHECK_SESSIONS = 1.0
LINGER = 60.0
"""Seconds in which somebody may come back to what was told meanwhile."""

MAX_GONE = 10_000
OVERLAP = timedelta(seconds=10)
"""Ended sessions read again each time: a slow transaction commits late."""

READY = "stream:ready"


class Delivery:
    """Follows the streams of the people connected to this instance."""

    def __init__(self, runtime: Runtime, namespaces: Mapping[str, Namespace]) -> None:
        self._runtime = runtime
        self._namespaces = namespaces
        self._followers: dict[int, dict[str, set[Follower]]] = {}
        self._feeds: dict[str, tuple[int, Feed]] = {}
        self._sockets: dict[int, int] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._check_now = asyncio.Event()
        self._ended_since: datetime | None = None
        self._transport: Transport | None = None
        self._presence = Presence(runtime, namespaces.values(), lambda one: one in self._sockets)
        self._recent = Recent()
        self._gone: dict[int, float] = {}
        """Who left a moment ago, and until when they are waited for."""

        self._positions = Together(self._find_positions, STREAMS_AT_ONCE)
        self._pages = Together(self._read_pages, PAGES_AT_ONCE)
        self.epoch = ""
        self.told: Counter[str] = Counter()
        """Frames since the last scrape, by kind."""

    async def start(self, transport: Transport) -> None:
        self._transport = transport
        async with Context.open(self._runtime) as ctx:
            self.epoch = await events.get_epoch(ctx.db)
        await self._runtime.bus.start(self)
        self._loops = [
            asyncio.create_task(self._repeat(self._check_tails, CHECK_TAIL, self._check_now)),
            asyncio.create_task(
                self._repeat(self._check_sessions, CHECK_SESSIONS, asyncio.Event())
            ),
        ]

    async def stop(self) -> None:
        await end_tasks(self._loops)
        await self._presence.stop()
        await self._positions.close()
        await self._pages.close()
        await self._runtime.bus.stop()

    # -- Sockets --

    async def join(self, client: Client, after: int | None, epoch: str | None) -> None:
        """Let a client follow its stream: listening first, so that nothing falls in between."""
        if not client.present:
            return
        user_id = client.user.id
        feed = Feed(client, self)
        self._feeds[client.sid] = (user_id, feed)
        self.follow(user_id, feed)
        self._sockets[user_id] = self._sockets.get(user_id, 0) + 1
        if self._sockets[user_id] == 1:
            self._presence.change(user_id)
        self._runtime.bus.subscribe(user_id)
        start = await self.locate(user_id, client.namespace, after, epoch)
        if client.present:
            client.welcome()
            self.announce(client, start)
            feed.start(start)
            for state in self._namespaces[client.namespace].states:
                self._runtime.states.greet(state, user_id, feed.offer)

    def leave(self, client: Client) -> None:
        user_id, feed = self._feeds.pop(client.sid, (0, None))
        if feed is None:
            return
        feed.stop()
        self.unfollow(user_id, feed)
        self._sockets[user_id] -= 1
        if self._sockets[user_id] == 0:
            del self._sockets[user_id]
            self._presence.change(user_id)

    async def locate(
        self, user_id: int, namespace: str, after: int | None, epoch: str | None
    ) -> Start:
        position = await self._positions.ask((user_id, namespace)) or NOWHERE
        head = position.seq
        if after is None:
            after = head
        reset = (
            after > head
            or after < position.floor
            or head - after > MAX_REPLAY
            or (epoch is not None and epoch != self.epoch)
        )
        if reset:
            metrics.resets.inc()
            after = head
        return Start(head, after, self.epoch, reset)

    def announce(self, client: Client, start: Start) -> None:
        ready = {
            "head": start.head,
            "from": start.after,
            "epoch": start.epoch,
            "reset": start.reset,
        }
        text = orjson.dumps(ready).decode()
        client.send(event_frame(client.namespace, READY, text, at=self._runtime.clock()))

    def recall(self, user_id: int, namespace: str, after: int) -> list[Notice]:
        """What is remembered of what follows, up to some place; nothing if the first is not."""
        if not self._runtime.bus.healthy:
            return []
        links, now = self._runtime.links, self._runtime.clock()
        # Each is a packet already; only what has links must be made anew.
        return [
            one if (data := links.renew(one.data, now)) == one.data else replace(one, data=data)
            for one in self._recent.read((user_id, namespace), after)
        ]

    async def read(self, user_id: int, namespace: str, after: int) -> list[Notice]:
        if known := self.recall(user_id, namespace, after):
            return known
        return await self._pages.ask((user_id, namespace, after)) or []

    async def _find_positions(self, streams: Sequence[Stream]) -> dict[Stream, Position]:
        async with self._runtime.database.session(write=False) as db:
            return await events.find_positions(db, streams)

    async def _read_pages(self, places: Sequence[Place]) -> dict[Place, list[Notice]]:
        """What several devices of a person ask for is read once, and becomes packets once."""
        version = self._recent.version
        async with self._runtime.database.session(write=False) as db:
            pages = await events.read_pages(db, places, PAGE)
        links, now = self._runtime.links, self._runtime.clock()
        found = {}
        for place, page in pages.items():
            found[place] = notices = [
                Notice(e.user_id, e.namespace, e.event, links.renew(e.data, now), e.at, e.seq)
                for e in page
            ]
            if self._runtime.bus.healthy and place[0] in self._followers:
                self._recent.fill(notices, version)
        return found

    def follow(self, user_id: int, follower: Follower) -> None:
        spaces = self._followers.setdefault(user_id, {})
        spaces.setdefault(follower.namespace, set()).add(follower)

    def unfollow(self, user_id: int, follower: Follower) -> None:
        spaces = self._followers.get(user_id, {})
        followers = spaces.get(follower.namespace, set())
        followers.discard(follower)
        if not followers:
            spaces.pop(follower.namespace, None)
        if not spaces and self._followers.pop(user_id, None) is not None:
            self._linger(user_id)

    def _linger(self, user_id: int) -> None:
        """Whoever has just gone may be back in a moment, and will want what came meanwhile."""
        self._gone.pop(user_id, None)
        self._gone[user_id] = monotonic() + LINGER
        if len(self._gone) > MAX_GONE:
            self._let_go(next(iter(self._gone)))

    def _let_go(self, user_id: int) -> None:
        del self._gone[user_id]
        if user_id not in self._followers:
            self._recent.forget(user_id)
            self._runtime.bus.unsubscribe(user_id)

    def count(self) -> None:
        for kind, frames in self.told.items():
            metrics.delivered.labels(kind).inc(frames)
        self.told.clear()
        joined = Counter(feed.namespace for _, feed in self._feeds.values())
        for namespace in self._namespaces:
            metrics.sockets.labels(namespace).set(joined[namespace])

    # -- What the bus says --

    def receive(self, messages: Sequence[Message]) -> None:
        made_at = set()
        before: Notice | None = None
        for message in messages:
            if isinstance(message, Cut):
                self._cut(set(message.session_ids))
                continue
            if isinstance(message, Rewritten):
                self._recent.forget(message.user_id)
                continue
            self._recent.note(message)
            spaces = self._followers.get(message.user_id)
            if not spaces:
                continue
            if message.seq is not None:
                made_at.add(message.at)
            elif before is not None and message.repeats(before):
                message.frame = before.frame
            for follower in tuple(spaces.get(message.namespace, ())):
                follower.offer(message)
            before = message
        if made_at:
            now = self._runtime.clock()
            for at in made_at:
                metrics.delivery_lag.observe((now - at).total_seconds())

    def recovered(self) -> None:
        self._recent.clear()
        self._check_now.set()

    def departed(self, user_ids: Collection[int]) -> None:
        self._presence.departed(user_ids)

    def _cut(self, session_ids: set[int]) -> None:
        if self._transport is not None:
            for connection in self._transport.find(session_ids):
                connection.kick("session_ended")

    # -- What the database says, whatever became of the bus --

    async def _check_tails(self) -> None:
        for user_id in [one for one, until in self._gone.items() if until < monotonic()]:
            self._let_go(user_id)
        async with self._runtime.database.session(write=False) as db:
            epoch = await events.get_epoch(db)
            heads = await events.list_heads(db, list(self._followers))
        if epoch != self.epoch:
            self.epoch = epoch
            if self._transport is not None:
                self._transport.refuse_all("epoch_changed")
            return
        for user_id, spaces in self._followers.items():
            for namespace, followers in spaces.items():
                for follower in followers:
                    follower.behind(heads.get((user_id, namespace), 0))

    async def _check_sessions(self) -> None:
        async with self._runtime.database.session(write=False) as db:
            now, ended = await accounts.list_ended_sessions(db, self._ended_since)
        self._ended_since = now - OVERLAP
        if ended:
            self._cut(set(ended))

    async def _repeat(
        self, check: Callable[[], Awaitable[None]], every: float, now: asyncio.Event
    ) -> None:
        while True:
            try:
                await check()
            except Exception as error:
                log.warning("delivery.check_failed", error=type(error).__name__)
            try:
                # Instances that lost their database together do not all ask for it together.
                pause = every * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
                await asyncio.wait_for(now.wait(), pause)
            except TimeoutError:
                continue
            now.clear()

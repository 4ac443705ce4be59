"""The bus of several processes: one Redis channel, on which all that one turn brings is one message."""

import asyncio
import contextlib
import random
import secrets
from collections import deque
from collections.abc import Awaitable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from server import metrics
from server.bus import Cut, Listener, Message, Notice, Rewritten
from server.bus.seals import Seals
from server.log import get_logger
from server.payload import iso
from server.tasks import end_tasks
from storage.database import chunked

log = get_logger(__name__)

TIMEOUT = 2.0
BEAT = 3.0
ALIVE_FOR = 10
MAX_BACKOFF = 2.0
BUNDLE = 500
"""Messages that are published as one."""

OUTGOING = 10_000
"""Messages kept for a slow Redis; older ones are dropped, for the log has them."""


_SEPARATOR = b"\x1e"
"""Stands in no JSON."""


class RedisBus:
    """Tells all instances everything; each decodes only what its own sockets need.

    Passing over what is for others costs less than a microsecond, where a channel for each person
    costs every message a publish of its own and every join a round trip. Nothing here is relied
    on: a lost message is found in the log.

    An instance that nobody else heard says nothing more until another one says that it has come.
    """

    def __init__(self, url: str, deployment: str, seals: Seals, address: str = "") -> None:
        """`address` is the URL by which the other instances reach this one, if they do."""
        self.healthy = False
        self.name = secrets.token_hex(8)
        self._seals = seals
        self._address = address
        self._peers: dict[str, str] = {}
        self._prefix = f"emotrack:{deployment}"
        self._channel = self._key("bus")
        self._redis = _connect(url, timeout=TIMEOUT)
        self._subscriber = _connect(url, timeout=None)
        self._listener: Listener | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted: set[int] = set()
        self._outgoing: deque[Message] = deque(maxlen=OUTGOING)
        self._published = asyncio.Event()
        self._present: set[int] = set()
        self._is_alone = False
        self._others_heard = 0

    async def start(self, listener: Listener | None = None) -> None:
        self._listener = listener
        self._tasks = [asyncio.create_task(self._send())]
        self.healthy = listener is None
        if listener is not None:
            # Known to its peers before the first client comes, if Redis is there.
            await self._try_beat()
            self._tasks += [
                asyncio.create_task(self._stay_subscribed()),
                asyncio.create_task(self._stay_alive()),
            ]

    async def stop(self) -> None:
        self._listener = None
        await end_tasks(self._tasks)
        with contextlib.suppress(RedisError, OSError):
            await self._retire(self.name)
            await self._redis.delete(self._key("alive", self.name))
        await self._redis.aclose()
        await self._subscriber.aclose()

    @property
    def waiting(self) -> int:
        return len(self._outgoing)

    def publish(self, messages: Sequence[Message]) -> None:
        # People on this instance do not wait for Redis, nor miss anything when it is away.
        if self._listener is not None:
            self._listener.receive([one for one in messages if one.user_id in self._wanted])
        if self._is_alone or not messages:
            return
        if (lost := len(self._outgoing) + len(messages) - OUTGOING) > 0:
            metrics.bus_lost.inc(min(lost, len(messages)))
        self._outgoing.extend(messages)
        self._published.set()

    def subscribe(self, user_id: int) -> None:
        self._wanted.add(user_id)

    def unsubscribe(self, user_id: int) -> None:
        self._wanted.discard(user_id)

    async def find_peer(self, name: str) -> str | None:
        if name not in self._peers:
            # It may be younger than the last beat.
            with contextlib.suppress(RedisError, OSError):
                await self._find_alive([name.encode()])
        return self._peers.get(name)

    # -- Presence: a person is on a set of instances, an instance is alive while its key is --

    async def arrive(self, user_ids: Collection[int]) -> set[int]:
        users = list(user_ids)
        self._present.update(users)
        pipe = self._redis.pipeline(transaction=False)
        for user_id in users:
            pipe.smembers(self._key("online", user_id))
        self._enrol(pipe, users)
        try:
            return await self._find_alone(users, (await pipe.execute())[: len(users)])
        except (RedisError, OSError):
            return set(users)

    async def depart(self, user_ids: Collection[int]) -> set[int]:
        users = list(user_ids)
        self._present.difference_update(users)
        pipe = self._redis.pipeline(transaction=False)
        for user_id in users:
            pipe.srem(self._key("online", user_id), self.name)
            pipe.srem(self._key("users", self.name), user_id)
        for user_id in users:
            pipe.smembers(self._key("online", user_id))
        try:
            return await self._find_alone(users, (await pipe.execute())[-len(users) :])
        except (RedisError, OSError):
            return set(users)

    async def _find_alone(self, users: list[int], places: list[set[bytes]]) -> set[int]:
        """Those whom no other living instance holds."""
        alive = await self._find_alive(set().union(*places) - {self.name.encode()})
        return {user for user, held in zip(users, places, strict=True) if not held & alive}

    async def find_online(self, user_ids: Collection[int]) -> set[int]:
        users = list(user_ids)
        try:
            pipe = self._redis.pipeline(transaction=False)
            for user_id in users:
                pipe.smembers(self._key("online", user_id))
            places: list[set[bytes]] = await pipe.execute()
            alive = await self._find_alive(set().union(*places))
        except (RedisError, OSError):
            return self._present.intersection(users)
        here = self._present.intersection(users)
        return here | {user for user, held in zip(users, places, strict=True) if held & alive}

    async def _find_alive(self, instances: Iterable[bytes]) -> set[bytes]:
        names = list(instances)
        if not names:
            return set()
        keys = [self._key("alive", name.decode()) for name in names]
        marks: list[Any] = await self._redis.mget(keys)
        alive = set()
        for name, key, mark in zip(names, keys, marks, strict=True):
            address = self._seals.open(key, mark) if mark is not None else None
            if address is not None:
                alive.add(name)
                self._peers[name.decode()] = address.decode()
        return alive

    def _enrol(self, pipe: Any, user_ids: Iterable[int]) -> None:
        for user_id in user_ids:
            pipe.sadd(self._key("online", user_id), self.name)
            pipe.sadd(self._key("users", self.name), user_id)

    async def _stay_alive(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            await self._try_beat()

    async def _try_beat(self) -> None:
        try:
            await self._beat()
        except (RedisError, OSError) as error:
            log.warning("bus.beat_failed", error=type(error).__name__)

    async def _beat(self) -> None:
        alive = self._key("alive", self.name)
        mark = self._seals.seal(alive, self._address.encode())
        if await self._redis.set(alive, mark, ex=ALIVE_FOR, get=True) is None:
            # A first beat, a Redis restarted empty, or a long freeze: say again who is here.
            pipe = self._redis.pipeline(transaction=False)
            pipe.sadd(self._key("instances"), self.name)
            self._enrol(pipe, self._present)
            await pipe.execute()
        known = await _async(self._redis.smembers(self._key("instances")))
        alive_now = await self._find_alive(known)
        if alive_now - {self.name.encode()}:
            self._note_others()
        for dead in known - alive_now:
            self._peers.pop(dead.decode(), None)
            await self._retire(dead.decode())

    async def _retire(self, instance: str) -> None:
        """Remove a dead instance; whoever gets there first announces the people it held."""
        if not await _async(self._redis.srem(self._key("instances"), instance)):
            return
        users = [
            int(user) for user in await _async(self._redis.smembers(self._key("users", instance)))
        ]
        pipe = self._redis.pipeline(transaction=False)
        for user_id in users:
            pipe.srem(self._key("online", user_id), instance)
        pipe.delete(self._key("users", instance))
        await pipe.execute()
        gone = set(users) - await self.find_online(users)
        if gone and self._listener is not None:
            self._listener.departed(gone)

    # -- Sending --

    async def _send(self) -> None:
        while True:
            await self._published.wait()
            self._published.clear()
            others_heard = self._others_heard
            messages = [_encode(message) for message in self._outgoing]
            self._outgoing.clear()
            try:
                listeners = [await self._publish_bundle(some) for some in chunked(messages, BUNDLE)]
            except (RedisError, OSError) as error:
                metrics.bus_lost.inc(len(messages))
                log.warning("bus.publish_failed", error=type(error).__name__)
                if self._listener is None:
                    self.healthy = False
                continue
            metrics.bus_published.inc(len(messages))
            if self._listener is None:
                self.healthy = True
            elif self.healthy and self._others_heard == others_heard:
                # Whoever comes after this is heard: we listen.
                self._is_alone = listeners == [1] * len(listeners)

    async def _publish_bundle(self, messages: Sequence[bytes]) -> int:
        """How many there are who heard it."""
        content = _SEPARATOR.join([self.name.encode(), *messages])
        listeners: int = await self._redis.publish(
            self._channel, self._seals.seal(self._channel, content)
        )
        return listeners

    def _note_others(self) -> None:
        """Others are there, or may be."""
        self._others_heard += 1
        self._is_alone = False

    # -- Receiving --

    async def _stay_subscribed(self) -> None:
        backoff = 0.05
        while True:
            try:
                async with self._subscriber.pubsub() as pubsub:
                    await self._follow(pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                if self.healthy:
                    backoff = 0.05
                    log.warning("bus.subscription_lost", error=type(error).__name__)
            self.healthy = False
            await asyncio.sleep(backoff * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            backoff = min(2 * backoff, MAX_BACKOFF)

    async def _follow(self, pubsub: PubSub) -> None:
        await pubsub.subscribe(self._channel)
        quiet = False
        while True:
            raw = await pubsub.get_message(timeout=TIMEOUT)
            if raw is None and quiet:
                raise TimeoutError("Redis does not answer")
            if raw is None:
                quiet = True
                await pubsub.ping()
            else:
                quiet = False
                await self._take(raw)

    async def _take(self, raw: dict[str, Any]) -> None:
        listener = self._listener
        if listener is None:
            return
        if raw["type"] == "subscribe":
            self._note_others()
            # Healthy once the others know of it: whoever was alone said nothing till now.
            await self._publish_bundle([])
            self.healthy = True
            listener.recovered()
        elif raw["type"] == "message":
            content = self._seals.open(self._channel, raw["data"])
            if content is None:
                metrics.bus_forged.inc()
                return
            name, *parts = content.split(_SEPARATOR)
            if name != self.name.encode():
                self._note_others()
                self._hear(listener, parts)

    def _hear(self, listener: Listener, parts: Sequence[bytes]) -> None:
        heard = []
        for part in parts:
            user, _, rest = part.partition(b"\n")
            try:
                if (user_id := int(user)) in self._wanted:
                    heard.append(_decode(user_id, rest))
            except ValueError:
                # Of a newer version, during an upgrade. The log has it.
                metrics.bus_unreadable.inc()
        metrics.bus_received.inc(len(heard))
        listener.receive(heard)

    def _key(self, *parts: object) -> str:
        return ":".join([self._prefix, *map(str, parts)])


def _connect(url: str, *, timeout: float | None) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        # Over the newer one the library writes out all that is heard, for its log.
        protocol=2,
        # The library would read its own version from its files for each connection, to tell it.
        driver_info=None,
    )


async def _async(answer: Awaitable[Any] | Any) -> Any:
    """redis-py types its asynchronous commands as perhaps synchronous."""
    return await answer


def _encode(message: Message) -> bytes:
    if isinstance(message, Rewritten):
        return b"%d\nnull" % message.user_id
    if isinstance(message, Cut):
        return b"%d\n%s" % (message.user_id, orjson.dumps(list(message.session_ids)))
    head = (message.namespace, message.event, message.seq, iso(message.at), message.as_of)
    return b"%d\n%s\n%s" % (message.user_id, orjson.dumps(head), message.data.encode())


def _decode(user_id: int, raw: bytes) -> Message:
    head, is_notice, data = raw.partition(b"\n")
    if not is_notice:
        ended = orjson.loads(head)
        return Rewritten(user_id) if ended is None else Cut(user_id, tuple(ended))
    namespace, event, seq, at, as_of = orjson.loads(head)
    return Notice(user_id, namespace, event, data.decode(), datetime.fromisoformat(at), seq, as_of)

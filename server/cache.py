"""What was reckoned before, kept for a while: forgotten at any time, and never wrong.

A key names the state that its value was reckoned from (a revision), so that nothing is ever
changed or taken out of here: what is outdated is asked for no more, and runs out.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Protocol, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from server.bus.seals import Seals
from server.log import get_logger

log = get_logger(__name__)

TIMEOUT = 0.5
"""Seconds that a request waits for Redis; most values are reckoned anew in less."""

REST = 5.0
"""Seconds in which a Redis that did not answer is not asked again."""

MAX_VALUE = 64 * 1024
"""Characters; what is longer is not kept."""

MAX_KEPT = 16 * 1024 * 1024
"""Characters that one process keeps in memory."""

CONNECTIONS = 10

Result = TypeVar("Result")


class Cache(Protocol):
    """Texts by key. It never raises: what cannot be had is not there."""

    async def get(self, key: str) -> str | None: ...

    async def put(self, key: str, value: str, seconds: int) -> None:
        """Keep a text for so long at most."""

    async def close(self) -> None: ...


class MemoryCache:
    """Within one process; what was used longest ago makes room."""

    def __init__(self, room: int = MAX_KEPT, clock: Callable[[], float] = monotonic) -> None:
        self._room = room
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._size = 0

    async def get(self, key: str) -> str | None:
        until, value = self._kept.get(key, (0.0, ""))
        if until <= self._clock():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return value

    async def put(self, key: str, value: str, seconds: int) -> None:
        self._drop(key)
        size = len(key) + len(value)
        if len(value) > MAX_VALUE or size > self._room:
            return
        while self._size + size > self._room:
            self._drop(next(iter(self._kept)))
        self._kept[key] = (self._clock() + seconds, value)
        self._size += size

    async def close(self) -> None:
        self._kept.clear()
        self._size = 0

    def _drop(self, key: str) -> None:
        if key in self._kept:
            _, value = self._kept.pop(key)
            self._size -= len(key) + len(value)


class RedisCache:
    """Shared by all instances. What lies there is believed if one of them sealed it."""

    def __init__(self, url: str, deployment: str, seals: Seals) -> None:
        self._prefix = f"emotrack:{deployment}:cache:"
        self._seals = seals
        self._asked_again_at = 0.0
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
        self._redis = Redis.from_pool(pool)

    async def get(self, key: str) -> str | None:
        place = self._prefix + key
        sealed = await self._try(lambda: self._redis.get(place))
        content = self._seals.open(place, sealed) if isinstance(sealed, bytes) else None
        return None if content is None else content.decode()

    async def put(self, key: str, value: str, seconds: int) -> None:
        if len(value) > MAX_VALUE:
            return
        place = self._prefix + key
        sealed = self._seals.seal(place, value.encode())
        await self._try(lambda: self._redis.set(place, sealed, ex=seconds))

    async def close(self) -> None:
        await self._redis.aclose()

    async def _try(self, ask: Callable[[], Awaitable[Result]]) -> Result | None:
        if monotonic() < self._asked_again_at:
            return None
        try:
            return await ask()
        except Exception as error:
            # One that hangs must not hold up every request in turn.
            self._asked_again_at = monotonic() + REST
            log.warning("cache.unavailable", error=type(error).__name__)
            return None

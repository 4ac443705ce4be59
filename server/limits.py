"""Rate limits: local for events, shared between instances for what attackers repeat."""

import time
from dataclasses import dataclass
from typing import cast

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool

from server import metrics
from server.errors import RateLimited
from server.log import get_logger

log = get_logger(__name__)

TIMEOUT = 1.0
"""Seconds that a request waits for Redis to count it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` requests in `per` seconds."""

    count: int
    per: int


class Limiter:
    """Counts requests. `scale` multiplies every rate; 0 switches limits off."""

    def __init__(self, scale: float, redis_url: str | None, deployment: str) -> None:
        self._scale = scale
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._shared = self._local
        self._pool: ConnectionPool | None = None
        if redis_url is not None:
            self._pool = ConnectionPool.from_url(
                redis_url,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                driver_info=None,
            )
            storage = RedisStorage(
                f"async+{redis_url}",
                implementation="redispy",
                key_prefix=f"emotrack:{deployment}:limits",
                # The library types its options as plain values, and passes this one on.
                connection_pool=cast("str", self._pool),
            )
            self._shared = MovingWindowRateLimiter(storage)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()

    async def hit(self, rate: Rate, *key: str, shared: bool = False) -> None:
        """Count one request under this key.

        Raises: RateLimited, with the seconds after which the next one will be let through.
        """
        if self._scale == 0:
            return
        item = RateLimitItemPerSecond(max(1, round(rate.count * self._scale)), rate.per)
        strategy = self._shared if shared else self._local
        try:
            await self._hit(strategy, item, key)
        except RateLimited:
            raise
        except Exception as error:
            # Redis is away: a limit of this instance's own is better than none or a closed door.
            log.warning("limits.shared_unavailable", error=type(error).__name__)
            await self._hit(self._local, item, key)

    @staticmethod
    async def _hit(
        strategy: MovingWindowRateLimiter, item: RateLimitItemPerSecond, key: tuple[str, ...]
    ) -> None:
        if not await strategy.hit(item, *key):
            metrics.rate_limited.labels(key[0]).inc()
            window = await strategy.get_window_stats(item, *key)
            raise RateLimited(retry_after=window.reset_time - time.time())

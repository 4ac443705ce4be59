"""Who may hold how many connections: what is turned away here has cost next to nothing."""

import asyncio
from collections import Counter
from collections.abc import Hashable
from time import monotonic
from typing import TypeVar

from server import metrics
from server.errors import RateLimited, Unavailable
from server.limits import Limiter, Rate

HANDSHAKES = Rate(300, per=10)
"""From one address: a clinic may stand behind it."""

PER_ADDRESS = 1000
PER_USER = 50
UNKNOWN_PER_ADDRESS = 100
"""Connections that have not said whose they are."""

UNKNOWN = 5000
BURST = 1000
PER_SECOND = 100
"""Packets that one person may send: what was kept while they were offline, and then at this pace."""

UNKNOWN_BURST = 100
"""Of a connection that has not said whose it is."""

RETRY_AFTER = 5

Key = TypeVar("Key", bound=Hashable)


class Gate:
    """Counts this instance's connections; the limits are multiplied as all others, 0: none.

    Each instance counts for itself: what one of them can bear does not depend on the others, nor
    on Redis.
    """

    def __init__(self, scale: float, limits: Limiter) -> None:
        self._scale = scale
        self._limits = limits
        self._addresses: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._unknown_in_all = 0
        self._users: Counter[int] = Counter()
        self._paces: dict[int, Pace] = {}

    async def knock(self, address: str) -> None:
        """Whether one more connection may come from there. Raises: RateLimited, Unavailable."""
        self._check("handshakes", self._unknown[address], UNKNOWN_PER_ADDRESS)
        self._check("connections", self._addresses[address], PER_ADDRESS)
        if self._is_over(self._unknown_in_all, UNKNOWN):
            metrics.rate_limited.labels("handshakes").inc()
            raise Unavailable(retry_after=RETRY_AFTER)
        await self._limits.hit(HANDSHAKES, "handshakes", address)

    def enter(self, address: str) -> None:
        _add(self._addresses, address, 1)
        self._count_unknown(address, 1)

    def new_pace(self) -> "Pace":
        return Pace(UNKNOWN_BURST, self._scale)

    def recognize(self, address: str, user_id: int, before: "Pace") -> "Pace":
        """The connection is this person's; from now on it shares the pace of all of theirs.

        Who floods and is put out does not begin again with a new connection.

        Raises: RateLimited.
        """
        self._check("connections", self._users[user_id], PER_USER)
        pace = self._paces.setdefault(user_id, Pace(BURST, self._scale))
        if not pace.is_kept(before.spent):
            metrics.rate_limited.labels("packets").inc()
            raise RateLimited(retry_after=RETRY_AFTER)
        self._count_unknown(address, -1)
        _add(self._users, user_id, 1)
        return pace

    def leave(self, address: str, user_id: int | None) -> None:
        _add(self._addresses, address, -1)
        if user_id is None:
            self._count_unknown(address, -1)
            return
        _add(self._users, user_id, -1)
        if user_id not in self._users:
            later = self._paces[user_id].seconds_until_full
            asyncio.get_running_loop().call_later(later, self._forget, user_id)

    def _forget(self, user_id: int) -> None:
        if user_id not in self._users:
            self._paces.pop(user_id, None)

    def _count_unknown(self, address: str, number: int) -> None:
        _add(self._unknown, address, number)
        self._unknown_in_all += number

    def _check(self, what: str, count: int, limit: int) -> None:
        if self._is_over(count, limit):
            metrics.rate_limited.labels(what).inc()
            raise RateLimited(retry_after=RETRY_AFTER)

    def _is_over(self, count: int, limit: int) -> bool:
        return self._scale > 0 and count >= max(1, round(limit * self._scale))


class Pace:
    """How fast packets may come: a burst, and so many a second after it."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, burst: int, scale: float) -> None:
        self._burst = self._left = burst * scale
        self._rate = PER_SECOND * scale
        self._at = monotonic()

    @property
    def spent(self) -> float:
        return self._burst - self._left

    @property
    def seconds_until_full(self) -> float:
        return self.spent / self._rate if self._rate else 0

    def is_kept(self, packets: float = 1) -> bool:
        """Count packets; a scale of 0 keeps every pace."""
        now = monotonic()
        gained = (now - self._at) * self._rate
        self._left = max(-1.0, min(self._burst, self._left + gained) - packets)
        self._at = now
        return self._left >= 0 or not self._rate


def _add(counter: Counter[Key], key: Key, number: int) -> None:
    """What is counted no more is forgotten."""
    counter[key] += number
    if counter[key] <= 0:
        del counter[key]

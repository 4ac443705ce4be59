"""Follow-ups: what changes bring about a moment later, done for many of them at once.

Each is a row in the outbox like any job, written with the change, so it is sure to be done. The
process that made the change does not wait for a worker, though: it does what has gathered, some of
it in each unit of work, and forgets the rows. Only what it dies over is left for the workers.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol

from server.log import get_logger
from server.outgoing import FollowUp
from server.rounds import Rounds
from storage.outbox import NewJob

log = get_logger(__name__)

AT_ONCE = 32
"""Ids that one unit of work is for."""

PAUSE = 0.05
"""Seconds between two units of work: what comes meanwhile is not to wait for all of them."""

REST, LONGEST_REST = 0.5, 2.0
"""Seconds in which an id is not followed again: the longer, the more often it changes."""

PATIENCE = timedelta(seconds=10)
"""How long the workers leave it to the process that made the change; longer than it rests."""

SHARED_FOR = 5.0
"""Seconds in which changes are planned with one row; so much less than the workers' patience that
it has been followed by then."""

MOST_SHARED = 1000
"""Ids of one row."""


NewRow = Callable[[Collection[int]], NewJob]
"""Describes a row that makes the follow-up of these ids sure."""


@dataclass(slots=True)
class Stored:
    """A row in the outbox, and how often an id of it is still to be followed."""

    job: NewJob
    left: float


class Following(Protocol):
    """Whoever does the follow-ups of this process's changes."""

    @property
    def patience(self) -> timedelta:
        """How long workers are to wait."""

    def plan(self, follow_up: FollowUp, ids: Collection[int], new_row: NewRow) -> Stored:
        """The row that is to be there once these ids have changed; it may be there already."""

    def ask(self, follow_up: FollowUp, ids: Collection[int], stored: Stored) -> None:
        """Do this soon, of what has these ids, as it was planned; never waits."""


class LeftToWorkers:
    """In processes that do none themselves."""

    patience = timedelta(0)

    def plan(self, follow_up: FollowUp, ids: Collection[int], new_row: NewRow) -> Stored:
        return Stored(new_row(ids), len(ids))

    def ask(self, follow_up: FollowUp, ids: Collection[int], stored: Stored) -> None:
        """Their rows are due at once."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Until when an id is left alone, and for how many seconds."""

    over_at: float
    length: float

    @property
    def forgotten_at(self) -> float:
        """If it has not changed again by then, it does not change often."""
        return self.over_at + self.length

    @property
    def is_long(self) -> bool:
        """Whether it was changed again while it rested, and changes often."""
        return self.length > REST


@dataclass(frozen=True, slots=True)
class Shared:
    """A row for what changes all the time: until when it is planned with, and for which ids."""

    stored: Stored
    ids: frozenset[int]
    until: float


class FollowUps:
    """Does the follow-ups of this process's changes, many of a kind together."""

    patience = PATIENCE

    def __init__(self, open_context: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        """`open_context` makes the system's context, with a unit of work of its own."""
        self._open = open_context
        self._asked: dict[FollowUp, dict[int, list[Stored]]] = {}
        self._rests: dict[tuple[FollowUp, int], Rest] = {}
        self._often: defaultdict[FollowUp, set[int]] = defaultdict(set)
        self._shared: dict[FollowUp, Shared] = {}
        self._closing = False
        self._rounds = Rounds(lambda: any(self._asked.values()), self._do_some, PAUSE)

    def plan(self, follow_up: FollowUp, ids: Collection[int], new_row: NewRow) -> Stored:
        """Ids that all change often have one row together, which is written once in a while.

        It is kept as long as anything was planned with it that has not been followed.
        """
        now = monotonic()
        shared = self._shared.get(follow_up)
        if shared is None or now >= shared.until or not shared.ids.issuperset(ids):
            often = self._often[follow_up]
            if not often.issuperset(ids):
                return Stored(new_row(ids), len(ids))
            shared = Shared(Stored(new_row(often), 0), frozenset(often), now + SHARED_FOR)
            self._shared[follow_up] = shared
        shared.stored.left += len(ids)
        return shared.stored

    def ask(self, follow_up: FollowUp, ids: Collection[int], stored: Stored) -> None:
        asked = self._asked.setdefault(follow_up, {})
        for one in ids:
            asked.setdefault(one, []).append(stored)
        self._rounds.begin()

    async def close(self) -> None:
        self._closing = True
        await self._rounds.close()

    async def _do_some(self) -> None:
        now = monotonic()
        self._rests = {key: rest for key, rest in self._rests.items() if now < rest.forgotten_at}
        self._often.clear()
        for (follow_up, one), rest in self._rests.items():
            if rest.is_long and len(self._often[follow_up]) < MOST_SHARED:
                self._often[follow_up].add(one)
        for follow_up, asked in list(self._asked.items()):
            ready = [one for one in asked if self._closing or self._is_rested(follow_up, one, now)]
            if ready:
                await self._do(follow_up, {one: asked.pop(one) for one in ready[:AT_ONCE]})

    def _is_rested(self, follow_up: FollowUp, one: int, now: float) -> bool:
        rest = self._rests.get((follow_up, one))
        return rest is None or now >= rest.over_at

    async def _do(self, follow_up: FollowUp, asked: Mapping[int, Collection[Stored]]) -> None:
        rows = [stored for those in asked.values() for stored in those]
        for stored in rows:
            stored.left -= 1
        over = {(stored.job.job, stored.job.key) for stored in rows if not stored.left}
        if (shared := self._shared.get(follow_up)) and not shared.stored.left:
            # Nobody may plan with a row that goes.
            del self._shared[follow_up]
        try:
            async with self._open() as ctx:
                await follow_up.function(ctx, sorted(asked))
                ctx.unit.cancelled += over
        except Exception as error:
            for stored in rows:
                # Never over, so that a worker does it.
                stored.left = math.inf
            log.warning("follow_up.left", job=follow_up.job.name, error=type(error).__name__)
        now = monotonic()
        for one in asked:
            before = self._rests.get((follow_up, one))
            length = min(2 * before.length, LONGEST_REST) if before else REST
            self._rests[follow_up, one] = Rest(now + length, length)

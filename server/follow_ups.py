"""Follow-ups: what changes bring about a moment later, done for many of them at once.

Each is a row in the outbox like any job, written with the change, so it is sure to be done. The
process that made the change does not wait for a worker, though: it does all that has gathered in
one unit of work, and forgets the rows. Only what it dies over is left for the workers.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from server.log import get_logger
from server.outgoing import FollowUp
from server.rounds import Rounds
from storage.database import chunked
from storage.outbox import NewJob, cancel_jobs

log = get_logger(__name__)

PAUSE = 0.5
"""Seconds between two rounds: what changes many times meanwhile is followed once."""

PATIENCE = timedelta(seconds=3)
"""How long the workers leave it to the process that made the change."""

AT_ONCE = 100


class Following(Protocol):
    """Whoever does the follow-ups of this process's changes."""

    @property
    def patience(self) -> timedelta:
        """How long workers are to wait."""

    def ask(self, follow_up: FollowUp, ids: Collection[int], *, stored_as: NewJob) -> None:
        """Do this soon, of what has these ids; never waits."""


class LeftToWorkers:
    """In processes that do none themselves."""

    patience = timedelta(0)

    def ask(self, follow_up: FollowUp, ids: Collection[int], *, stored_as: NewJob) -> None:
        """Their rows are due at once."""


@dataclass(slots=True)
class Asked:
    """What one follow-up is to be done of, and the jobs that make it sure."""

    ids: set[int] = field(default_factory=set)
    jobs: list[NewJob] = field(default_factory=list)


class FollowUps:
    """Does the follow-ups of this process's changes, many of a kind together."""

    patience = PATIENCE

    def __init__(self, open_context: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        """`open_context` makes the system's context, with a unit of work of its own."""
        self._open = open_context
        self._asked: dict[FollowUp, Asked] = {}
        self._rounds = Rounds(lambda: bool(self._asked), self._do_asked, PAUSE)

    def ask(self, follow_up: FollowUp, ids: Collection[int], *, stored_as: NewJob) -> None:
        asked = self._asked.setdefault(follow_up, Asked())
        asked.ids.update(ids)
        asked.jobs.append(stored_as)
        self._rounds.begin()

    async def close(self) -> None:
        await self._rounds.close()

    async def _do_asked(self) -> None:
        asked, self._asked = self._asked, {}
        for follow_up, one in asked.items():
            await self._do(follow_up, one)

    async def _do(self, follow_up: FollowUp, asked: Asked) -> None:
        try:
            for some in chunked(sorted(asked.ids), AT_ONCE):
                async with self._open() as ctx:
                    await follow_up.function(ctx, some)
            async with self._open() as ctx:
                await cancel_jobs(ctx.db, [(job.job, job.key) for job in asked.jobs])
        except Exception as error:
            log.warning("follow_up.left", job=follow_up.job.name, error=type(error).__name__)

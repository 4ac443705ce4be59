"""Follow-ups: what changes bring about a moment later, done for many of them at once.

Each is a row in the outbox like any job, written with the change, so it is sure to be done. The
process that made the change does not wait for a worker, though: it does all that has gathered in
one unit of work, and forgets the rows. Only what it dies over is left for the workers.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Protocol

from server.log import get_logger
from server.outgoing import FollowUp
from server.payload import Payload
from server.rounds import Rounds
from storage import follow_ups as rows
from storage.database import chunked

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

    def ask(self, follow_up: FollowUp[Any], payloads: Mapping[str, Payload]) -> None:
        """Do this soon, by key; never waits."""


class LeftToWorkers:
    """In processes that do none themselves."""

    patience = timedelta(0)

    def ask(self, follow_up: FollowUp[Any], payloads: Mapping[str, Payload]) -> None:
        """Their rows are due at once."""


class FollowUps:
    """Does the follow-ups of this process's changes, many of a kind together."""

    patience = PATIENCE

    def __init__(self, open_context: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        """`open_context` makes the system's context, with a unit of work of its own."""
        self._open = open_context
        self._asked: dict[FollowUp[Any], dict[str, Payload]] = {}
        self._rounds = Rounds(lambda: bool(self._asked), self._do_asked, PAUSE)

    def ask(self, follow_up: FollowUp[Any], payloads: Mapping[str, Payload]) -> None:
        self._asked.setdefault(follow_up, {}).update(payloads)
        self._rounds.begin()

    async def close(self) -> None:
        await self._rounds.close()

    async def _do_asked(self) -> None:
        asked, self._asked = self._asked, {}
        for follow_up, payloads in asked.items():
            for some in chunked(sorted(payloads.items()), AT_ONCE):
                await self._do(follow_up, dict(some))

    async def _do(self, follow_up: FollowUp[Any], payloads: Mapping[str, Payload]) -> None:
        job = follow_up.job.name
        try:
            async with self._open() as ctx:
                # What is asked for from here on is not done yet.
                revisions = await rows.find_revisions(ctx.db, job, payloads)
                await follow_up.function(ctx, list(payloads.values()))
                await rows.forget_jobs(ctx.db, job, revisions, later=ctx.now + PATIENCE)
        except Exception as error:
            log.warning("follow_up.left", job=job, error=type(error).__name__)

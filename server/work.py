"""The unit of work: one transaction, and what may leave the process once it is committed."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from server.bus import Message, Notice
from server.follow_ups import Stored
from server.outgoing import FollowUp, State
from server.runtime import Runtime
from storage import audit, events, outbox
from storage.audit import Deed
from storage.database import should_retry
from storage.events import Push
from storage.many import Bound, carry_out
from storage.outbox import NewJob, Wake

ATTEMPTS = 3
WAKE_TRUST = timedelta(seconds=15)
"""How long a job that workers were told of waits before they are told again."""

Result = TypeVar("Result")


class Unit:
    """Pushes, jobs and audit rows are written with the change they tell of, or not at all.

    The transaction begins with the first use of `db`. Locks are taken in one order: the domain's
    rows, then the outbox, then the heads of the streams, which are the most contended, last. What
    is in `changes` is written with these two, to rows that are locked already or new.
    """

    def __init__(
        self,
        runtime: Runtime,
        now: datetime,
        *,
        actor_id: int | None = None,
        address: str | None = None,
        write: bool = True,
    ) -> None:
        self._runtime = runtime
        self._now = now
        self._actor_id = actor_id
        self._address = address
        self.writes = write
        self._session: AsyncSession | None = None
        self._messages: list[Message] = []
        self.changes: list[Bound] = []
        self.pushes: list[Push] = []
        self.jobs: list[NewJob] = []
        self.cancelled: list[tuple[str, str]] = []
        self.deeds: list[Deed] = []
        self.stale: dict[State[Any], set[int]] = {}
        self.following: list[tuple[FollowUp, Collection[int], Stored]] = []

    @property
    def db(self) -> AsyncSession:
        if self._session is None:
            self._session = self._runtime.database.session(write=self.writes)
        return self._session

    @property
    def is_open(self) -> bool:
        return self._session is not None and self._session.in_transaction()

    def say(self, message: Message) -> None:
        """Send this after the commit, unlogged."""
        self._messages.append(message)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                await self._finish()
        finally:
            if self._session is not None:
                # Closing rolls back whatever was not committed.
                await asyncio.shield(self._session.close())

    async def _finish(self) -> None:
        asked = (self.changes, self.pushes, self.jobs, self.cancelled, self.deeds)
        if not self.writes and any(asked):
            raise TypeError("an event declared with reads=True tried to change something")
        if self.cancelled:
            await outbox.cancel_jobs(self.db, self.cancelled)
        if self.deeds:
            await audit.record_deeds(
                self.db,
                self.deeds,
                actor_id=self._actor_id,
                address=self._address,
                at=self._now,
            )
        wakes, seqs = await self._write() if any(asked) else ([], [])
        if self._session is not None:
            await self._session.commit()
        told = [
            Notice(user_id, namespace, event, data, self._now, seq)
            for (user_id, namespace, event, data), seq in zip(self.pushes, seqs, strict=True)
        ]
        self._tell([*told, *self._messages], wakes)

    async def _write(self) -> tuple[list[Wake], list[int]]:
        # Where nobody wakes the workers, the next sweep is to do it at once.
        trust = WAKE_TRUST if self._runtime.waker is not None else timedelta(0)
        jobs = outbox.add_jobs(self.jobs, now=self._now, trust=trust)
        heads = [events.append_events(self.pushes, self._now)] if self.pushes else []
        bound = [*jobs, *heads, *self.changes]
        returned = await carry_out(self.db, bound) if bound else []
        wakes = []
        if any(job.due_at <= self._now for job in self.jobs):
            # Of what was due before, somebody was told before.
            stored = [row for rows in returned[: len(jobs)] for row in rows]
            wakes = outbox.find_due(stored, self._now)
        moved = returned[len(jobs)] if heads else ()
        return wakes, events.number_events(self.pushes, moved)

    def _tell(self, messages: list[Message], wakes: list[Wake]) -> None:
        """What may leave the process, now that it is sure."""
        if messages:
            self._runtime.bus.publish(messages)
        for state, user_ids in self.stale.items():
            self._runtime.states.tell(state, user_ids)
        for follow_up, ids, stored in self.following:
            self._runtime.follow_ups.ask(follow_up, ids, stored)
        if wakes and self._runtime.waker is not None:
            self._runtime.waker.wake(wakes)


async def run_unit(
    new_unit: Callable[[], Unit], body: Callable[[Unit], Awaitable[Result]]
) -> Result:
    """Run the body in a unit of work, again if the database chose it as a deadlock's victim."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with new_unit() as unit:
                return await body(unit)
        except Exception as error:
            if attempt == ATTEMPTS or not should_retry(error):
                raise
        await asyncio.sleep(random.uniform(0, 0.05 * attempt))  # noqa: S311 - jitter
    raise AssertionError("unreachable")

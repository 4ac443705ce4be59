"""What a handler or a job may use: the person asking, the transaction, and ways to tell others."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from server import texts
from server.auth import Identity, next_id
from server.bus import Cut, Notice, Rewritten
from server.cache import Cache
from server.errors import Unauthenticated
from server.follow_ups import Stored
from server.limits import Rate
from server.outgoing import Changed, FollowUp, Job, Push, Signal, State, Value
from server.payload import Written
from server.runtime import Runtime
from server.work import Unit
from storage.audit import Deed
from storage.events import Push as LoggedPush
from storage.many import Bound, Rows, carry_out_alone
from storage.outbox import NewJob


@dataclass(slots=True)
class Caller:
    """Where a request comes from, as plain values; a job has no address, but an id."""

    address: str = ""
    user_agent: str = ""
    locale: str = texts.DEFAULT_LOCALE
    cookies: Mapping[str, str] = field(default_factory=dict)
    request_id: str = field(default_factory=next_id)
    job_id: int | None = None

    def ask_again(self) -> "Caller":
        """The same with another request, which gets an id of its own."""
        return Caller(self.address, self.user_agent, self.locale, self.cookies)


@dataclass(frozen=True, slots=True)
class Context:
    runtime: Runtime
    unit: Unit
    now: datetime
    caller: Caller
    actor: Identity | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        runtime: Runtime,
        caller: Caller | None = None,
        actor: Identity | None = None,
        *,
        write: bool = True,
    ) -> AsyncIterator["Context"]:
        """A context with a unit of work of its own; without an actor, the system's."""
        caller = caller or Caller()
        now = runtime.clock()
        async with new_unit(runtime, now, caller, actor, write=write) as unit:
            yield cls(runtime, unit, now, caller, actor)

    @property
    def user(self) -> Identity:
        if self.actor is None:
            raise Unauthenticated
        return self.actor

    @property
    def locale(self) -> str:
        return self.actor.locale if self.actor else self.caller.locale

    @property
    def job_id(self) -> int:
        """The job's id, the same when it is tried again: it tells a repeat from something new."""
        if self.caller.job_id is None:
            raise RuntimeError("this is no job")
        return self.caller.job_id

    @property
    def db(self) -> AsyncSession:
        """The transaction; it begins with its first statement and the edge commits it."""
        return self.unit.db

    @property
    def cache(self) -> Cache:
        """What was reckoned before. To be asked while no unit of work is open."""
        return self.runtime.cache

    def link(self, path: str) -> str:
        """A URL that opens this path to whoever has it, for an hour or two."""
        return self.runtime.links.sign(path, self.now)

    @asynccontextmanager
    async def work(self, *, write: bool | None = None) -> AsyncIterator["Context"]:
        """A unit of work that is committed at the end of the block, whatever comes after.

        It may write where the context may, unless it is said otherwise.

        Raises: RuntimeError inside an open transaction, which would wait for itself.
        """
        if self.unit.is_open:
            raise RuntimeError("a unit of work is open: nothing may be nested in it")
        write = self.unit.writes if write is None else write
        async with Context.open(self.runtime, self.caller, self.actor, write=write) as inner:
            yield inner

    def write(self, changes: Iterable[Bound]) -> None:
        """Write this with everything else at the end, in one round trip."""
        self.unit.changes.extend(changes)

    @property
    def may_write_alone(self) -> bool:
        """Whether the database carries out in one statement what handlers write for it."""
        return not self.runtime.database.is_sqlite

    async def carry_out_alone(self, change: Bound) -> Rows:
        """Carry out a statement as a transaction of its own: it stands, whatever comes after.

        It stores its own pushes and jobs; they are told of, and expected, after it.

        Raises: RuntimeError inside an open transaction, which it might wait for.
        """
        if self.unit.is_open:
            raise RuntimeError("a unit of work is open: it may hold what this would wait for")
        return await carry_out_alone(self.runtime.database, change)

    def tell_logged(
        self, push: Push[Value], data: Written[Value], *, to: Iterable[tuple[int, int]]
    ) -> None:
        """Tell people what is logged already, for each under a seq."""
        text = data.as_json
        for user_id, seq in to:
            self.unit.say(Notice(user_id, push.namespace, push.name, text, self.now, seq))

    def push(self, push: Push[Value], data: Value, *, to: Iterable[int]) -> None:
        """Tell people, reliably: logged in this transaction, delivered after it, replayed."""
        text = data.as_json
        self.unit.pushes += [LoggedPush(user_id, push.namespace, push.name, text) for user_id in to]

    def signal(self, signal: Signal[Value], data: Value, *, to: Iterable[int]) -> None:
        """Tell people, perhaps: sent once after the commit, to whoever is connected."""
        text = data.as_json
        for user_id in to:
            self.unit.say(Notice(user_id, signal.namespace, signal.name, text, self.now))

    def refresh(self, state: State[Value], *, of: Iterable[int]) -> None:
        """Tell these people the value as it is after the commit, whoever else changes it too."""
        self.unit.stale.setdefault(state, set()).update(of)

    def enqueue(
        self,
        job: Job[Value],
        payload: Value,
        *,
        key: str | None = None,
        delay: timedelta = timedelta(0),
        move: bool = False,
    ) -> None:
        """Do this later, surely. There is at most one pending job per key.

        One that is pending takes the new payload and keeps its time, unless it is to `move`.
        """
        text = payload.model_dump_json()
        self.unit.jobs.append(self._new_job(job, key, text, delay=delay, move=move))

    def follow(
        self, follow_up: FollowUp, *, of: Collection[int], delay: timedelta = timedelta(0)
    ) -> None:
        """Let this follow the change: at once after the commit, with all that others ask for.

        What the process dies over, a worker does, after the `delay` at the earliest. A follow-up
        that asks for itself comes again a moment later.
        """
        job = self._new_follow_up(follow_up, of, delay)
        self.unit.jobs.append(job)
        self.expect(follow_up, Stored(job, len(of)), of=of)

    def plan(self, follow_up: FollowUp, *, of: Collection[int]) -> Stored:
        """As `follow`, for a statement that stores the row, unless it is there already."""
        new_row = partial(self._new_follow_up, follow_up)
        return self.runtime.follow_ups.plan(follow_up, of, new_row)

    def expect(self, follow_up: FollowUp, stored: Stored, *, of: Collection[int]) -> None:
        """The row that is planned is stored with this change, or by a statement already."""
        self.unit.following.append((follow_up, of, stored))

    def _new_follow_up(
        self, follow_up: FollowUp, ids: Collection[int], delay: timedelta = timedelta(0)
    ) -> NewJob:
        payload = Changed(ids=sorted(ids)).model_dump_json()
        delay += self.runtime.follow_ups.patience
        return self._new_job(follow_up.job, next_id(), payload, delay=delay)

    def _new_job(
        self,
        job: Job[Any],
        key: str | None,
        payload: str,
        *,
        delay: timedelta,
        move: bool = False,
    ) -> NewJob:
        return NewJob(
            job=job.name,
            key=key,
            queue=job.queue,
            payload=payload,
            request_id=self.caller.request_id,
            due_at=self.now + delay,
            move=move,
        )

    def cancel(self, job: Job[Any], *, key: str) -> None:
        """Do not do this after all; one that is running already goes on."""
        self.unit.cancelled.append((job.name, key))

    def audit(self, action: str, *, subject_id: int | None = None, **detail: Any) -> None:
        self.unit.deeds.append(Deed(action, subject_id, detail))

    def cut(self, user_id: int, session_ids: Iterable[int]) -> None:
        """Close the sockets of sessions that end with this transaction, on every instance."""
        ended = tuple(session_ids)
        if ended:
            self.unit.say(Cut(user_id, ended))

    def rewritten(self, user_id: int) -> None:
        """What this person's log says is changed in this transaction."""
        self.unit.say(Rewritten(user_id))

    async def throttle(self, rate: Rate, *key: str) -> None:
        """Count an attempt that attackers would repeat, over all instances.

        Raises: RateLimited.
        """
        await self.runtime.limits.hit(rate, *key, shared=True)


def new_unit(
    runtime: Runtime,
    now: datetime,
    caller: Caller,
    actor: Identity | None,
    *,
    write: bool = True,
) -> Unit:
    return Unit(
        runtime,
        now,
        actor_id=actor.id if actor else None,
        address=caller.address or None,
        write=write,
    )

"""The unit of work: all or nothing, and only then told."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError

from server.context import Caller, Context, new_unit
from server.outgoing import Queue
from server.work import Unit, run_unit
from storage import accounts
from storage.accounts import User
from storage.audit import AuditEntry
from storage.events import LogEntry
from storage.outbox import Job, Wake
from tests.client import Refused
from tests.instance import Instance, Person
from tests.server.trial import PLACE, Later, Thing, later, numbers, tell, thing_added


async def count(kernel: Instance, table: type) -> int:
    async with kernel.runtime.database.session(write=False) as db:
        return (await db.execute(select(func.count()).select_from(table))).scalar_one()


class Told:
    """A worker that only listens."""

    def __init__(self) -> None:
        self.wakes: list[Wake] = []

    def wake(self, wakes: Sequence[Wake]) -> None:
        self.wakes.extend(wakes)


async def test_an_error_takes_pushes_jobs_and_audit_back(kernel: Instance, person: Person) -> None:
    client = await kernel.connect(person, PLACE)
    before = [await count(kernel, table) for table in (LogEntry, Job, AuditEntry)]
    with pytest.raises(Refused):
        await client.ask("thing:break", {"user_ids": [person.id]}, namespace=PLACE)
    await tell(kernel, [person], 7)
    await client.wait_for_seq(1, namespace=PLACE)
    assert numbers(client) == [7]
    assert not [told for told in client.told[PLACE] if told.event == "thing:moved"]
    after = [await count(kernel, table) for table in (LogEntry, Job, AuditEntry)]
    assert after == [before[0] + 1, *before[1:]]


async def test_nothing_is_told_before_the_commit(kernel: Instance, person: Person) -> None:
    client = await kernel.connect(person, PLACE)
    told = Told()
    kernel.runtime.waker = told
    async with Context.open(kernel.runtime) as ctx:
        ctx.push(thing_added, Thing(number=1), to=[person.id])
        ctx.enqueue(later, Later(number=1))
        assert (await client.ask("echo:get", {}, namespace=PLACE))["text"] == ""
        assert (numbers(client), told.wakes) == ([], [])
    await client.wait_for_seq(1, namespace=PLACE)
    assert [wake.queue for wake in told.wakes] == [Queue.GENERAL]
    assert await count(kernel, Job) == 1


async def test_a_unit_of_work_cannot_be_nested_in_an_open_one(
    kernel: Instance, person: Person
) -> None:
    async with Context.open(kernel.runtime) as ctx:
        async with ctx.work() as inner:
            await accounts.get_user(inner.db, person.id)
        await accounts.get_user(ctx.db, person.id)
        with pytest.raises(RuntimeError, match="nested"):
            async with ctx.work():
                raise AssertionError("unreachable")


async def test_an_inner_unit_stays_although_the_answer_is_an_error(
    kernel: Instance, person: Person
) -> None:
    async def work() -> None:
        async with Context.open(kernel.runtime) as ctx:
            async with ctx.work() as inner:
                inner.push(thing_added, Thing(number=1), to=[person.id])
            ctx.push(thing_added, Thing(number=2), to=[person.id])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    client = await kernel.connect(person, PLACE, after=0)
    await client.wait_for_seq(1, namespace=PLACE)
    assert numbers(client) == [1]


async def test_what_only_reads_may_not_push(kernel: Instance, person: Person) -> None:
    client = await kernel.connect(person, PLACE)
    with pytest.raises(Refused) as refused:
        await client.ask("thing:read", {}, namespace=PLACE)
    assert refused.value.code == "internal"
    assert await count(kernel, LogEntry) == 0


async def test_a_unit_of_work_that_was_never_used_commits_nothing(kernel: Instance) -> None:
    async with Context.open(kernel.runtime) as ctx:
        assert not ctx.unit.is_open
    assert await count(kernel, LogEntry) == 0


@pytest.mark.scaled
async def test_the_victim_of_a_deadlock_runs_again(kernel: Instance, person: Person) -> None:
    other = await kernel.add_person()
    meeting = asyncio.Barrier(2)
    attempts = 0

    async def rename(first: int, second: int) -> None:
        nonlocal attempts
        is_first = True

        async def body(unit: Unit) -> None:
            nonlocal attempts, is_first
            attempts += 1
            await unit.db.execute(update(User).where(User.id == first).values(name="A"))
            if is_first:
                is_first = False
                await meeting.wait()
            await unit.db.execute(update(User).where(User.id == second).values(name="B"))

        await run_unit(lambda: _new_unit(kernel), body)

    await asyncio.gather(rename(person.id, other.id), rename(other.id, person.id))
    assert attempts == 3


@pytest.mark.scaled
async def test_a_serialization_failure_runs_again(kernel: Instance, person: Person) -> None:
    reads = 0

    async def body(unit: Unit) -> None:
        nonlocal reads
        await unit.db.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        user = await accounts.get_user(unit.db, person.id)
        assert user is not None
        reads += 1
        if reads == 1:
            async with Context.open(kernel.runtime) as ctx:
                await accounts.update_user(ctx.db, person.id, name="Somebody else's")
        await accounts.update_user(unit.db, person.id, name=f"{user.name} again")

    await run_unit(lambda: _new_unit(kernel), body)
    async with kernel.runtime.database.session(write=False) as db:
        user = await accounts.get_user(db, person.id)
    assert user is not None
    assert (reads, user.name) == (2, "Somebody else's again")


async def test_what_fails_for_good_is_not_tried_again(kernel: Instance) -> None:
    attempts = 0

    async def body(unit: Unit) -> None:
        nonlocal attempts
        attempts += 1
        await accounts.add_session(
            unit.db,
            10**9,
            user_agent="",
            address="",
            now=kernel.runtime.clock(),
            lifetime=kernel.runtime.tokens.lifetime,
        )

    with pytest.raises(DBAPIError):
        await run_unit(lambda: _new_unit(kernel), body)
    assert attempts == 1


def _new_unit(kernel: Instance) -> Unit:
    return new_unit(kernel.runtime, kernel.runtime.clock(), Caller(), None)

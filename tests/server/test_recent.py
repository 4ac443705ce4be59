"""What was told last is kept in memory: bounded, without gaps, and forgotten when it is rewritten."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, update

from server.bus import Notice
from server.context import Context
from server.recent import LENGTH, Recent
from storage.events import LogEntry
from tests.instance import Instance, Person
from tests.server.trial import PLACE, log_silently, numbers, tell

NOW = datetime.now(UTC)


def notice(seq: int, user_id: int = 1, data: str = "{}") -> Notice:
    return Notice(user_id, PLACE, "thing:added", data, NOW, seq)


def seqs(recent: Recent, after: int, user_id: int = 1) -> list[int | None]:
    return [one.seq for one in recent.read((user_id, PLACE), after)]


def test_only_what_is_known_without_a_gap_is_told() -> None:
    recent = Recent()
    for seq in (3, 4, 4, 3, 5):
        recent.note(notice(seq))
    assert [seqs(recent, after) for after in (1, 2, 3, 4, 5, 6)] == [
        [],
        [3, 4, 5],
        [4, 5],
        [5],
        [],
        [],
    ]
    recent.note(notice(7))
    assert [seqs(recent, after) for after in (4, 5, 6)] == [[], [], [7]]


def test_each_stream_is_bounded_and_so_are_all() -> None:
    recent = Recent(room=10_000)
    for seq in range(1, 2 * LENGTH + 1):
        recent.note(notice(seq))
    assert seqs(recent, LENGTH) == list(range(LENGTH + 1, 2 * LENGTH + 1))
    assert seqs(recent, LENGTH - 1) == []
    recent.note(notice(1, user_id=2, data="x" * 9_900))
    assert (seqs(recent, 2 * LENGTH - 1), seqs(recent, 0, user_id=2)) == ([], [1])
    recent.forget(2)
    recent.note(notice(2, user_id=2, data="x" * 9_900))
    assert seqs(recent, 1, user_id=2) == [2]


def test_what_was_read_in_the_log_goes_before_what_is_known() -> None:
    recent = Recent()
    recent.fill([notice(3), notice(4)], recent.version)
    assert seqs(recent, 2) == [3, 4]
    recent.note(notice(5))
    recent.fill([notice(seq) for seq in range(1, 5)], recent.version)
    assert seqs(recent, 0) == [1, 2, 3, 4, 5]
    recent.note(notice(9))
    recent.fill([notice(6), notice(7)], recent.version)
    assert seqs(recent, 5) == [], "8 is missing"
    recent.fill([notice(seq) for seq in range(1, 10)], recent.version)
    assert seqs(recent, 0) == list(range(1, 10))
    recent.fill([notice(seq, user_id=2) for seq in range(1, LENGTH + 3)], recent.version)
    assert seqs(recent, 1, user_id=2) == []
    assert seqs(recent, 2, user_id=2) == list(range(3, LENGTH + 3))
    recent.fill([notice(1, user_id=2), notice(2, user_id=2)], recent.version)
    assert seqs(recent, 0, user_id=2) == [], "there is no room for them"


def test_what_was_read_before_something_was_rewritten_is_not_remembered() -> None:
    recent = Recent()
    before = recent.version
    recent.forget(1)
    recent.fill([notice(1)], before)
    assert seqs(recent, 0) == []
    recent.clear()
    recent.fill([notice(1)], before)
    assert seqs(recent, 0) == []


@contextmanager
def counting_reads_of_the_log(kernel: Instance) -> Iterator[list[str]]:
    engine = kernel.runtime.database.reader.sync_engine
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "event_log.data" in statement:
            found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield found
    event.remove(engine, "before_cursor_execute", note)


async def leave_and_miss(kernel: Instance, person: Person, *missed: int) -> None:
    client = await kernel.connect(person, PLACE)
    await client.wait_for("stream:ready", namespace=PLACE)
    await client.close()
    await tell(kernel, [person], *missed)


async def test_who_comes_back_after_a_moment_reads_no_log(kernel: Instance, person: Person) -> None:
    await leave_and_miss(kernel, person, 7, 8)

    with counting_reads_of_the_log(kernel) as reads:
        client = await kernel.connect(person, PLACE, after=0)
        await client.wait_for_seq(2, namespace=PLACE)

    assert (numbers(client), reads) == ([7, 8], [])


async def test_another_device_does_not_read_the_log_again(kernel: Instance, person: Person) -> None:
    await log_silently(kernel, person, 7, 8)

    with counting_reads_of_the_log(kernel) as reads:
        devices = []
        for _ in range(2):
            device = await kernel.connect(person, PLACE, after=0)
            # Whoever asks while the log is being read is answered by another query.
            await device.wait_for_seq(2, namespace=PLACE)
            devices.append(device)

    assert [numbers(device) for device in devices] == [[7, 8], [7, 8]]
    assert len(reads) == 1


async def test_what_the_bus_lost_is_read_from_the_log(kernel: Instance, person: Person) -> None:
    await leave_and_miss(kernel, person, 1)
    await log_silently(kernel, person, 2)
    await tell(kernel, [person], 3)

    with counting_reads_of_the_log(kernel) as reads:
        client = await kernel.connect(person, PLACE, after=0)
        await client.wait_for_seq(3, namespace=PLACE)

    assert numbers(client) == [1, 2, 3]
    assert len(reads) == 1


@pytest.mark.parametrize("is_told", [True, False])
async def test_what_is_rewritten_is_told_as_it_is_now(
    kernel: Instance, person: Person, is_told: bool
) -> None:
    await leave_and_miss(kernel, person, 1)
    async with Context.open(kernel.runtime) as ctx:
        mine = update(LogEntry).where(LogEntry.user_id == person.id)
        await ctx.db.execute(mine.values(data='{"number":0,"text":""}'))
        if is_told:
            ctx.rewritten(person.id)

    client = await kernel.connect(person, PLACE, after=0)
    await client.wait_for_seq(1, namespace=PLACE)

    # The second one shows that there was something to forget.
    assert numbers(client) == ([0] if is_told else [1])

"""What it costs to erase somebody: statements by the chunk, and none that waits for all."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from server.follow_ups import LeftToWorkers
from storage.accounts import Role
from tests.conftest import StartInstance
from tests.diaries import days_ago, start_diary
from tests.instance import Instance
from tests.leavers import FOR_EVER, leave
from tests.questionnaires import PHQ9, submit
from tests.security.planted import plant
from tests.stand_ins.waiting import settled
from tests.talks import Talk, start_talk
from tests.traces import (
    check_streams,
    do_jobs,
    find_number,
    find_words,
    list_words,
    make_traces,
)

SOON = timedelta(minutes=1)
AT_ONCE, IN_THE_FIRST_ROUND = 11, 162


@pytest.fixture
async def server(start: StartInstance) -> Instance:
    return await start(jobs=False)


@contextmanager
def note_statements(server: Instance) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        # Those who look for jobs are not asked to by anybody.
        if not statement.startswith(("BEGIN", "UPDATE outbox")):
            statements.append(" ".join(statement.split()))

    engine = server.runtime.database.writer.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


async def live(server: Instance, days: int) -> Talk:
    """On each of these days somebody writes, notes, answers and edits."""
    await server.add_person(Role.ADMIN)
    talk = await start_talk(server)
    diary = await start_diary(server, talk.patient)
    for number in range(1, days + 1):
        sent = await talk.send(talk.patient, plant("text", "anna"))
        await talk.ask(talk.psychologist, "message:read", seq=sent["seq"])
        await diary.add_on(days_ago(number), note=plant("diary", "anna"))
        await server.ask(talk.patient, "/goals", "goal:create", {"title": plant("goal", "anna")})
        again = {"user_id": talk.patient.id, "client_ref": str(uuid4())}
        await server.ask(talk.psychologist, "/chat", "chat:open", again)
        await submit(server, talk.patient, PHQ9, [1] * 8 + [0])
    # What follows messages is nobody's cost of leaving.
    await settled(server)
    server.runtime.follow_ups = LeftToWorkers()
    return talk


# Elsewhere a server looks for what it missed over the same connections.
@pytest.mark.embedded
@pytest.mark.parametrize("days", [1, 15])
async def test_erasing_costs_the_same_however_much_there_is(server: Instance, days: int) -> None:
    talk = await live(server, days)

    with note_statements(server) as asked:
        assert (await leave(server, talk.patient, FOR_EVER))[0] == 202
    assert len(asked) == AT_ONCE, "\n".join(asked)
    with note_statements(server) as ground:
        await do_jobs(server, "leaving.erase", ahead=SOON)

    listed = "\n".join(text[:150] for text in ground)
    assert len(ground) == IN_THE_FIRST_ROUND, f"{len(ground)} statements:\n{listed}"
    assert not await find_words(server, ["-anna"])


SMALL = {
    "storage.leaving.parting.RELATIONS_CHUNK": 1,
    "handlers.leaving.parting.RELATIONS_CHUNK": 1,
    "storage.leaving.parting.MESSAGES_CHUNK": 2,
    "storage.leaving.legacy.CHUNK": 1,
    "handlers.leaving.legacy.CHUNK": 1,
    "handlers.leaving.legacy.FILES_CHUNK": 1,
    "storage.leaving.belongings.CHUNK": 5,
    "storage.leaving.copies.CHUNK": 2,
    "handlers.leaving.copies.CHUNK": 2,
    "storage.leaving.copies.JOBS_CHUNK": 2,
    "handlers.leaving.copies.JOBS_CHUNK": 2,
    "handlers.leaving.copies.PEOPLE_CHUNK": 1,
    "storage.leaving.trail.CHUNK": 2,
    "handlers.leaving.trail.CHUNK": 2,
    "storage.leaving.trail.PAGE": 2,
    "handlers.leaving.trail.PAGE": 2,
    "handlers.leaving.grinding.PORTION": 0.0,
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("names", [["anna"], ["boris", "anna"]])
async def test_chunks_of_a_few_come_to_the_same_end(
    server: Instance, monkeypatch: pytest.MonkeyPatch, names: Sequence[str]
) -> None:
    """And a job that makes way after each."""
    for name, size in SMALL.items():
        monkeypatch.setattr(name, size)
    scene = await make_traces(server)
    for name in names:
        leaver = await server.sign_in(scene.owners[name].email)
        assert (await leave(server, leaver, FOR_EVER))[0] == 202

        await do_jobs(server, "leaving.erase", ahead=SOON)
        # Of an export that was being made when nobody can be at it any more.
        await do_jobs(server, "uploads.remove_blob", ahead=timedelta(minutes=15))

        # The address is kept for the receipt, and what did it for the rest of its round.
        words = list(list_words(leaver, name))
        found = [one for one in await find_words(server, words) if "erasures.email" not in one]
        assert not found, "\n".join(found)
        found = [
            one for one in await find_number(server, leaver.id) if "erasures.user_id" not in one
        ]
        assert not found, "\n".join(found)
    await check_streams(server)

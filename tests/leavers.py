"""People who leave, and what tests of leaving have in common."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from handlers.leaving import GRACE
from jobs.scheduler import wake_overdue
from server.runtime import read_clock
from storage.leaving import Erasure
from storage.outbox import Job
from tests.instance import Instance, Person
from tests.stand_ins.waiting import eventually

AWHILE, FOR_EVER = "/account", "/account/data"
RESTING = "leaving.erase_again"


async def leave(
    server: Instance, person: Person, path: str, password: str | None = None
) -> tuple[int, Any]:
    return await server.request("DELETE", path, {"password": password}, token=person.token)


async def erase(server: Instance, person: Person) -> None:
    """Ask for it, and wait until the first round is done."""
    status, answer = await leave(server, person, FOR_EVER)
    assert status == 202, answer
    await wait_for_first_round(server)


async def wait_for_first_round(server: Instance) -> None:
    async def waits_for_the_second() -> bool:
        async with server.runtime.database.session(write=False) as db:
            jobs = set(await db.scalars(select(Job.job).where(Job.job.startswith("leaving."))))
        return jobs == {RESTING}

    await eventually(waits_for_the_second, "the first round to be over")


async def finish(server: Instance, *others: Instance) -> list[Erasure]:
    """Let the second round go by; the receipts, once their letters are sent.

    The others are those whose workers do the same jobs: they must live at the same time.
    """
    later = lambda: datetime.now(UTC) + GRACE + timedelta(seconds=5)  # noqa: E731 - a clock
    for one in (server, *others):
        one.runtime.clock = later
    await wake_overdue(server.runtime)
    found = await eventually(lambda: find_receipts(server), "receipts")
    for one in (server, *others):
        one.runtime.clock = read_clock
    return found


async def find_receipts(server: Instance) -> list[Erasure]:
    async with server.runtime.database.session(write=False) as db:
        rows = list(await db.scalars(select(Erasure).order_by(Erasure.id)))
    return rows if all(row.finished_at and row.email is None for row in rows) else []

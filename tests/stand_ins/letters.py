"""Letters that a server has yet to send."""

from sqlalchemy import select

from storage.dead_jobs import DeadJob
from storage.outbox import Job
from tests.instance import Instance, Person
from tests.stand_ins.waiting import eventually


async def ask_for_letter(server: Instance, person: Person) -> None:
    """A recovery letter: a job, keyed by the address."""
    status, _ = await server.request("POST", "/auth/forgot-password", {"email": person.email})
    assert status == 202


async def list_letter_jobs(server: Instance) -> list[Job]:
    async with server.runtime.database.session(write=False) as db:
        rows = await db.scalars(
            select(Job).where(Job.job == "accounts.mail_recovery").order_by(Job.id)
        )
        return list(rows)


async def wait_for_dead_letter(server: Instance) -> DeadJob:
    async def find() -> DeadJob | None:
        async with server.runtime.database.session(write=False) as db:
            dead = select(DeadJob).where(DeadJob.job == "accounts.mail_recovery")
            return (await db.scalars(dead)).one_or_none()

    found = await eventually(find, "a dead job")
    assert found is not None
    return found


async def wait_until_sent(server: Instance) -> None:
    async def none_is_left() -> bool:
        return not await list_letter_jobs(server)

    await eventually(none_is_left, "an empty outbox")


async def wait_for_attempt(server: Instance, number: int) -> Job:
    """The only job, once it has failed so many times and nobody has it."""

    async def find() -> Job | None:
        (job,) = await list_letter_jobs(server)
        return job if job.failures == number and job.claimed_until is None else None

    found = await eventually(find, f"attempt {number}")
    assert found is not None
    return found

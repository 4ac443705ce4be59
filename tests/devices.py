"""Devices that pushes go to, and waiting until there is nothing to push."""

from datetime import timedelta

from sqlalchemy import func, select

from storage.accounts import Device
from storage.outbox import Job
from tests.instance import Instance, Person
from tests.stand_ins.waiting import eventually

PUSHING = ("accounts.digest", "notifications.announce", "notifications.push")


async def register(server: Instance, person: Person, token: str) -> None:
    device = {"token": token, "platform": "android"}
    await server.ask(person, "/account", "device:register", device)


async def list_tokens(server: Instance) -> list[str]:
    async with server.runtime.database.session(write=False) as db:
        return sorted(await db.scalars(select(Device.token)))


async def wait_until_quiet(server: Instance, *, until: timedelta = timedelta(minutes=1)) -> None:
    """Until no job of pushing is due at the server's time and a little after."""

    async def is_quiet() -> bool:
        async with server.runtime.database.session(write=False) as db:
            waiting = await db.scalar(
                select(func.count()).where(
                    Job.job.in_(PUSHING), Job.due_at <= server.runtime.clock() + until
                )
            )
        return waiting == 0

    await eventually(is_quiet, "no more pushes to make")

"""How each kind of job comes to wait in the outbox: asked for as users do."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from handlers.accounts import people
from jobs.upkeep import plan_upkeep
from server.context import Context
from storage.accounts import Role
from tests.instance import PASSWORD, Instance
from tests.stand_ins.letters import ask_for_letter
from tests.stand_ins.waiting import set_clock

Arrange = Callable[[Instance], Awaitable[object]]


async def ask_for_recovery(server: Instance) -> None:
    await ask_for_letter(server, await server.add_person())


async def invite_a_stranger(server: Instance) -> None:
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    await server.ask(psychologist, "/care", "relation:invite", {"email": "new@example.com"})


async def register_an_invited_person(server: Instance) -> None:
    await invite_a_stranger(server)
    new = {"email": "new@example.com", "password": PASSWORD}
    status, _ = await server.request("POST", "/auth/register", new)
    assert status == 201


async def let_upkeep_fall_due(server: Instance) -> None:
    person = await server.add_person()
    await set_clock(server, ahead=-timedelta(days=60))
    async with Context.open(server.runtime) as ctx:
        await people.sign_in_as(ctx, person.email)
    await set_clock(server, ahead=timedelta(0))
    await plan_upkeep(server.runtime)


UNFINISHED: dict[str, Arrange] = {
    "accounts.mail_recovery": ask_for_recovery,
    "accounts.welcome": register_an_invited_person,
    "care.mail_invitation": invite_a_stranger,
    "upkeep.prune": let_upkeep_fall_due,
}
"""By the job's name; none may be left out."""

"""How each kind of job comes to wait in the outbox: asked for as users do."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import delete, select, update

from handlers.accounts import people
from handlers.chat.payloads import SettleChat
from handlers.chat.unread import settle_notifications, settle_one
from jobs.perform import perform
from jobs.upkeep import plan_upkeep
from server.context import Context
from server.follow_ups import LeftToWorkers
from server.outgoing import Changed
from storage import accounts
from storage.accounts import Role
from storage.chat import list_people
from storage.leaving import Departure
from storage.outbox import Job
from tests.exports import ask_for_export
from tests.files import upload
from tests.goals import add_goal, add_stages, complete
from tests.instance import PASSWORD, Instance
from tests.leavers import AWHILE, FOR_EVER, leave
from tests.questionnaires import PHQ9, submit
from tests.stand_ins.letters import ask_for_letter
from tests.stand_ins.waiting import set_clock, settled
from tests.talks import Talk, start_talk

Arrange = Callable[[Instance], Awaitable[object]]


async def ask_for_recovery(server: Instance) -> None:
    await ask_for_letter(server, await server.add_person())


async def invite_a_stranger(server: Instance) -> None:
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    await server.ask(psychologist, "/care", "relation:invite", {"email": "new@example.com"})


async def end_a_relation(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    await server.ask(patient, "/care", "relation:end", {"user_id": psychologist.id})


async def register_an_invited_person(server: Instance) -> None:
    await invite_a_stranger(server)
    new = {"email": "new@example.com", "password": PASSWORD}
    status, _ = await server.request("POST", "/auth/register", new)
    assert status == 201


async def ask_for_everything(server: Instance) -> None:
    person = await server.add_person()
    await upload(server, person, purpose="goal")
    status, _ = await ask_for_export(server, person)
    assert status == 202


async def let_upkeep_fall_due(server: Instance) -> None:
    person = await server.add_person()
    await set_clock(server, ahead=-timedelta(days=60))
    async with Context.open(server.runtime) as ctx:
        await people.sign_in_as(ctx, person.email)
        expires_at = ctx.now + timedelta(days=7)
        export = await accounts.add_export(
            ctx.db, person.id, place="somewhere", now=ctx.now, expires_at=expires_at
        )
        await accounts.begin_export(ctx.db, export.id)
    await set_clock(server, ahead=timedelta(0))
    await plan_upkeep(server.runtime)


async def write_to_somebody_offline(server: Instance) -> Talk:
    """With a phone and a tablet, and letters wanted."""
    talk = await start_talk(server)
    for token in ("phone", "tablet"):
        device = {"token": token, "platform": "android"}
        await server.ask(talk.patient, "/account", "device:register", device)
    choice = {"type": "message", "in_app": True, "push": True, "email": True}
    await server.ask(talk.patient, "/notifications", "preference:set", choice)
    await talk.send(talk.psychologist)
    await settled(server)
    return talk


async def write_and_die(server: Instance) -> None:
    """Whoever took the message did not live to follow it up."""
    talk = await start_talk(server)
    server.runtime.follow_ups = LeftToWorkers()
    await talk.send(talk.psychologist)


async def write_and_die_as_before(server: Instance) -> None:
    """With the row that a version before wrote."""
    await write_and_die(server)
    async with Context.open(server.runtime) as ctx:
        is_new = Job.job == settle_notifications.job.name
        payload = (await ctx.db.scalars(select(Job.payload).where(is_new))).one()
        (chat_id,) = Changed.model_validate_json(payload).ids
        user_ids = sorted(await list_people(ctx.db, [chat_id]))
        ctx.enqueue(settle_one, SettleChat(chat_id=chat_id, user_ids=user_ids))
        await ctx.db.execute(delete(Job).where(is_new))


async def leave_pushes_undone(server: Instance) -> None:
    """As when the worker died between deciding and sending."""
    await write_to_somebody_offline(server)
    await perform_job(server, "notifications.announce")


async def ask_for_a_digest(server: Instance) -> None:
    talk = await write_to_somebody_offline(server)
    choice = {"type": "digest", "in_app": False, "push": True, "email": True}
    await server.ask(talk.patient, "/notifications", "preference:set", choice)
    soon = server.runtime.clock() + timedelta(minutes=2)
    schedule = {"times": [f"{soon:%H:%M}"], "frequency": "daily"}
    await server.ask(talk.patient, "/account", "schedule:update", schedule)


async def leave_digest_mail_undone(server: Instance) -> None:
    await ask_for_a_digest(server)
    await perform_job(server, "accounts.digest")


async def upload_a_picture(server: Instance) -> None:
    person = await server.add_person()
    await upload(server, person, purpose="avatar")


async def replace_a_picture(server: Instance) -> None:
    person = await server.add_person()
    for _ in range(2):
        picture = await upload(server, person, purpose="avatar")
        change = {"avatar_upload_id": picture["id"]}
        await server.ask(person, "/account", "profile:update", change)


async def forget_an_upload(server: Instance) -> None:
    person = await server.add_person()
    await set_clock(server, ahead=-timedelta(days=3))
    await upload(server, person)
    await set_clock(server, ahead=timedelta(0))
    await perform_job(server, "uploads.make_thumbnail")
    await plan_upkeep(server.runtime)


async def let_a_reminder_fall_due(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_goal(server, person)
    soon = server.runtime.clock() + timedelta(minutes=2)
    about = {"goal_id": goal["id"], "times": [f"{soon:%H:%M}"]}
    await server.ask(person, "/goals", "reminder:set", about)


async def ask_for_stages(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_goal(server, person)
    await server.ask(person, "/goals", "ai:split", {"goal_id": goal["id"]})


async def let_holders_be_counted(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), "A")
    await complete(server, person, goal["stages"][0])
    await plan_upkeep(server.runtime)


async def perform_job(server: Instance, name: str, ahead: timedelta = timedelta(minutes=4)) -> None:
    """Do the jobs of this name, which are due by then."""
    async with server.runtime.database.session(write=False) as db:
        waiting = list(await db.scalars(select(Job.id).where(Job.job == name)))
    await set_clock(server, ahead=ahead)
    for job_id in waiting:
        await perform(server.runtime, job_id)
    await set_clock(server, ahead=timedelta(0))


async def leave_an_alert_open(server: Instance) -> None:
    _, patient = await server.connect_pair()
    await server.add_person(Role.ADMIN)
    await set_clock(server, ahead=-timedelta(hours=1))
    await submit(server, patient, PHQ9, [0] * 8 + [1])
    await set_clock(server, ahead=timedelta(0))


async def leave_for_good(server: Instance) -> None:
    """With all sorts of things, also in the hands of others."""
    talk = await write_to_somebody_offline(server)
    leaver = talk.patient
    for _ in range(2):
        file = await upload(server, leaver)
        sent = {"client_ref": str(uuid4()), "text": "", "upload_ids": [file["id"]]}
        await talk.ask(leaver, "message:send", **sent)
    await server.add_person(Role.ADMIN)
    await submit(server, leaver, PHQ9, [0] * 8 + [1])
    goal = await add_goal(server, leaver)
    await server.ask(leaver, "/goals", "reminder:set", {"goal_id": goal["id"], "times": ["08:00"]})
    assert (await leave(server, leaver, FOR_EVER))[0] == 202


async def erase_once(server: Instance) -> None:
    await leave_for_good(server)
    await perform_job(server, "leaving.erase")


async def erase_twice(server: Instance) -> None:
    await erase_once(server)
    await perform_job(server, "leaving.erase_again", ahead=timedelta(minutes=8))


async def let_a_departure_expire(server: Instance) -> None:
    person = await server.add_person()
    assert (await leave(server, person, AWHILE))[0] == 204
    async with Context.open(server.runtime) as ctx:
        long_ago = ctx.now - timedelta(days=31)
        await ctx.db.execute(update(Departure).values(at=long_ago))
        late = update(Job).where(Job.job == "accounts.expire")
        await ctx.db.execute(late.values(due_at=long_ago, wake_at=long_ago))


UNFINISHED: dict[str, Arrange] = {
    "accounts.digest": ask_for_a_digest,
    "accounts.export": ask_for_everything,
    "accounts.expire": let_a_departure_expire,
    "accounts.mail_recovery": ask_for_recovery,
    "accounts.welcome": register_an_invited_person,
    "assessments.escalate": leave_an_alert_open,
    "care.mail_invitation": invite_a_stranger,
    "care.withdraw": end_a_relation,
    "chat.settle": write_and_die,
    "chat.settle_notifications": write_and_die_as_before,
    "goals.ask_model": ask_for_stages,
    "goals.count_holders": let_holders_be_counted,
    "goals.remind": let_a_reminder_fall_due,
    "leaving.erase": leave_for_good,
    "leaving.erase_again": erase_once,
    "leaving.mail_receipt": erase_twice,
    "notifications.announce": write_to_somebody_offline,
    "notifications.mail": write_to_somebody_offline,
    "notifications.mail_digest": leave_digest_mail_undone,
    "notifications.push": leave_pushes_undone,
    "upkeep.prune": let_upkeep_fall_due,
    "uploads.make_thumbnail": upload_a_picture,
    "uploads.remove_blob": replace_a_picture,
    "uploads.sweep": forget_an_upload,
}
"""By the job's name; none may be left out."""

"""Anna and Boris with all their things, and everybody who is not to see them."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from handlers import notifications
from handlers.accounts import people
from handlers.accounts.declared import mail_recovery
from handlers.accounts.payloads import RecoveryMail
from server.context import Caller, Context
from storage import accounts, goals
from storage.accounts import Role, Status
from storage.dead_jobs import DeadJob
from storage.notifications import NewNotification
from tests.files import upload
from tests.instance import Instance, Person
from tests.questionnaires import PHQ9, SPACE, create_test, submit
from tests.security.planted import plant
from tests.security.verdicts import PARTNERS, Kind
from tests.stand_ins.waiting import settled
from tests.talks import Talk


@dataclass(frozen=True, slots=True)
class Aim:
    """A goal with what belongs to it, and files that may yet be put to it."""

    id: int
    stage_ids: tuple[int, int]
    reminder_id: int
    file_id: int
    loose_ids: tuple[int, int]
    suggestion_ids: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Things:
    """What belongs to Anna and Boris, by the ids that others use in vain."""

    talk: Talk
    seq: int
    attached_id: int
    loose_id: int
    face_id: int
    loose_face_id: int
    export_id: int
    goal: Aim
    notification_id: int
    entry_id: int
    session_id: int
    device_token: str
    inviter_ids: tuple[int, int]
    dead_job_ids: tuple[int, int]
    test_id: int
    answered_test_id: int
    result_ids: tuple[int, int]
    alert_id: int


@dataclass(frozen=True, slots=True)
class Scene:
    """`chats` has an open chat of everybody who can have one, `known` what they may well see.

    `goals` has a goal of every stranger.
    """

    server: Instance
    anna: Person
    boris: Person
    things: Things
    strangers: dict[Kind, Person]
    chats: dict[str, int]
    goals: dict[str, Aim]
    known: dict[Kind, set[str]]

    @property
    def owners(self) -> dict[str, Person]:
        return {"anna": self.anna, "boris": self.boris, "admin": self.strangers[Kind.ADMIN]}

    @property
    def victims(self) -> tuple[Person, Person]:
        return self.anna, self.boris


async def set_scene(server: Instance) -> Scene:
    """Everything there is, and nothing that is still to follow."""
    anna = await add_victim(server, "anna", Role.PATIENT)
    boris = await add_victim(server, "boris", Role.PSYCHOLOGIST)
    await server.relate(boris, anna)
    talk = Talk(server, boris, anna, await server.open_chat(boris, anna))
    strangers = await add_strangers(server)
    chats = await relate_strangers(server, strangers, anna, boris)
    known = {kind: set[str]() for kind in Kind}
    known[Kind.FELLOW] = {plant("name", "boris")}
    known[Kind.FORMER] = {plant("name", "anna")}
    known[Kind.ADMIN] = {plant("key", "anna")}
    goals: dict[str, Aim] = {
        kind: await add_aim(server, person, f"{kind}.png") for kind, person in strangers.items()
    }
    things = await add_things(talk)
    await settled(server)
    return Scene(server, anna, boris, things, strangers, chats, goals, known)


async def add_victim(server: Instance, name: str, role: Role) -> Person:
    """Somebody with planted words wherever they can write some."""
    email = f"{plant('address', name)}@example.com"
    async with Context.open(server.runtime) as ctx:
        await people.create_user(ctx, email, role, plant("name", name), None)
    person = await server.sign_in(email)
    contacts = {"phone": plant("contact", name)}
    await server.ask(person, "/account", "profile:update", {"contacts": contacts})
    subscribed = {"categories": [plant("category", name)]}
    await server.ask(person, "/notifications", "subscription:set", subscribed)
    return person


async def add_strangers(server: Instance) -> dict[Kind, Person]:
    roles = {
        Kind.PATIENT: Role.PATIENT,
        Kind.FELLOW: Role.PATIENT,
        Kind.PSYCHOLOGIST: Role.PSYCHOLOGIST,
        Kind.FORMER: Role.PSYCHOLOGIST,
        Kind.PENDING: Role.PSYCHOLOGIST,
        Kind.ADMIN: Role.ADMIN,
        **{kind: Role(kind) for kind in PARTNERS},
    }
    strangers = {kind: await server.add_person(role) for kind, role in roles.items()}
    async with Context.open(server.runtime) as ctx:
        await people.change_status(ctx, strangers[Kind.PENDING].email, Status.PENDING)
    return strangers


async def relate_strangers(
    server: Instance, strangers: dict[Kind, Person], anna: Person, boris: Person
) -> dict[str, int]:
    """Who knows whom; an open chat of each of those who have one."""
    patient, former = strangers[Kind.PATIENT], strangers[Kind.FORMER]
    await server.relate(former, anna)
    await server.open_chat(former, anna)
    await server.ask(former, "/care", "relation:end", {"user_id": anna.id})
    chats: dict[str, int] = {}
    for kind, psychologist, other in (
        (Kind.PSYCHOLOGIST, strangers[Kind.PSYCHOLOGIST], patient),
        (Kind.FORMER, former, patient),
        (Kind.FELLOW, boris, strangers[Kind.FELLOW]),
    ):
        await server.relate(psychologist, other)
        chats[kind] = await server.open_chat(psychologist, other)
        await Talk(server, psychologist, other, chats[kind]).send(other, "Something of my own")
    return {**chats, Kind.PATIENT: chats[Kind.PSYCHOLOGIST]}


async def add_things(talk: Talk) -> Things:
    server, boris, anna = talk.server, talk.psychologist, talk.patient
    name = plant("file", "anna") + ".png"
    attached, loose = [await upload(server, anna, name=name) for _ in range(2)]
    face, loose_face = [await upload(server, anna, name=name, purpose="avatar") for _ in range(2)]
    await server.ask(anna, "/account", "profile:update", {"avatar_upload_id": face["id"]})
    text = plant("text", "anna")
    await talk.ask(
        anna, "message:send", client_ref=str(uuid4()), text=text, upload_ids=[attached["id"]]
    )
    seq = (await talk.send(boris, plant("text", "boris")))["seq"]
    await talk.send(boris, plant("text", "boris"))
    first, second = [await submit(server, anna, PHQ9, [1] * 8 + [n]) for n in (0, 1)]
    (alert,) = (await server.ask(boris, SPACE, "alert:list", {}))["items"]
    device_token = plant("device", "anna")
    device = {"token": device_token, "platform": "ios"}
    await server.ask(anna, "/account", "device:register", device)
    return Things(
        talk,
        seq=seq,
        attached_id=attached["id"],
        loose_id=loose["id"],
        face_id=face["id"],
        loose_face_id=loose_face["id"],
        export_id=await add_archive(server, anna),
        goal=await add_aim(server, anna, name),
        notification_id=await notify(server, anna),
        entry_id=await write_entry(server, anna),
        session_id=await sign_in_elsewhere(server, anna),
        device_token=device_token,
        inviter_ids=(await invite(server, anna), await invite(server, anna)),
        dead_job_ids=await add_dead_jobs(server),
        test_id=(await create_test(server, boris, title=plant("test", "boris")))["id"],
        answered_test_id=first["test_id"],
        result_ids=(first["id"], second["id"]),
        alert_id=alert["id"],
    )


async def add_aim(server: Instance, person: Person, name: str) -> Aim:
    """A goal with planted words in all of its parts, if the file's name is."""
    files = [await upload(server, person, name=name, purpose="goal") for _ in range(3)]
    about = {"title": f"Goal of {name}", "description": f"About {name}"}
    goal = await server.ask(person, "/goals", "goal:create", about)
    goal_id = {"goal_id": goal["id"]}
    for _ in range(2):
        stage = {**goal_id, "title": f"Stage of {name}"}
        goal = await server.ask(person, "/goals", "stage:add", stage)
    attachment = {**goal_id, "upload_id": files[0]["id"]}
    await server.ask(person, "/goals", "attachment:add", attachment)
    times = {**goal_id, "times": ["08:00"], "starts_on": "2190-01-01"}
    reminder = await server.ask(person, "/goals", "reminder:set", times)
    first, second = (stage["id"] for stage in goal["stages"])
    file_id, *loose = (file["id"] for file in files)
    suggestions = await suggest(server, person, goal["id"], f"Suggestion for {name}")
    return Aim(
        goal["id"],
        (first, second),
        reminder["id"],
        file_id,
        (loose[0], loose[1]),
        suggestions,
    )


async def add_archive(server: Instance, person: Person) -> int:
    """An export, as if a worker had made it yesterday."""
    content = server.runtime.settings.data_dir / "archive"
    content.write_text(plant("archive", "anna"))
    async with Context.open(server.runtime) as ctx:
        times = {"now": ctx.now - timedelta(days=1), "expires_at": ctx.now + timedelta(days=7)}
        new = await accounts.add_export(ctx.db, person.id, place="of anna", **times)
        export = await accounts.begin_export(ctx.db, new.id)
        assert export is not None
        await accounts.finish_export(ctx.db, export, size=1, sha256="", **times)
    await server.runtime.blobs.put(export.blob_key, content, "application/zip")
    return export.id


async def suggest(
    server: Instance, person: Person, goal_id: int, title: str
) -> tuple[int, int, int]:
    """Three stages, as if a model had."""
    async with Context.open(server.runtime) as ctx:
        split = await goals.add_split(
            ctx.db, person.id, goal_id, digest="", model="none", now=ctx.now
        )
        split.status = goals.SplitStatus.FINISHED
        first, second, third = [
            await goals.add_suggestion(ctx.db, split, goal_id, position=place, title=title)
            for place in (1, 2, 3)
        ]
        return first.id, second.id, third.id


async def notify(server: Instance, person: Person) -> int:
    """Something in the feed, with planted words in all of its parts."""
    note = NewNotification(
        user_id=person.id,
        type="resource",
        subject="planted",
        title=plant("title", "anna"),
        text=plant("note", "anna"),
        link=f"/{plant('link', 'anna')}",
        data={"about": plant("data", "anna")},
    )
    async with Context.open(server.runtime) as ctx:
        await notifications.notify(ctx, [note])
    listed = await server.ask(person, "/notifications", "notification:list", {"type": "resource"})
    notification_id: int = listed["items"][0]["id"]
    return notification_id


async def write_entry(server: Instance, person: Person) -> int:
    """Something in the diary, with planted words wherever there may be some."""
    labels = {"tags": [plant("tag", "anna")], "activities": [plant("activity", "anna")]}
    entry = {"score": 2, "note": plant("diary", "anna"), **labels}
    entry_id: int = (await server.ask(person, "/mood", "entry:add", entry))["id"]
    return entry_id


async def sign_in_elsewhere(server: Instance, person: Person) -> int:
    """One more session, told from the others by its browser."""
    caller = Caller(address="192.0.2.77", user_agent=plant("browser", "anna"))
    async with Context.open(server.runtime, caller) as ctx:
        session = await people.sign_in_as(ctx, person.email)
    return server.runtime.tokens.read(session.access_token).session_id


async def invite(server: Instance, patient: Person) -> int:
    """A psychologist who waits for this patient's answer."""
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    await server.ask(psychologist, "/care", "relation:invite", {"email": patient.email})
    return psychologist.id


async def add_dead_jobs(server: Instance) -> tuple[int, int]:
    """Two jobs that were given up, and say whom they were about."""
    ids = (1_000_001, 1_000_002)
    letter = RecoveryMail(email=f"{plant('letter', 'anna')}@example.com", locale="en")
    async with Context.open(server.runtime) as ctx:
        ctx.db.add_all(
            DeadJob(
                id=job_id,
                job=mail_recovery.name,
                key=f"{plant('key', 'anna')}:{job_id}",
                queue=mail_recovery.queue,
                payload=letter.model_dump_json(),
                request_id="",
                attempts=12,
                error="SMTPDataError",
                died_at=ctx.now,
            )
            for job_id in ids
        )
    return ids

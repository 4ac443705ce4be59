"""Nothing is left of whoever is erased: all tables and files are searched for what they were."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select

from handlers import NAMESPACES
from handlers.leaving.redaction import NUMBERS, OWN, RULES
from storage.accounts import Status, User
from storage.audit import AuditEntry
from storage.leaving import Erasure
from storage.leaving.belongings import CHANGED
from storage.leaving.belongings import OWN as BELONGINGS
from storage.tables import metadata
from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.leavers import FOR_EVER, leave
from tests.security.planted import plant
from tests.security.scene import Scene
from tests.traces import (
    check_streams,
    do_jobs,
    find_number,
    find_owned,
    find_words,
    list_words,
    make_traces,
)

WORK = ("leaving.erase", "leaving.erase_again", "leaving.mail_receipt", "uploads.remove_blob")
LATER = timedelta(minutes=5)


async def erase(server: Instance, *leavers: Person) -> None:
    for person in leavers:
        fresh = await server.sign_in(person.email)
        assert (await leave(server, fresh, FOR_EVER))[0] == 202
    for number, job in enumerate(WORK, start=1):
        await do_jobs(server, job, ahead=number * LATER)


def test_whoever_adds_a_table_says_what_becomes_of_it() -> None:
    """A table with people in it is deleted with them, or is changed in a way of its own."""
    with_people = {
        table.name
        for table in metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name == "users"
    }
    belongings = {column.class_.__tablename__ for column in BELONGINGS}
    assert with_people <= belongings | set(CHANGED), "see storage/leaving/belongings.py"
    assert not belongings & set(CHANGED)


def test_whoever_adds_a_push_says_what_becomes_of_its_copies() -> None:
    told = {push.data for space in NAMESPACES for push in space.pushes.values()}
    assert told <= set(RULES) | NUMBERS | OWN, "see handlers/leaving/redaction.py"


@pytest.fixture
async def server(start: StartInstance) -> Instance:
    return await start(jobs=False)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("names", [["anna"], ["boris"], ["anna", "boris"]])
async def test_nothing_is_left(server: Instance, names: Sequence[str]) -> None:
    scene = await make_traces(server)
    leavers = [scene.owners[name] for name in names]
    words = [
        word for name, one in zip(names, leavers, strict=True) for word in list_words(one, name)
    ]
    before = await find_words(server, words)
    places = {found.partition(":")[0] for found in before}
    assert {
        "users.name", "users.email", "event_log.data", "replies.answer", "notifications.title",
        "outbox.payload", "dead_jobs.payload", "messages.text",
    } <= places  # fmt: skip
    # Nothing can be missed where nothing was: each table has something of the two.
    owned = {f"{column.class_.__tablename__}.{column.key}" for column in BELONGINGS}
    assert owned - await find_owned(server, scene.anna, scene.boris) == {"departures.user_id"}

    await erase(server, *leavers)

    found = await find_words(server, words)
    assert not found, "\n".join(found)
    for person in leavers:
        found = await find_number(server, person.id)
        assert not found, "\n".join(found)
    await check_streams(server)
    await check_those_who_stay(server, scene, names)
    await check_tombstones(server, leavers)


async def check_those_who_stay(server: Instance, scene: Scene, names: Sequence[str]) -> None:
    """What others wrote is still theirs."""
    if "anna" not in names:
        history = await scene.things.talk.history(scene.anna)
        assert plant("edited", "anna") in [message["text"] for message in history]
    if "boris" not in names:
        history = await scene.things.talk.history(scene.boris)
        texts = [(message["text"], message["deleted"]) for message in history]
        assert texts == [("", True), ("", True), (plant("text", "boris"), False)]
        listed = await server.ask(scene.boris, "/chat", "chat:list", {"limit": 100})
        (chat,) = [one for one in listed["items"] if one["id"] == scene.things.talk.chat_id]
        assert chat["patient"] == {
            "id": scene.anna.id, "name": "Deleted user", "avatar_url": None,
        }  # fmt: skip


async def check_tombstones(server: Instance, leavers: Sequence[Person]) -> None:
    ids = [person.id for person in leavers]
    async with server.runtime.database.session(write=False) as db:
        rows = list(await db.scalars(select(User).where(User.id.in_(ids))))
        receipts = list(await db.scalars(select(Erasure)))
        audit = list(await db.scalars(select(AuditEntry)))
    for row in rows:
        assert (row.name, row.status, row.email) == (
            "Deleted user", Status.ERASED, f"erased:{row.id}",
        )  # fmt: skip
        assert (row.password_hash, row.contacts, row.avatar_upload_id) == (None, {}, None)
    assert len({receipt.pseudonym for receipt in receipts}) == len(leavers)
    for receipt in receipts:
        deeds = {row.action for row in audit if receipt.pseudonym in (row.actor_id, row.subject_id)}
        assert {"account.created", "account.signed_in", "relation:accepted"} <= deeds | {
            "relation:accepted"
        }
        assert {"account.erasure_begun", "account.erased"} <= deeds

"""The feed: one unread notification per chat, and what its owner does with it."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import select

from handlers.chat.unread import NEW
from server import texts
from storage.accounts import Role
from storage.outbox import Job
from tests.client import Client
from tests.instance import Instance, Person
from tests.stand_ins.waiting import settled
from tests.talks import Talk, add_talk, fence, refusal, start_talk

FEED = "/notifications"
ENGLISH = "You have new messages."


async def list_feed(server: Instance, person: Person, **wanted: Any) -> list[Any]:
    await settled(server)
    answer = await server.ask(person, FEED, "notification:list", wanted)
    items: list[Any] = answer["items"]
    return items


async def start_feed(server: Instance, count: int = 3) -> tuple[Person, list[Talk]]:
    """A psychologist with one unread notification for each of some chats."""
    talks = [await start_talk(server)]
    while len(talks) < count:
        talks.append(await add_talk(talks[0], await server.add_person()))
    for talk in talks:
        await talk.send(talk.patient)
        await settled(server)
    return talks[0].psychologist, talks


def told_in(device: Client) -> list[tuple[str, Any]]:
    return [(told.event, told.data) for told in device.pushes(FEED)]


async def test_the_first_unread_message_makes_one_notification(server: Instance) -> None:
    talk = await start_talk(server)
    phone, laptop = [await server.connect(talk.psychologist, FEED) for _ in range(2)]
    writer = await server.connect(talk.patient, FEED)

    for _ in range(3):
        await talk.send(talk.patient, "A secret")

    (note,) = await list_feed(server, talk.psychologist)
    assert note == {
        "id": note["id"],
        "type": "message",
        "title": talk.patient.name,
        "text": ENGLISH,
        "link": f"/chats/{talk.chat_id}",
        "data": {"chat_id": talk.chat_id},
        "created_at": note["created_at"],
        "read_at": None,
    }
    for device in (phone, laptop):
        await settled(server)
        await fence(device, FEED)
        assert told_in(device) == [("notification:created", note)]
        await device.wait_for_last("unread:changed", {"total": 1}, namespace=FEED)
    await settled(server)
    await fence(writer, FEED)
    assert told_in(writer) == []


async def test_reading_the_chat_reads_its_notification(server: Instance) -> None:
    psychologist, (talk, other) = await start_feed(server, 2)
    await talk.send(talk.patient)
    device = await server.connect(psychologist, FEED)
    newest, note = await list_feed(server, psychologist)

    await talk.ask(psychologist, "message:read", seq=1)
    assert (await server.ask(psychologist, FEED, "unread:get", {})) == {"total": 2}
    await talk.ask(psychologist, "message:read", seq=2)

    await settled(server)
    await fence(device, FEED)
    read = {"notification_ids": [note["id"]], "total": 1}
    assert told_in(device) == [("notification:read", read)]
    await device.wait_for_last("unread:changed", {"total": 1}, namespace=FEED)
    assert (await list_feed(server, psychologist, unread=True)) == [newest]
    (was,) = await list_feed(server, psychologist, unread=False)
    assert was == {**note, "read_at": device.pushes(FEED)[0].meta["at"]}
    assert newest["data"] == {"chat_id": other.chat_id}


async def test_what_was_read_is_not_to_be_announced(server: Instance) -> None:
    psychologist, talks = await start_feed(server, count=2)
    assert await list_announced(server, psychologist) == {talk.chat_id for talk in talks}

    await talks[0].ask(psychologist, "message:read", seq=1)
    await settled(server)

    assert await list_announced(server, psychologist) == {talks[1].chat_id}


async def list_announced(server: Instance, person: Person) -> set[int]:
    """The chats of which they are to be told in a moment."""
    async with server.runtime.database.session(write=False) as db:
        keys = await db.scalars(select(Job.key).where(Job.job == "notifications.announce"))
    owned = [key.split(":") for key in keys if key]
    return {int(chat_id) for user_id, _, chat_id in owned if int(user_id) == person.id}


async def test_answering_and_deleting_read_the_notification_too(server: Instance) -> None:
    psychologist, (talk, other) = await start_feed(server, 2)
    device = await server.connect(psychologist, FEED)

    await talk.send(psychologist, "An answer")
    await settled(server)
    await other.ask(other.patient, "message:delete", seq=1)

    await settled(server)
    await fence(device, FEED)
    assert [(event, data["total"]) for event, data in told_in(device)] == [
        ("notification:read", 1),
        ("notification:read", 0),
    ]
    assert await list_feed(server, psychologist, unread=True) == []


async def test_a_chat_read_before_notifies_again(server: Instance) -> None:
    psychologist, (talk,) = await start_feed(server, 1)
    (first,) = await list_feed(server, psychologist)
    await talk.ask(psychologist, "message:read", seq=1)
    await settled(server)

    await talk.send(talk.patient)

    second, was = await list_feed(server, psychologist)
    assert second["id"] > was["id"] == first["id"]
    assert (second["read_at"], was["read_at"] is None) == (None, False)


async def test_what_is_read_at_once_in_a_conversation_makes_no_notification(
    server: Instance,
) -> None:
    talk = await start_talk(server)
    phone = await server.connect(talk.psychologist, FEED)
    await talk.send(talk.patient)
    await phone.wait_for("notification:created", namespace=FEED)

    for _ in range(3):
        await talk.send(talk.psychologist, "An answer")
        await talk.send(talk.patient, "An answer to it")
    await talk.ask(talk.psychologist, "message:read", seq=7)

    (note,) = await list_feed(server, talk.psychologist)
    await fence(phone, FEED)
    assert note["read_at"] is not None
    assert [event for event, _ in told_in(phone)] == ["notification:created", "notification:read"]
    assert await list_feed(server, talk.patient) == []


async def test_what_stays_unread_in_a_conversation_makes_one_a_moment_later(
    server: Instance,
) -> None:
    talk = await start_talk(server)
    await talk.send(talk.patient)

    answer = await talk.send(talk.psychologist, "An answer")

    (note,) = await list_feed(server, talk.patient)
    waited = datetime.fromisoformat(note["created_at"]) - datetime.fromisoformat(
        answer["created_at"]
    )
    assert NEW <= waited < 4 * NEW


async def test_a_notification_read_by_hand_stays_read(server: Instance) -> None:
    psychologist, (talk,) = await start_feed(server, 1)
    (note,) = await list_feed(server, psychologist)
    await server.ask(psychologist, FEED, "notification:read", {"notification_id": note["id"]})

    await talk.send(talk.patient)

    assert await list_feed(server, psychologist, unread=True) == []
    assert (await talk.ask(psychologist, "chat:get"))["unread"] == 2


async def test_one_notification_is_read_on_every_device(server: Instance) -> None:
    psychologist, _ = await start_feed(server)
    phone, laptop = [await server.connect(psychologist, FEED) for _ in range(2)]
    *_, oldest = await list_feed(server, psychologist)
    request = {"notification_id": oldest["id"], "client_ref": str(uuid4())}

    answer = await phone.ask("notification:read", request, namespace=FEED)

    assert answer == {"notification_ids": [oldest["id"]], "total": 2}
    for device in (phone, laptop):
        assert (await device.wait_for("notification:read", namespace=FEED)).data == answer
    assert await phone.ask("notification:read", request, namespace=FEED) == answer
    again = {"notification_id": oldest["id"]}
    repeated = await phone.ask("notification:read", again, namespace=FEED)
    assert repeated == {"notification_ids": [], "total": 2}
    for device in (phone, laptop):
        await settled(server)
        await fence(device, FEED)
        assert told_in(device) == [("notification:read", answer)]
        await device.wait_for_last("unread:changed", {"total": 2}, namespace=FEED)


async def test_everything_is_read_at_once(server: Instance) -> None:
    psychologist, talks = await start_feed(server)
    phone, laptop = [await server.connect(psychologist, FEED) for _ in range(2)]
    notes = await list_feed(server, psychologist)
    ids = sorted(note["id"] for note in notes)

    answer = await phone.ask("notification:read_all", namespace=FEED)

    assert answer == {"notification_ids": ids, "total": 0}
    assert await phone.ask("notification:read_all", namespace=FEED) == {
        "notification_ids": [],
        "total": 0,
    }
    for device in (phone, laptop):
        await settled(server)
        await fence(device, FEED)
        assert told_in(device) == [("notification:read", answer)]
        await device.wait_for_last("unread:changed", {"total": 0}, namespace=FEED)
    # The chats themselves are as unread as they were.
    assert (await server.ask(psychologist, "/chat", "unread:get", {}))["total"] == len(talks)


async def test_the_feed_is_listed_newest_first_and_filtered(server: Instance) -> None:
    psychologist, talks = await start_feed(server, 4)
    await talks[1].ask(psychologist, "message:read", seq=1)
    feed = await list_feed(server, psychologist)
    chat_ids = [talk.chat_id for talk in reversed(talks)]

    assert [note["data"]["chat_id"] for note in feed] == chat_ids
    unread = [note for note in feed if note["read_at"] is None]
    assert len(unread) == 3
    assert await list_feed(server, psychologist, unread=True) == unread
    assert await list_feed(server, psychologist, unread=False) == [feed[2]]
    assert await list_feed(server, psychologist, unread=None) == feed
    assert await list_feed(server, psychologist, type="message") == feed
    assert await list_feed(server, psychologist, type="resource") == []
    wanted = {"unread": True, "type": "message", "skip": 1, "limit": 1}
    page = await server.ask(psychologist, FEED, "notification:list", wanted)
    assert page == {"items": unread[1:2], "total": 3, "skip": 1, "limit": 1}
    for wrong in ({"limit": 101}, {"type": "a" * 41}, {"unread": "yes"}, {"sort": "id"}):
        assert await refusal(list_feed(server, psychologist, **wrong)) == "invalid"


async def test_a_feed_is_its_owners_alone(server: Instance) -> None:
    psychologist, (talk, _) = await start_feed(server, 2)
    stranger, admin = await server.add_person(), await server.add_person(Role.ADMIN)
    device = await server.connect(psychologist, FEED)
    note, _ = await list_feed(server, psychologist)

    for person in (stranger, admin, talk.patient):
        assert await list_feed(server, person) == []
        read = server.ask(person, FEED, "notification:read", {"notification_id": note["id"]})
        assert await refusal(read) == "not_found"
        everything = await server.ask(person, FEED, "notification:read_all", {})
        assert everything == {"notification_ids": [], "total": 0}
    nothing = server.ask(psychologist, FEED, "notification:read", {"notification_id": 999_999})
    assert await refusal(nothing) == "not_found"

    await settled(server)
    await fence(device, FEED)
    assert told_in(device) == []
    assert (await server.ask(psychologist, FEED, "unread:get", {})) == {"total": 2}


async def test_a_device_that_comes_is_told_the_count(server: Instance) -> None:
    psychologist, _ = await start_feed(server, 2)

    device = await server.connect(psychologist, FEED)

    assert (await device.wait_for("unread:changed", namespace=FEED)).data == {"total": 2}
    assert [told.event for told in device.told[FEED]][:1] == ["stream:ready"]


async def test_a_notification_speaks_its_owners_language(server: Instance) -> None:
    talk = await start_talk(server)
    await server.ask(talk.psychologist, "/account", "profile:update", {"locale": "ru"})

    await talk.send(talk.patient)

    (note,) = await list_feed(server, talk.psychologist)
    assert note["text"] == texts.get("notification.message_text", "ru") != ENGLISH

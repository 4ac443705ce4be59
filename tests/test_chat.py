"""Two people chatting: who may open a chat, who sees it, and when it ends."""

import asyncio
from typing import Any

import pytest

from storage.accounts import Role
from tests.instance import Instance, Person
from tests.talks import add_talk, fence, message, refusal, start_talk

ABOUT_A_CHAT: list[tuple[str, dict[str, Any]]] = [
    ("chat:get", {}),
    ("message:send", {"text": "Hello!", "client_ref": "018f3c5e-7d2a-7c3e-9b1a-3f2b8c6d4e5f"}),
    ("message:history", {}),
    ("message:edit", {"seq": 1, "text": "Changed"}),
    ("message:delete", {"seq": 1}),
    ("message:delivered", {"seq": 1}),
    ("message:read", {"seq": 1}),
    ("typing:set", {"active": True}),
]


async def test_a_message_reaches_every_device_of_both(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    chat_id = await server.open_chat(psychologist, patient)
    writer = await server.connect(psychologist)
    phone, laptop = await server.connect(patient), await server.connect(patient)

    sent = await writer.ask("message:send", message(chat_id, "Hello!"))

    assert sent["seq"] == 1
    for device in (writer, phone, laptop):
        told = await device.wait_for("message:created")
        assert told.data == sent
        assert told.seq


@pytest.mark.scaled
async def test_a_message_reaches_devices_on_every_instance(
    instances: tuple[Instance, Instance],
) -> None:
    here, there = instances
    talk = await start_talk(here)
    near, far = await here.connect(talk.patient), await there.connect(talk.patient)

    sent = [await talk.send(talk.psychologist, str(n)) for n in range(5)]

    for device in (near, far):
        await device.wait_for("message:created", count=5)
        heard = [told.data for told in device.pushes() if told.event == "message:created"]
        assert heard == sent


async def test_a_pair_has_one_chat_whoever_opens_it(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    devices = await server.connect(psychologist), await server.connect(patient)

    answers = await asyncio.gather(
        *(
            device.ask("chat:open", {"user_id": other.id})
            for device, other in zip(devices, (patient, psychologist), strict=True)
            for _ in range(3)
        )
    )

    chat = answers[0]
    assert all(answer == chat for answer in answers)
    assert chat == {
        "id": chat["id"],
        "psychologist": {"id": psychologist.id, "name": psychologist.name, "avatar_url": None},
        "patient": {"id": patient.id, "name": patient.name, "avatar_url": None},
        "status": "open",
        "last_seq": 0,
        "last_message": None,
        "read_seq": 0,
        "unread": 0,
        "created_at": chat["created_at"],
    }
    for device in devices:
        await fence(device)
        assert [(told.event, told.data) for told in device.pushes()] == [("chat:opened", chat)]


async def test_a_chat_needs_an_active_relation(server: Instance) -> None:
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    colleague = await server.add_person(Role.PSYCHOLOGIST)
    invited, stranger = await server.add_person(), await server.add_person()
    await server.ask(psychologist, "/care", "relation:invite", {"email": invited.email})

    async def open_chat(person: Person, user_id: int) -> str:
        return await refusal(server.ask(person, "/chat", "chat:open", {"user_id": user_id}))

    for user_id in (invited.id, stranger.id, colleague.id, psychologist.id, 999_999):
        assert await open_chat(psychologist, user_id) == "forbidden"
    for user_id in (psychologist.id, stranger.id, invited.id):
        assert await open_chat(invited, user_id) == "forbidden"


async def test_a_chat_is_not_there_for_others(server: Instance) -> None:
    talk = await start_talk(server)
    sent = await talk.send(talk.patient)
    other = await start_talk(server)
    member, outsider = await server.connect(talk.psychologist), await server.connect(other.patient)

    for event, payload in ABOUT_A_CHAT:
        for person in other.people:
            assert await refusal(talk.ask(person, event, **payload)) == "not_found"
            nowhere = {"chat_id": 999_999, **payload}
            assert await refusal(server.ask(person, "/chat", event, nowhere)) == "not_found"

    for device in (member, outsider):
        await fence(device)
        assert device.pushes() == []
    assert await talk.history(talk.psychologist) == [sent]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MERCHANT])
async def test_chats_are_for_patients_and_psychologists(server: Instance, role: Role) -> None:
    talk = await start_talk(server)
    person = await server.add_person(role)
    device = await server.connect(person)
    asked = [(event, {"chat_id": talk.chat_id, **payload}) for event, payload in ABOUT_A_CHAT]
    asked += [("chat:open", {"user_id": talk.patient.id}), ("chat:list", {}), ("unread:get", {})]
    asked += [("presence:get", {"user_ids": [talk.patient.id]})]

    for event, payload in asked:
        assert await refusal(device.ask(event, payload)) == "forbidden"
        assert await refusal(server.ask(person, "/chat", event, payload)) == "forbidden"


async def test_chats_are_listed_by_their_last_message(server: Instance) -> None:
    first = await start_talk(server)
    second, third = [await add_talk(first, await server.add_person()) for _ in range(2)]
    last = await second.send(second.patient, "Newest but one")
    await first.send(first.psychologist, "Newest")

    async def list_chats(person: Person, **page: int) -> Any:
        return await server.ask(person, "/chat", "chat:list", page)

    everything = await list_chats(first.psychologist)
    assert [chat["id"] for chat in everything["items"]] == [
        first.chat_id,
        second.chat_id,
        third.chat_id,
    ]
    assert everything["items"][1]["last_message"] == last
    assert [chat["unread"] for chat in everything["items"]] == [0, 1, 0]
    page = await list_chats(first.psychologist, skip=1, limit=1)
    assert page == {"items": everything["items"][1:2], "total": 3, "skip": 1, "limit": 1}
    assert (await list_chats(third.patient))["total"] == 1
    for chat in everything["items"]:
        got = await server.ask(first.psychologist, "/chat", "chat:get", {"chat_id": chat["id"]})
        assert got == chat


async def test_ending_a_relation_closes_the_chat(server: Instance) -> None:
    talk = await start_talk(server)
    psychologist, patient = (
        await server.connect(talk.psychologist),
        await server.connect(talk.patient),
    )
    sent = message(talk.chat_id, "Before")
    first = await patient.ask("message:send", sent)

    await server.ask(talk.patient, "/care", "relation:end", {"user_id": talk.psychologist.id})

    for device, unread in ((psychologist, 1), (patient, 0)):
        closed = (await device.wait_for("chat:closed")).data
        assert (closed["id"], closed["status"]) == (talk.chat_id, "closed")
        assert closed["unread"] == unread
        assert await device.ask("chat:get", {"chat_id": talk.chat_id}) == closed
    for event, payload in ABOUT_A_CHAT:
        asking = patient.ask(event, {"chat_id": talk.chat_id, **payload})
        if event in ("chat:get", "message:history", "message:delivered", "message:read"):
            await asking
        else:
            assert await refusal(asking) == "chat_closed"
    for one, other in (talk.people, talk.people[::-1]):
        assert await refusal(server.ask(one, "/chat", "chat:open", {"user_id": other.id})) == (
            "forbidden"
        )
    # What was answered before is answered again.
    assert await patient.ask("message:send", sent) == first
    read = await psychologist.ask("message:read", {"chat_id": talk.chat_id, "seq": 1})
    assert read["unread"] == 0


async def test_a_chat_goes_on_when_the_relation_does(server: Instance) -> None:
    talk = await start_talk(server)
    await talk.send(talk.patient, "Before")
    await server.ask(talk.psychologist, "/care", "relation:end", {"user_id": talk.patient.id})
    await server.relate(talk.psychologist, talk.patient)
    devices = [await server.connect(person) for person in talk.people]
    assert await refusal(talk.send(talk.patient)) == "chat_closed"

    again = await server.ask(talk.patient, "/chat", "chat:open", {"user_id": talk.psychologist.id})

    assert (again["id"], again["status"], again["last_seq"]) == (talk.chat_id, "open", 1)
    for device in devices:
        told = await device.wait_for("chat:opened")
        assert told.data["id"] == talk.chat_id
    after = await talk.send(talk.patient, "After")
    assert after["seq"] == 2
    assert [item["text"] for item in await talk.history(talk.psychologist)] == ["Before", "After"]


async def test_a_pair_without_a_chat_parts_in_silence(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    device = await server.connect(patient)

    await server.ask(patient, "/care", "relation:end", {"user_id": psychologist.id})

    await fence(device)
    assert device.pushes() == []

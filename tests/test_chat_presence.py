"""Presence and typing: who is there, and who is writing."""

import asyncio

import pytest

from tests.client import Client
from tests.instance import Instance, Person
from tests.talks import Talk, add_talk, fence, refusal, start_talk


async def heard_of(device: Client, person: Person, *, online: bool, count: int = 1) -> None:
    await device.wait_for(
        "presence",
        count=count,
        where=lambda data: data["user_id"] == person.id and data["online"] is online,
    )


async def test_the_first_socket_comes_and_the_last_one_goes(server: Instance) -> None:
    talk = await start_talk(server)
    watcher = await server.connect(talk.psychologist)

    phone = await server.connect(talk.patient)
    await heard_of(watcher, talk.patient, online=True)
    laptop = await server.connect(talk.patient, "/chat", "/account")
    await phone.close()
    await laptop.leave("/chat")
    assert (await watcher.ask("presence:get", {"user_ids": [talk.patient.id]}))[0]["online"]
    await laptop.close()
    await heard_of(watcher, talk.patient, online=False)
    await server.connect(talk.patient)
    await heard_of(watcher, talk.patient, online=True, count=2)

    presence = [told for told in watcher.told["/chat"] if told.event == "presence"]
    assert [told.data["online"] for told in presence] == [True, False, True]
    came, went, _ = [told.data for told in presence]
    assert came == {"user_id": talk.patient.id, "online": True, "last_seen_at": None}
    assert went["last_seen_at"].endswith("Z")
    assert all(told.seq is None for told in presence)


async def test_presence_is_known_of_people_with_an_open_chat(server: Instance) -> None:
    talk = await start_talk(server)
    stranger = await start_talk(server)
    apart = await add_talk(talk, await server.add_person())
    for person in (talk.patient, stranger.patient, apart.patient):
        await server.connect(person)
    await server.ask(apart.patient, "/care", "relation:end", {"user_id": talk.psychologist.id})
    watcher = await server.connect(talk.psychologist)
    asked = [talk.patient.id, stranger.patient.id, apart.patient.id, talk.psychologist.id, 999_999]

    found = await watcher.ask("presence:get", {"user_ids": asked})

    assert found == [{"user_id": talk.patient.id, "online": True, "last_seen_at": None}]
    assert await watcher.ask("presence:get", {"user_ids": []}) == []
    too_many = {"user_ids": list(range(1, 102))}
    assert await refusal(watcher.ask("presence:get", too_many)) == "invalid"


async def test_strangers_hear_nothing_of_presence(server: Instance) -> None:
    talk, stranger = await start_talk(server), await start_talk(server)
    watcher = await server.connect(talk.psychologist)
    outsider = await server.connect(stranger.psychologist)

    device = await server.connect(talk.patient)
    await heard_of(watcher, talk.patient, online=True)
    await device.close()
    await heard_of(watcher, talk.patient, online=False)

    await fence(outsider)
    assert not [told for told in outsider.told["/chat"] if told.event == "presence"]


async def test_when_somebody_was_last_there_is_remembered(server: Instance) -> None:
    talk = await start_talk(server)
    watcher = await server.connect(talk.psychologist)
    device = await server.connect(talk.patient)
    await device.close()
    await heard_of(watcher, talk.patient, online=False)
    went = [told.data for told in watcher.told["/chat"] if told.event == "presence"][-1]

    found = await watcher.ask("presence:get", {"user_ids": [talk.patient.id]})

    assert found == [went]


@pytest.mark.scaled
async def test_presence_counts_the_sockets_of_all_instances(
    instances: tuple[Instance, Instance],
) -> None:
    here, there = instances
    talk = await start_talk(here)
    watcher = await here.connect(talk.psychologist)
    near = await here.connect(talk.patient)
    await heard_of(watcher, talk.patient, online=True)
    far = await there.connect(talk.patient)
    await near.close()
    await far.close()

    await heard_of(watcher, talk.patient, online=False)

    presence = [told.data["online"] for told in watcher.told["/chat"] if told.event == "presence"]
    assert presence == [True, False]


async def test_typing_reaches_only_the_other_person(server: Instance) -> None:
    talk = await start_talk(server)
    third: Talk = await add_talk(talk, await server.add_person())
    writer, own = [await server.connect(talk.psychologist) for _ in range(2)]
    phone, laptop = [await server.connect(talk.patient) for _ in range(2)]
    outsider = await server.connect(third.patient)

    for active in (True, False):
        answer = await writer.ask("typing:set", {"chat_id": talk.chat_id, "active": active})
        assert answer == {}

    for device in (phone, laptop):
        await device.wait_for("typing", count=2)
        typing = [told for told in device.told["/chat"] if told.event == "typing"]
        assert [told.data for told in typing] == [
            {"chat_id": talk.chat_id, "user_id": talk.psychologist.id, "active": active}
            for active in (True, False)
        ]
        assert all(told.seq is None for told in typing)
    await asyncio.gather(*(fence(device) for device in (writer, own, outsider)))
    for device in (writer, own, outsider):
        assert not [told for told in device.told["/chat"] if told.event == "typing"]

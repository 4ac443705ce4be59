"""Whoever listens hears what is theirs: on sockets, in the log, and while they wait for more."""

import asyncio
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.security.doors import open_door
from tests.security.listening import BELLS, connect_everybody, list_told, ring
from tests.security.planted import find_planted
from tests.security.scene import Scene, set_scene
from tests.security.verdicts import Kind
from tests.security.walk import ask_as_owners
from tests.server.trial import delivery_of, wait_until
from tests.talks import add_talk, refusal, start_talk


async def read_stream(server: Instance, person: Person, place: str, query: str) -> Any:
    status, answer = await server.request("GET", f"/events{place}?{query}", token=person.token)
    assert status == 200, answer
    return answer["data"]


async def list_heads(scene: Scene) -> dict[tuple[str, str], int]:
    """How far each stranger's streams have got."""
    return {
        (kind, place): (await read_stream(scene.server, person, place, ""))["head"]
        for kind, person in scene.strangers.items()
        for place in BELLS
    }


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_strangers_hear_nothing_of_all_that_two_people_do(
    start: StartInstance, transport: str
) -> None:
    server = await start(jobs=False)
    scene = await set_scene(server)
    devices = await connect_everybody(scene, transport)
    async with open_door("http", server, devices) as door:
        assert not await ask_as_owners(scene, door)
    await ring(scene, devices)

    for who, person in scene.strangers.items():
        assert not list_told(devices[person.id]), who
    heard = {(place, told.event) for place in BELLS for told in devices[scene.anna.id].told[place]}
    assert heard >= {
        ("/account", "profile:updated"),
        ("/account", "settings:updated"),
        ("/chat", "message:created"),
        ("/chat", "message:edited"),
        ("/chat", "message:deleted"),
        ("/chat", "chat:closed"),
        ("/chat", "typing"),
        ("/chat", "unread:changed"),
        ("/notifications", "notification:read"),
        ("/notifications", "unread:changed"),
        ("/care", "relation:accepted"),
        ("/care", "relation:ended"),
    }


async def test_strangers_read_nothing_of_it_from_the_log(start: StartInstance) -> None:
    server = await start(jobs=False)
    scene = await set_scene(server)
    devices = await connect_everybody(scene)
    heads = await list_heads(scene)
    waiting = {
        kind: asyncio.create_task(read_stream(server, person, "/chat", "wait=1"))
        for kind, person in scene.strangers.items()
    }
    async with open_door("http", server, devices) as door:
        assert not await ask_as_owners(scene, door)

    assert await list_heads(scene) == heads
    for kind, person in scene.strangers.items():
        assert (await waiting[kind])["items"] == []
        for place in BELLS:
            stream = await read_stream(server, person, place, "after=0")
            assert find_planted(stream["items"]) <= scene.known[kind], (kind, place)
    anna = await read_stream(server, scene.anna, "/chat", "after=0")
    assert {"planted-text-anna", "planted-text-boris"} <= find_planted(anna["items"])


async def test_a_position_of_somebody_else_opens_nothing(start: StartInstance) -> None:
    """Where one stopped is a number in one's own stream, whatever others' have come to."""
    server = await start(jobs=False)
    scene = await set_scene(server)
    theirs = await read_stream(server, scene.anna, "/chat", "")
    assert theirs["head"] > 1
    for kind in (Kind.FORMER, Kind.FELLOW, Kind.ADMIN):
        person = scene.strangers[kind]
        for after in (0, theirs["head"] - 1, theirs["head"]):
            device = await server.connect(person, "/chat", after=after, epoch=theirs["epoch"])
            ready = (await device.wait_for("stream:ready")).data
            if not ready["reset"] and ready["head"] > after:
                await device.wait_for_seq(ready["head"])
            await device.ask("token:refresh", {"token": person.token})
            assert find_planted(device.told["/chat"]) <= scene.known[kind]


async def see(device: Client, user_id: int, *, online: bool, count: int = 1) -> None:
    """Until the device was told that this person came or went."""
    await device.wait_for(
        "presence",
        count=count,
        where=lambda told: (told["user_id"], told["online"]) == (user_id, online),
    )


async def chime(server: Instance, device: Client, person: Person) -> None:
    """Until the device has heard whatever was told to it before this moment."""
    status, _ = await server.request(
        "POST", "/events/account/settings:update", {"push_enabled": True}, token=person.token
    )
    assert status == 200
    await device.wait_for("settings:updated", namespace="/account")


async def test_presence_and_typing_end_with_the_relation(server: Instance) -> None:
    talk = await start_talk(server)
    stays = await add_talk(talk, await server.add_person())
    hears = await server.connect(stays.patient)
    patient = await server.connect(talk.patient, "/chat", "/account")
    psychologist = await server.connect(talk.psychologist)
    await see(patient, talk.psychologist.id, online=True)
    await psychologist.ask("typing:set", {"chat_id": talk.chat_id, "active": True})
    await patient.wait_for("typing")

    await server.ask(talk.patient, "/care", "relation:end", {"user_id": talk.psychologist.id})
    await patient.wait_for("chat:closed")
    patient.told.clear()
    typing = {"chat_id": talk.chat_id, "active": True}
    for person in talk.people:
        assert await refusal(server.ask(person, "/chat", "typing:set", typing)) == "chat_closed"
    await psychologist.close()
    await see(hears, talk.psychologist.id, online=False)
    psychologist = await server.connect(talk.psychologist)
    await see(hears, talk.psychologist.id, online=True, count=2)
    await psychologist.ask("typing:set", {"chat_id": stays.chat_id, "active": True})
    await hears.wait_for("typing")
    await chime(server, patient, talk.patient)

    told = {told.event for told in patient.told["/chat"]}
    assert not told & {"presence", "typing"}
    for asker, other in (talk.people, talk.people[::-1]):
        asked = {"user_ids": [other.id]}
        assert await server.ask(asker, "/chat", "presence:get", asked) == []


async def test_presence_is_told_only_to_who_shares_an_open_chat(server: Instance) -> None:
    """An invitation and a relation without a chat are no reason yet."""
    talk = await start_talk(server)
    related, invited = await server.add_person(), await server.add_person()
    await server.relate(talk.psychologist, related)
    invite = {"email": invited.email}
    await server.ask(talk.psychologist, "/care", "relation:invite", invite)
    near = await server.connect(talk.patient)
    far = [await server.connect(person, "/chat", "/account") for person in (related, invited)]

    await server.connect(talk.psychologist)
    await see(near, talk.psychologist.id, online=True)
    for device, person in zip(far, (related, invited), strict=True):
        await chime(server, device, person)
        assert "presence" not in {told.event for told in device.told["/chat"]}
        asked = {"user_ids": [talk.psychologist.id]}
        assert await server.ask(person, "/chat", "presence:get", asked) == []


async def test_who_was_put_out_hears_nothing_more(server: Instance) -> None:
    """A session that ended cannot listen on, neither where it waits nor with a new position."""
    talk = await start_talk(server)
    device = await server.connect(talk.patient)
    again = await server.sign_in(talk.patient.email)
    waiting = asyncio.create_task(
        server.request("GET", "/events/chat?wait=30", token=talk.patient.token)
    )
    followers = delivery_of(server)._followers
    await wait_until(
        lambda: any(
            getattr(one, "after", None) is not None for one in followers[talk.patient.id]["/chat"]
        ),
        "somebody waits",
    )
    end = {"session_id": talk.patient.session_id}
    await server.ask(again, "/account", "session:end", end)
    await device.wait_until_left()
    heard = len(device.told["/chat"])
    await talk.send(talk.psychologist, "planted-text-late")

    status, answer = await waiting
    assert (status, find_planted(answer)) == (401, set())
    assert len(device.told["/chat"]) == heard
    stream = await read_stream(server, again, "/chat", "after=0")
    assert find_planted(stream["items"]) == {"planted-text-late"}

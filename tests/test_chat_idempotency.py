"""Repeats: the same `client_ref` gets the first answer again, and nothing is done twice."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.client import Client, Refused
from tests.instance import Instance
from tests.talks import Talk, fence, message, refusal, start_talk


async def test_a_message_sent_again_gets_the_first_answer(server: Instance) -> None:
    talk = await start_talk(server)
    device = await server.connect(talk.patient)
    request = message(talk.chat_id, "Once")
    first = await device.ask("message:send", request)

    assert await device.ask("message:send", request) == first
    assert await talk.ask(talk.patient, "message:send", **request) == first
    await talk.ask(talk.psychologist, "message:read", seq=1)
    await talk.ask(talk.patient, "message:edit", seq=1, text="Changed")
    assert await device.ask("message:send", request) == first
    await talk.ask(talk.patient, "message:delete", seq=1)
    assert await device.ask("message:send", request) == first

    await fence(device)
    events = [told.event for told in device.pushes()]
    assert events.count("message:created") == 1
    assert [item["text"] for item in await talk.history(talk.patient)] == [""]


async def test_a_ref_belongs_to_one_request(server: Instance) -> None:
    talk, other = await start_talk(server), await start_talk(server)
    request = message(talk.chat_id, "Once")
    first = await talk.ask(talk.patient, "message:send", **request)

    async def send(**changes: Any) -> Any:
        return await talk.ask(talk.patient, "message:send", **{**request, **changes})

    assert await refusal(send(text="Twice")) == "conflict"
    assert await refusal(send(chat_id=other.chat_id)) == "conflict"
    # The other person's refs are their own.
    theirs = await talk.ask(talk.psychologist, "message:send", **request)
    assert (theirs["seq"], theirs["client_ref"]) == (2, first["client_ref"])


async def send_from_everywhere(talk: Talk, devices: list[Client]) -> None:
    request = message(talk.chat_id, "Once")

    answers = await asyncio.gather(
        *(device.ask("message:send", request) for device in devices for _ in range(5))
    )

    assert all(answer == answers[0] for answer in answers)
    assert await talk.history(talk.psychologist) == [answers[0]]
    for device in devices:
        await device.wait_for("message:created")
        await fence(device)
        assert [told.data for told in device.pushes()] == [answers[0]]


async def test_the_same_ref_from_two_devices_at_once_is_one_message(server: Instance) -> None:
    talk = await start_talk(server)
    devices = [await server.connect(talk.patient) for _ in range(2)]

    for _ in range(3):
        await send_from_everywhere(talk, devices)
        talk = await start_talk(server)
        devices = [await server.connect(talk.patient) for _ in range(2)]


@pytest.mark.scaled
async def test_the_same_ref_on_two_instances_at_once_is_one_message(
    instances: tuple[Instance, Instance],
) -> None:
    for _ in range(3):
        talk = await start_talk(instances[0])
        await send_from_everywhere(talk, [await one.connect(talk.patient) for one in instances])


@pytest.mark.scaled
async def test_one_ref_for_two_chats_at_once_sends_to_one_of_them(
    instances: tuple[Instance, Instance],
) -> None:
    talk = await start_talk(instances[0])
    other = await instances[0].add_person()
    await instances[0].relate(talk.psychologist, other)
    chat_ids = (talk.chat_id, await instances[0].open_chat(talk.psychologist, other))
    devices = [await one.connect(talk.psychologist) for one in instances]
    for _ in range(5):
        ref = str(uuid4())

        outcomes = await asyncio.gather(
            *(
                device.ask("message:send", message(chat_id, ref=ref))
                for device, chat_id in zip(devices, chat_ids, strict=True)
            ),
            return_exceptions=True,
        )

        (refused,) = (outcome for outcome in outcomes if isinstance(outcome, Refused))
        assert refused.code == "conflict"


async def test_an_edit_is_done_once(server: Instance) -> None:
    talk = await start_talk(server)
    await talk.send(talk.patient, "Original")
    devices = [await server.connect(talk.patient) for _ in range(2)]
    request = {"chat_id": talk.chat_id, "seq": 1, "text": "Edited", "client_ref": str(uuid4())}

    answers = await asyncio.gather(
        *(device.ask("message:edit", request) for device in devices for _ in range(5))
    )
    await talk.ask(talk.patient, "message:edit", seq=1, text="Edited again")
    answers.append(await devices[0].ask("message:edit", request))

    assert all(answer == answers[0] for answer in answers)
    assert await refusal(devices[0].ask("message:edit", {**request, "text": "Other"})) == (
        "conflict"
    )
    await fence(devices[1])
    texts = [told.data["text"] for told in devices[1].pushes()]
    assert texts == ["Edited", "Edited again"]


@pytest.mark.scaled
async def test_an_edit_on_two_instances_at_once_is_done_once(
    instances: tuple[Instance, Instance],
) -> None:
    talk = await start_talk(instances[0])
    await talk.send(talk.patient, "Original")
    devices = [await one.connect(talk.patient) for one in instances]
    request = {"chat_id": talk.chat_id, "seq": 1, "text": "Edited", "client_ref": str(uuid4())}

    answers = await asyncio.gather(
        *(device.ask("message:edit", request) for device in devices for _ in range(5))
    )

    assert all(answer == answers[0] for answer in answers)
    await talk.send(talk.patient, "The next")
    for device in devices:
        await device.wait_for("message:created")
        assert [t.event for t in device.pushes()] == ["message:edited", "message:created"]


async def test_a_refused_request_may_be_tried_again(server: Instance) -> None:
    talk = await start_talk(server)
    ref = str(uuid4())
    edit = {"seq": 1, "text": "Edited", "client_ref": ref}
    assert await refusal(talk.ask(talk.patient, "message:edit", **edit)) == "not_found"

    await talk.send(talk.patient)

    assert (await talk.ask(talk.patient, "message:edit", **edit))["text"] == "Edited"
    # The ref of one event says nothing about another event.
    deleted = await talk.ask(talk.patient, "message:delete", seq=1, client_ref=ref)
    assert deleted["deleted"] is True


async def test_a_marker_takes_a_ref_too(server: Instance) -> None:
    talk = await start_talk(server)
    await talk.send(talk.patient)
    request = {"seq": 1, "client_ref": str(uuid4())}

    first = await talk.ask(talk.psychologist, "message:read", **request)

    assert await talk.ask(talk.psychologist, "message:read", **request) == first

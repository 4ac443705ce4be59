"""Counts over several chats of one person that change at the same moment."""

import asyncio

import pytest

from storage.accounts import Role
from tests.client import Client
from tests.instance import Instance
from tests.talks import Talk, message, start_talk

ROUNDS = 10
BOTH = ("/chat", "/notifications")


async def start_two_talks(server: Instance) -> tuple[Talk, Talk]:
    """A patient with two psychologists."""
    one = await start_talk(server)
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    await server.relate(psychologist, one.patient)
    chat_id = await server.open_chat(psychologist, one.patient)
    return one, Talk(server, psychologist, one.patient, chat_id)


async def wait_for_totals(devices: list[Client], unread: int, notes: int) -> None:
    for device in devices:
        await device.wait_for_last("unread:changed", {"total": notes}, namespace="/notifications")
        await device.wait_for_last("unread:changed", unread, namespace="/chat", of="total")


async def read(device: Client, talk: Talk, seq: int) -> None:
    await device.ask("message:read", {"chat_id": talk.chat_id, "seq": seq})


def last_read_total(device: Client) -> int:
    pushes = [t for t in device.pushes("/notifications") if t.event == "notification:read"]
    total: int = pushes[-1].data["total"]
    return total


@pytest.mark.scaled
async def test_two_instances_agree_on_what_is_unread(
    instances: tuple[Instance, Instance],
) -> None:
    here, there = instances
    one, other = await start_two_talks(here)
    writer, writer_there = (
        await here.connect(one.psychologist),
        await there.connect(other.psychologist),
    )
    devices = [await here.connect(one.patient, *BOTH), await there.connect(one.patient, *BOTH)]

    for seq in range(1, ROUNDS + 1):
        for device in devices:
            device.forget("unread:changed")
        await asyncio.gather(
            writer.ask("message:send", message(one.chat_id)),
            writer_there.ask("message:send", message(other.chat_id)),
        )
        await wait_for_totals(devices, unread=2, notes=2)
        for device in devices:
            device.forget("unread:changed")
        await asyncio.gather(read(devices[0], one, seq), read(devices[1], other, seq))
        await wait_for_totals(devices, unread=0, notes=0)
        assert [last_read_total(device) for device in devices] == [0, 0]


async def test_one_chat_is_read_while_another_is_written(server: Instance) -> None:
    one, other = await start_two_talks(server)
    writer = await server.connect(other.psychologist)
    device = await server.connect(one.patient, *BOTH)

    for count in range(1, ROUNDS + 1):
        await one.send(one.psychologist)
        await asyncio.gather(
            read(device, one, count), writer.ask("message:send", message(other.chat_id))
        )
        await wait_for_totals([device], unread=count, notes=1)

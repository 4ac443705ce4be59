"""Two instances on one PostgreSQL and one Redis."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from server.bus.redis import RedisBus
from storage.accounts import Role
from tests.command import Shell
from tests.instance import Instance, Person
from tests.server.trial import PLACE, delivery_of, numbers, signal, tell, wait_until
from tests.talks import message

pytestmark = pytest.mark.scaled


async def test_people_on_different_instances_talk(kernel: Instance, second: Instance) -> None:
    psychologist, patient = await kernel.connect_pair()
    chat_id = await kernel.open_chat(psychologist, patient)
    here, there = await kernel.connect(psychologist), await second.connect(patient)
    for number in range(20):
        writer = (here, there)[number % 2]
        await writer.ask("message:send", message(chat_id, f"{number}"))
    for device in (here, there):
        told = await device.wait_for("message:created", count=20)
        assert told.data["text"] == "19"
        texts = [t.data["text"] for t in device.told["/chat"] if t.event == "message:created"]
        assert texts == [str(number) for number in range(20)]


async def test_what_two_instances_push_at_once_is_told_in_one_order(
    kernel: Instance, second: Instance, person: Person
) -> None:
    here, there = await kernel.connect(person, PLACE), await second.connect(person, PLACE)
    await asyncio.gather(
        tell(kernel, [person], *range(100)), tell(second, [person], *range(100, 200))
    )
    for device in (here, there):
        await device.wait_for_seq(200, namespace=PLACE)
    assert numbers(here) == numbers(there)
    assert sorted(numbers(here)) == list(range(200))
    await signal(second, [person], 5)
    await here.wait_for("thing:moved", namespace=PLACE)


async def test_an_instance_takes_only_what_its_own_people_need(
    kernel: Instance, second: Instance, person: Person
) -> None:
    def count_taken() -> float:
        return REGISTRY.get_sample_value("emotrack_bus_received_total") or 0

    other = await kernel.add_person()
    here, there = await kernel.connect(other, PLACE), await second.connect(person, PLACE)
    before = count_taken()
    for number in range(5):
        await tell(kernel, [other, person], number)
    await here.wait_for_seq(5, namespace=PLACE)
    await there.wait_for_seq(5, namespace=PLACE)
    assert count_taken() - before == 5, "neither what is one's own nor what is for others"


async def test_the_end_of_a_session_cuts_its_sockets_everywhere(
    kernel: Instance, second: Instance, person: Person
) -> None:
    other = await kernel.sign_in(person.email)
    client = await second.connect(person, PLACE)
    async with asyncio.timeout(2):
        await kernel.ask(other, "/account", "session:end", {"session_id": person.session_id})
        assert await client.wait_until_left(PLACE) == "server disconnect"


async def test_a_block_from_the_command_line_cuts_the_sockets(
    kernel: Instance, person: Person, shell: Shell
) -> None:
    client = await kernel.connect(person, PLACE)
    await shell.do("user", "block", person.email)
    async with asyncio.timeout(2):
        assert await client.wait_until_left(PLACE) == "server disconnect"


async def test_who_was_on_an_instance_that_dies_is_gone_soon(
    kernel: Instance, shell: Shell
) -> None:
    psychologist = await kernel.add_person(Role.PSYCHOLOGIST)
    patient = await kernel.add_person()
    await kernel.relate(psychologist, patient)
    await kernel.open_chat(psychologist, patient)
    watching = await kernel.connect(psychologist)
    async with shell.serve() as served:
        away = await served.instance.connect(patient)
        told = await watching.wait_for("presence")
        assert (told.data["user_id"], told.data["online"]) == (patient.id, True)
        served.process.kill()
        await away.wait_until_left()
        bus = kernel.runtime.bus
        assert isinstance(bus, RedisBus)

        async def is_gone() -> bool:
            return not await bus.find_online([patient.id])

        await wait_until(is_gone, "the dead instance counts no more", patience=14)
        await wait_until(
            lambda: any(
                t.event == "presence" and not t.data["online"] for t in watching.told["/chat"]
            ),
            "the others are told",
        )
    assert delivery_of(kernel)._sockets == {psychologist.id: 1}

"""Frames as a websocket client reads them."""

import pytest

from server.bus import Notice
from server.frames import Frame
from tests.instance import Instance
from tests.server.raw import RawSocket
from tests.server.trial import PLACE, Thing, wires_of

pytestmark = pytest.mark.embedded  # No database has a part in it.


@pytest.mark.parametrize("size", [1, 124, 125, 126, 65_534, 65_535, 65_536, 200_000])
async def test_a_frame_of_any_size_is_read_as_it_was_written(kernel: Instance, size: int) -> None:
    text = "x" * (size - 1)
    async with RawSocket.open(kernel.url) as socket:
        (wire,) = wires_of(kernel).values()
        for _ in range(2):
            wire.post(Frame(f"4{text}"))
        assert [await socket.receive() for _ in range(2)] == [text] * 2


async def test_a_frame_holds_any_script(kernel: Instance) -> None:
    async with RawSocket.open(kernel.url) as socket:
        (wire,) = wires_of(kernel).values()
        wire.post(Frame("4ёлки, žluť, 🤫\u2028"))
        assert await socket.receive() == "ёлки, žluť, 🤫\u2028"


async def test_what_many_are_told_is_one_packet_and_what_differs_is_not(kernel: Instance) -> None:
    people = [await kernel.add_person() for _ in range(3)]
    clients = [await kernel.connect(person, PLACE) for person in people]
    for client in clients:
        await client.wait_for("stream:ready", namespace=PLACE)
    at = kernel.runtime.clock()

    def say(number: int, *to: int) -> list[Notice]:
        text = Thing(number=number).model_dump_json()
        return [Notice(people[one].id, PLACE, "thing:moved", text, at) for one in to]

    notices = say(1, 0, 1, 2) + say(2, 1) + say(3, 0, 1, 2)
    kernel.runtime.bus.publish(notices)

    for client, numbers in zip(clients, ([1, 3], [1, 2, 3], [1, 3]), strict=True):
        await client.wait_for("thing:moved", namespace=PLACE, count=len(numbers))
        moved = [told for told in client.told[PLACE] if told.event == "thing:moved"]
        assert [told.data["number"] for told in moved] == numbers
    assert len({id(notice.frame) for notice in notices}) == 3

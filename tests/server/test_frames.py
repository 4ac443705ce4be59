"""Frames as a websocket client reads them."""

import pytest

from server.frames import Frame
from tests.instance import Instance
from tests.server.raw import RawSocket
from tests.server.trial import wires_of

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

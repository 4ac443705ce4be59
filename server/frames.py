"""Packets that are ready to be sent: encoded once, for however many clients."""

import struct
from collections.abc import Sequence

_TEXT = 0x81
"""A whole message of text; what servers send is not masked."""


class Frame:
    """One Engine.IO packet of text."""

    __slots__ = ("text", "wrapped")

    def __init__(self, text: str) -> None:
        self.text = text
        self.wrapped: bytes | None = None
        """What `wrap` gave."""

    def wrap(self) -> bytes:
        """As it stands in a websocket's stream."""
        self.wrapped = wrapped = _wrap(self.text.encode())
        return wrapped

    @classmethod
    def join(cls, frames: Sequence["Frame"]) -> "Frame":
        """All of them, for a websocket only."""
        joined = cls("")
        joined.wrapped = b"".join([frame.wrapped or frame.wrap() for frame in frames])
        return joined

    def encode(self, b64: bool = False) -> str:
        """As the library puts it into the response to a poll."""
        return self.text


def _wrap(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", _TEXT, 126, size) + payload
    return struct.pack("!BBQ", _TEXT, 127, size) + payload

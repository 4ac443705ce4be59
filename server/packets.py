"""What clients send: packets of Socket.IO, read as the library reads them, or more strictly."""

import json
import re
from types import SimpleNamespace
from typing import Any

import orjson
from socketio.packet import Packet

UNREADABLE = object()
"""Stands for a payload that is JSON, but beyond what a number, a text or a stack can hold."""


_HEADER = re.compile(r"(?:[0-4](?![0-9]+-)|5[0-9]++-)(?:/[^,]*(?:,|\Z))?+[0-9]*+(?!\d)")
"""What stands before the JSON. The library also takes a number of attachments where there can be
none, none where there must be one, and the digits of any script."""

_PLAIN_EVENT = re.compile(r"2(/[a-z]+),([0-9]{0,15})(\[.*)", re.DOTALL)
"""What clients send nearly always; anything else is read by the library's rules."""

_OPENING = re.compile(r"\s*\[\s*(?=\")")


def _load(text: str) -> Any:
    """JSON; of an event that only a more lenient reader can read, the name is kept.

    JavaScript sends halves of characters, Python NaN: such a client made a mistake in one event
    and is answered, where closing the connection would make it send the same again.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        reader = json.JSONDecoder(parse_int=len, parse_float=len)
    try:
        data = reader.decode(text)
    except RecursionError:
        opening = _OPENING.match(text)
        data = opening and [reader.raw_decode(text, opening.end())[0]]
    return [data[0], UNREADABLE] if is_event(data) else UNREADABLE


class SocketPacket(Packet):  # type: ignore[misc]  # the library is untyped
    json = SimpleNamespace(loads=_load)

    @classmethod
    def reconstruct_binary(cls, data: Any, attachments: list[bytes]) -> Any:
        try:
            return super().reconstruct_binary(data, attachments)
        except RecursionError:
            return [data[0], UNREADABLE]


def has_header(text: str) -> bool:
    """Whether it begins as a packet of a client does."""
    return _HEADER.match(text) is not None


def read_event(data: str | bytes) -> tuple[str, list[Any], int | None] | None:
    """An event as clients nearly always send it: namespace, name and arguments, id of the ack.

    None for anything else, which takes the long way through the library.
    """
    match = _PLAIN_EVENT.fullmatch(data) if isinstance(data, str) else None
    if match is None:
        return None
    namespace, ack, body = match.groups()
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return (namespace, event, int(ack) if ack else None) if is_event(event) else None


def is_event(data: Any) -> bool:
    return isinstance(data, list) and len(data) > 0 and isinstance(data[0], str)

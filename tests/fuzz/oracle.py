"""What must become of each packet, by the wire's own rules and without the server's parser."""

import base64
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tests.fuzz.grammar import is_json, measure_depth, read_name

MAX_BYTES = 1_000_000
MAX_PACKETS = 10_000
MAX_ATTACHMENTS = 10
MAX_ACK_DIGITS = 100
TOO_DEEP = 800

Answer = tuple[str, int]
"""A namespace, and the id of the event that is answered there."""


@dataclass(frozen=True, slots=True)
class BrokenText:
    """A text frame whose bytes are no UTF-8."""

    data: bytes


Frame = str | bytes | BrokenText

_PACKET = re.compile(
    r"(?P<kind>[0-6])(?:(?P<count>[0-9]+)-)?(?P<place>/[^,]*(?:,|\Z))?(?P<ack>[0-9]+)?(?P<body>.*)",
    re.DOTALL,
)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)
CONNECT, DISCONNECT, EVENT, BINARY_EVENT = "0", "1", "2", "5"


class Fate(Enum):
    OPEN = "it stays open"
    EITHER = "it may close"
    CLOSED = "it closes"


@dataclass(slots=True)
class Verdict:
    """What a connection must do about some frames.

    `due` is answered exactly once each, `allowed` may be answered too. `joins` are the namespaces
    that let the client in or refuse it, exactly once each. `reasons` say why it may close.
    """

    due: Counter[Answer] = field(default_factory=Counter)
    allowed: Counter[Answer] = field(default_factory=Counter)
    joins: Counter[str] = field(default_factory=Counter)
    maybe_joins: Counter[str] = field(default_factory=Counter)
    fate: Fate = Fate.OPEN
    reasons: frozenset[str] = frozenset()
    is_plain: bool = True
    """Events with ids, and nothing that changes what later packets mean."""

    is_sure: bool = True
    """What the connection is after it can be known."""

    def close(self, *reasons: str) -> None:
        self.fate = Fate.CLOSED
        self._may_end(reasons)

    def may_close(self, *reasons: str) -> None:
        if self.fate is Fate.OPEN:
            self.fate = Fate.EITHER
        self._may_end(reasons)

    def _may_end(self, reasons: Sequence[str]) -> None:
        self.is_plain = False
        self.reasons |= frozenset(reasons)


@dataclass(frozen=True, slots=True)
class _Packet:
    kind: str
    count: int | None
    namespace: str
    ack: int | None
    body: str
    is_broken: bool
    """So deep that no reader comes to where it is no JSON."""


class Session:
    """One connection, as far as its client can know it."""

    def __init__(self) -> None:
        self.joined: set[str] = set()
        self.joining: set[str] = set()
        self._held: _Packet | None = None
        self._attachments: list[bytes] = []

    def judge(self, frames: Sequence[Frame]) -> Verdict:
        """What must become of these, sent one after the other."""
        verdict = Verdict()
        for frame in frames:
            self._judge_frame(frame, verdict)
            if verdict.fate is Fate.CLOSED:
                break
        if verdict.fate is not Fate.OPEN:
            verdict.allowed += verdict.due
            verdict.maybe_joins += verdict.joins
            verdict.due, verdict.joins = Counter(), Counter()
        return verdict

    def judge_body(self, body: bytes) -> Verdict:
        """The same for the body of a polling POST."""
        verdict = Verdict()
        if len(body) > MAX_BYTES:
            verdict.close("too_large")
            return verdict
        text = body.decode("utf-8", "replace")
        pieces = text.split("\x1e")
        if len(pieces) > MAX_PACKETS:
            verdict.close("too_many_packets")
            return verdict
        verdict = self.judge([_read_piece(piece) for piece in pieces])
        if text.encode() != body:
            # What is no UTF-8 may be taken for replacement characters, or for a broken packet.
            verdict.may_close("malformed_packet")
            verdict.allowed += verdict.due
            verdict.due = Counter()
        return verdict

    @property
    def is_owed(self) -> bool:
        """Attachments were promised that have not come."""
        return self._held is not None

    def settle(self, namespace: str, *, is_in: bool) -> None:
        """The client was let in, or refused."""
        if namespace in self.joining:
            self.joining.discard(namespace)
            if is_in:
                self.joined.add(namespace)

    def _judge_frame(self, frame: Frame, verdict: Verdict) -> None:
        if isinstance(frame, BrokenText):
            verdict.close("not_utf8")
        elif _size(frame) > MAX_BYTES:
            verdict.close("too_large")
        elif isinstance(frame, bytes):
            self._judge_attachment(frame, verdict)
        elif frame == "1":
            verdict.close("")
        elif frame[:1] == "4":
            self._judge_message(frame[1:], verdict)
        elif frame != "3":
            verdict.close("malformed_packet")

    def _judge_attachment(self, data: bytes, verdict: Verdict) -> None:
        if self._held is None:
            verdict.close("malformed_packet")
            return
        self._attachments.append(data)
        held = self._held
        if len(self._attachments) < (held.count or 0):
            return
        self._held = None
        places = _judge_places(held.body, held.count or 0)
        if places is Fate.CLOSED:
            verdict.close("malformed_packet")
            return
        if places is Fate.EITHER:
            verdict.may_close("malformed_packet")
        self._judge_event(held, verdict)

    def _judge_message(self, text: str, verdict: Verdict) -> None:
        packet = None if self._held is not None else _read_packet(text)
        if packet is None:
            verdict.close("malformed_packet")
            return
        if packet.is_broken:
            verdict.may_close("malformed_packet")
            verdict.is_sure = False
        if packet.kind == CONNECT:
            self._judge_connect(packet, verdict)
        elif packet.kind == DISCONNECT:
            self._judge_disconnect(packet, verdict)
        elif packet.count:
            self._held, self._attachments = packet, []
            verdict.is_plain = False
        else:
            self._judge_event(packet, verdict)

    def _judge_connect(self, packet: _Packet, verdict: Verdict) -> None:
        verdict.is_plain = False
        if packet.namespace in self.joined:
            verdict.close("already_connected")
        elif packet.namespace in self.joining:
            # Unless it was refused in the meantime.
            verdict.may_close("already_connected")
            verdict.is_sure = False
            verdict.maybe_joins[packet.namespace] += 1
        else:
            self.joining.add(packet.namespace)
            verdict.joins[packet.namespace] += 1

    def _judge_disconnect(self, packet: _Packet, verdict: Verdict) -> None:
        """Who leaves does without the answers."""
        verdict.is_plain = False
        self.joined.discard(packet.namespace)
        self.joining.discard(packet.namespace)
        verdict.maybe_joins[packet.namespace] += verdict.joins.pop(packet.namespace, 0)
        for answer in [answer for answer in verdict.due if answer[0] == packet.namespace]:
            verdict.allowed[answer] += verdict.due.pop(answer)

    def _judge_event(self, packet: _Packet, verdict: Verdict) -> None:
        if packet.ack is not None:
            verdict.due[packet.namespace, packet.ack] += 1
        elif packet.namespace in self.joined:
            verdict.may_close("invalid", "unknown_event")
        elif packet.namespace in self.joining:
            verdict.may_close("invalid", "unknown_event", "unauthenticated")
        else:
            verdict.close("unauthenticated")


def _read_packet(text: str) -> _Packet | None:
    """A Socket.IO packet that a client may send, or None."""
    found = _PACKET.fullmatch(text)
    if found is None:
        return None
    kind, count, place, ack, body = found.group("kind", "count", "place", "ack", "body")
    namespace = (place or "/").removesuffix(",").partition("?")[0]
    is_broken = bool(body) and not is_json(body)
    packet = _Packet(
        kind,
        None if count is None else int(count[:20]),
        namespace,
        _number(ack),
        body,
        is_broken,
    )
    is_sound = (
        len(ack or "") <= MAX_ACK_DIGITS
        and (count is not None) == (kind == BINARY_EVENT)
        and len(count or "") <= len(str(MAX_ATTACHMENTS)) + 8
        and (packet.count or 0) <= MAX_ATTACHMENTS
        and (kind in (CONNECT, DISCONNECT) or bool(body))
        and not (is_broken and (measure_depth(body) < TOO_DEEP or read_name(body) is None))
    )
    if not is_sound or kind not in (CONNECT, DISCONNECT, EVENT, BINARY_EVENT):
        return None
    if kind in (EVENT, BINARY_EVENT) and read_name(body) is None:
        return None
    return packet


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits[:MAX_ACK_DIGITS])


def _read_piece(piece: str) -> Frame:
    """One packet of a polling body; what is no base64 becomes a text that no packet is."""
    if not piece.startswith("b"):
        return piece
    return base64.b64decode(piece[1:]) if _BASE64.fullmatch(piece[1:]) else piece


def _size(frame: str | bytes) -> int:
    return len(frame) if isinstance(frame, bytes) else len(frame.encode())


def _judge_places(body: str, count: int) -> Fate:
    """Whether every place that an attachment is to take names one of them."""
    try:
        waiting: list[Any] = [json.loads(body, parse_int=_bounded)]
    except (RecursionError, json.JSONDecodeError):
        return Fate.OPEN
    fate = Fate.OPEN
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict) and value.get("_placeholder") and "num" in value:
            found = _judge_place(value, count)
            if found is Fate.CLOSED:
                return found
            fate = Fate.EITHER if found is Fate.EITHER else fate
        elif isinstance(value, dict):
            waiting += value.values()
    return fate


def _judge_place(value: dict[str, Any], count: int) -> Fate:
    number = value["num"]
    if isinstance(number, bool) or value["_placeholder"] is not True:
        return Fate.EITHER
    if not isinstance(number, int) or number >= count:
        return Fate.CLOSED
    return Fate.OPEN if number >= 0 else Fate.EITHER


def _bounded(digits: str) -> int:
    return int(digits) if len(digits) < 20 else 10**20

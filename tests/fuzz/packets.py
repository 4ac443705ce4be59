"""Packets made by the rules: every declared event, with right, wrong and strange payloads."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from server.contract import Namespace
from tests.fuzz.oracle import Frame
from tests.fuzz.values import Known, make_fields, make_value, pick_awkward, write_object

ACKS = (0, 1, 7, 7, 7, 2**31, 2**53, 2**64, 10**99)
STRANGE_NAMES = (
    *("connect", "disconnect", "connect_error", "disconnecting", "message", "", " ", "a:b"),
    *("__proto__", "token:expired", "stream:ready", "message:created", "echo\0", "\U0001f600"),
    *("message:send ", "MESSAGE:SEND", "\u202emessage:send", "x" * 3000, "a\nb"),
)
STRANGE_PLACES = (
    "/nowhere",
    "/",
    "/chat/",
    "/CHAT",
    "//",
    "/a?b=c",
    "/\U0001f600",
    "/" + "n" * 900,
)


@dataclass(frozen=True, slots=True)
class Asking:
    """What one event may be asked: its namespace and name, and the schema of its request."""

    namespace: str
    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """What the fuzz knows about the server: events, ids that exist, and a good token."""

    askings: tuple[Asking, ...]
    known: Known
    token: str

    @property
    def namespaces(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(asking.namespace for asking in self.askings))

    def within(self, namespaces: Sequence[str]) -> tuple[Asking, ...]:
        return tuple(a for a in self.askings if a.namespace in namespaces) or self.askings


def list_askings(namespaces: Sequence[Namespace]) -> tuple[Asking, ...]:
    """Every declared event, and the one that every namespace with events has."""
    token = {"type": "string", "maxLength": 4096, "examples": ["a.b.c"]}
    refresh = {"properties": {"token": token}, "required": ["token"]}
    declared = [
        Asking(namespace.name, event.name, event.request.model_json_schema())
        for namespace in namespaces
        for event in namespace.events.values()
    ]
    places = dict.fromkeys(asking.namespace for asking in declared)
    return (*declared, *(Asking(place, "token:refresh", refresh) for place in places))


def make_event(rng: Random, scene: Scene, joined: Sequence[str]) -> list[Frame]:
    """One event, mostly one that is declared in a namespace that was joined."""
    asking = rng.choice(scene.within(joined))
    name = asking.name if rng.random() < 0.94 else _pick_strange_name(rng, scene)
    place = asking.namespace if rng.random() < 0.95 else _pick_other_place(rng, scene)
    ack = None if rng.random() < 0.03 else rng.choice((rng.choice(ACKS), rng.getrandbits(40)))
    head = f"{'' if place == '/' else place + ','}{'' if ack is None else _write_ack(rng, ack)}"
    body = f"[{','.join([json.dumps(name), *make_arguments(rng, asking, scene)])}]"
    if rng.random() < 0.08:
        return _attach(rng, head, name, make_arguments(rng, asking, scene))
    return [f"42{head}{body}"]


def make_arguments(rng: Random, asking: Asking, scene: Scene) -> list[str]:
    """Mostly one; sometimes none, or up to five."""
    if rng.random() < 0.92:
        return [make_payload(rng, asking, scene)]
    return [
        rng.choice((make_payload(rng, asking, scene), pick_awkward(rng)))
        for _ in range(rng.choice((0, 0, 2, 3, 5)))
    ]


def make_payload(rng: Random, asking: Asking, scene: Scene) -> str:
    """Right, or wrong in one way."""
    fields = make_fields(asking.schema, rng, scene.known)
    if asking.name == "token:refresh" and rng.random() < 0.5:
        fields["token"] = json.dumps(scene.token)
    way = rng.choice(("right", "right", "wrong", "wrong", "wrong", "missing", "extra", "awkward"))
    if way == "wrong":
        _spoil(rng, fields, asking, scene)
    elif way == "missing" and fields:
        del fields[rng.choice(sorted(fields))]
    elif way == "extra":
        fields[rng.choice(("extra", "id", "", "__class__", "\0", "\U0001f600"))] = pick_awkward(rng)
    elif way == "awkward":
        return pick_awkward(rng)
    return write_object(fields)


def _spoil(rng: Random, fields: dict[str, str], asking: Asking, scene: Scene) -> None:
    properties = asking.schema.get("properties", {})
    if not properties:
        return
    name = rng.choice(sorted(properties))
    part, definitions = properties[name], asking.schema.get("$defs", {})
    one = make_value(name, part, definitions, rng, scene.known)
    other = rng.choice((pick_awkward(rng), pick_awkward(rng), f"[{one}]", f'{{"{name}":{one}}}'))
    if part.get("type") == "array" and rng.random() < 0.5:
        other = f"[{','.join([pick_awkward(rng)] * rng.choice((1, 2, 101)))}]"
    fields[name] = other


def _attach(rng: Random, head: str, name: str, arguments: list[str]) -> list[Frame]:
    """The event with binary parts: as many as it says, or fewer, or more; in or out of order."""
    count = rng.choice((1, 1, 2, 3, 10))
    places = list(range(count))
    rng.shuffle(places)
    pieces = [f'{{"_placeholder":true,"num":{number}}}' for number in places]
    if rng.random() < 0.15:
        wrong = rng.choice((count, -1, "null", "1.0", 10**30))
        pieces[0] = f'{{"_placeholder":true,"num":{wrong}}}'
    inside = rng.choice((f'{{"client_ref":{pieces[0]},"text":[{",".join(pieces)}]}}', pieces[0]))
    body = f"[{','.join([json.dumps(name), inside, *arguments[1:]])}]"
    sent = count if rng.random() < 0.8 else rng.choice((0, count - 1, count + 1))
    blobs: list[Frame] = [rng.randbytes(rng.choice((0, 1, 16, 300))) for _ in range(sent)]
    said = rng.choice((f"{count}", f"{count}", f"{count}", f"0{count}", "11", "", "0"))
    return [f"45{said}-{head}{body}", *blobs]


def _write_ack(rng: Random, ack: int) -> str:
    return f"00{ack}" if rng.random() < 0.05 and ack < 10**90 else str(ack)


def _pick_strange_name(rng: Random, scene: Scene) -> str:
    return rng.choice((rng.choice(STRANGE_NAMES), rng.choice(scene.askings).name))


def _pick_other_place(rng: Random, scene: Scene) -> str:
    return rng.choice((rng.choice(STRANGE_PLACES), rng.choice(scene.namespaces)))

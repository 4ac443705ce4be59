"""Bytes that were a packet once, and bytes that never were."""

import json
from random import Random

from tests.fuzz.oracle import BrokenText, Frame
from tests.fuzz.packets import Scene, make_event

PLAIN = b"aeZ09_ :"
SPECIAL = b'0123456789-,/[]{}":\\\x00\x1e\x7f\xff\xc3bu \n'
LONE: tuple[str, ...] = (
    *("", "0", "1", "2", "3", "4", "5", "6", "7", "2probe", "3probe", "5x", "3x", "1x", "zzz"),
    *("40", "41", "42", "43", "44", "45", "46", "47", "4", "4x", "40{", "40/,", "41/nowhere,"),
    *('42["x"]', '421["x"]', '42/chat,["x"]', "42/chat,5", '42/chat,5{"x":1}', "42/chat,5[[[]]]"),
    *('42/chat,5["x"', '42/chat,5["x"]]', '42/chat,5[5,"x"]', "42/chat,5[null]", "43/chat,5[]"),
    *('44/chat,{"message":"x"}', '461-/chat,5["x"]', '421-/chat,5["x"]', '420-/chat,5["x"]'),
    *('45/chat,5["x"]', '450-/chat,5["x"]', '4511-/chat,5["x"]', '45-/chat,5["x"]', "40/chat,5"),
    *('4\u0662/chat,5["x"]', '42/chat,\u0665["x"]', '42/chat,\u00b2["x"]', '45\u0661-/chat,5["x"]'),
    *('42/chat,5\ufeff["x"]', '42/chat,5 ["x"]', '42/chat,5[ "x" ]', '42/chat,5["x",NaN]'),
    *(f'42/chat,{"9" * 100}["x"]', f'42/chat,{"9" * 101}["x"]', "42/chat,5" + "[" * 3000),
    *("42/chat,5" + "[" * 3000 + "]" * 3000, '42/chat,5["x",' + "[" * 3000 + "]"),
    *(
        '42/chat,5{"x":' + "[" * 3000 + "]" * 3000 + "}",
        '42/chat,5[ "x",' + "[" * 3000 + "]" * 3001,
    ),
    *('42/chat,5["x",' + "[" * 3000 + "]" * 3001, '42/chat,5["x" ' + "[" * 3000 + "]" * 3001),
    *("bAAAA", "b", "b!", "b====", "bAAA", "\x1e", "4\x1e4", "\x00", "\ufeff4", "d=4"),
)


def mutate(rng: Random, scene: Scene, joined: tuple[str, ...]) -> list[Frame]:
    """A packet of the rules with a few of its bytes changed."""
    frames = make_event(rng, scene, joined)
    data = _encode(frames[0])
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        data = _change(rng, data, _encode(make_event(rng, scene, joined)[0]))
    changed: list[Frame] = [_decode(data), *frames[1:]]
    if len(changed) > 2 and rng.random() < 0.5:
        rng.shuffle(changed)
    return changed


def make_noise(rng: Random, scene: Scene, joined: tuple[str, ...]) -> list[Frame]:
    """Anything at all: lone packets, wrong moments, text and bytes without any sense."""
    way = rng.randrange(6)
    if way == 0:
        return [rng.choice(LONE)]
    if way == 1:
        return [_decode(rng.randbytes(rng.choice((1, 3, 40, 2000))))]
    if way == 2:
        return [rng.randbytes(rng.choice((0, 1, 40, 2000)))]
    if way == 3:
        return _come_and_go(rng, scene, joined)
    if way == 4:
        letters = rng.choice(("\x1e4", '[]{}",:', "".join(map(chr, range(33))), "0123456789-/,"))
        return ["4" * rng.randrange(2) + "".join(rng.choices(letters, k=rng.randint(1, 60)))]
    head = rng.choice(("4", "42", "42/chat,", "42/chat,1", '42/chat,1["', '42/chat,1["x",'))
    return [head + "".join(map(chr, rng.choices(range(0x20, 0xD7FF), k=rng.randint(1, 60))))]


def _come_and_go(rng: Random, scene: Scene, joined: tuple[str, ...]) -> list[Frame]:
    """Joining, leaving and asking, in an order that no client would think of."""
    place = rng.choice((*joined, *joined, *scene.namespaces, "/nowhere", "/" + "n" * 5000, "/"))
    at = "" if place == "/" else f"{place},"
    auth = {"token": rng.choice((scene.token, scene.token, "nonsense", "a.b.c", "x" * 5000))}
    auths = (json.dumps(auth), json.dumps({**auth, "after": 0}), "{}", "", "[]", '"x"', "5", "null")
    steps: tuple[Frame, ...] = (
        f"40{at}{rng.choice(auths)}",
        f"40{at}{json.dumps(auth)}",
        f"41{at}",
        f'42{at}{rng.randrange(9)}["x",{{}}]',
        *make_event(rng, scene, (place,))[:1],
    )
    return list(rng.choices(steps, k=rng.randint(1, 4)))


def _change(rng: Random, data: bytes, other: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    # Near the start stands what decides about the rest.
    at = min(at, rng.randint(0, 12)) if rng.random() < 0.3 else at
    some = at + rng.choice((1, 1, 2, 8))
    before, after = data[:at], data[some:]
    if rng.random() < 0.4:
        return before + bytes(rng.choices(PLAIN, k=1)) + data[at + 1 :]
    ways = (
        before + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at:some]) + after,
        before + bytes(rng.choices(SPECIAL, k=some - at)) + data[at:],
        before + after,
        data[:some] + data[at:],
        before,
        before + other[rng.randrange(len(other)) :],
        before + rng.choice((b"0", b"9" * 30, b"-1", b"null", b'"', b"]")) + after,
    )
    return rng.choice(ways)


def _encode(frame: Frame) -> bytes:
    if isinstance(frame, BrokenText):
        return frame.data
    return frame.encode() if isinstance(frame, str) else frame


def _decode(data: bytes) -> Frame:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return BrokenText(data)

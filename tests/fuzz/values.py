"""JSON texts for the fields of a request: right ones, made from its schema, and awkward ones."""

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any
from uuid import UUID

Known = Mapping[str, Sequence[int]]
"""Ids that exist, by the name of the field that takes them."""


def quote(text: str) -> str:
    return f'"{text}"'


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


def deep_objects(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


FACE = "\U0001f600"
AWKWARD = (
    *("0", "-0", "-1", "1", "1.0", "1.5", "1e400", "1E-400", "9" * 5000, "NaN", "-Infinity"),
    *("2147483647", "2147483648", "9007199254740991", "9007199254740992", "-9007199254740993"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", f"{2**64}"),
    *("null", "true", "false", '""', '" "', "[]", "{}", "[{}]", '"\\n"', '"\\u0000"'),
    *('"a\\u0000b"', '"\\ud800"', '"\\udc00\\ud83d"', '"\\ufeff"', '"\\uffff"', '"\u2028"'),
    *('"\U0001f600\u200d\U0001f525"', '"\u202e\u05e9\u05dc\u05d5\u05dd"', '"\\u200f"', '"\u0300"'),
    *('"%s %n {0} ${a}"', '"\' OR 1=1; --"', '"../../etc/passwd"', '"Europe"', '"\u0661\u0662"'),
    *('"Europe/Moscow"', '"ru"', '"00:00"', '"24:00"', '"a@b"', '"a@example.com"'),
    *('"\\"very odd\\"@example.com"', '"\u0456@\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444"'),
    *('"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"2026-02-30"', "1e18"),
    *('"00000000-0000-0000-0000-000000000000"', '"{018f3c5e-7d2a-7c3e-9b1a-3f2b8c6d4e5f}"'),
    *('{"__proto__":{"a":1}}', '{"_placeholder":true,"num":0}', '{"":{"":{"":0}}}'),
    *(quote("x" * 300), quote("y" * 20_000), quote(FACE * 6_000), quote(f"a@{'b' * 260}.com")),
    *(deep(5), deep(20), deep(200), deep(1100), deep_objects(20), deep_objects(1100)),
    *(f"[{','.join('0' * 5000)}]", "{" + ",".join(f'"{n}":0' for n in range(1500)) + "}"),
    *(f"[{quote('z' * 100)}," + "null," * 200 + "1]", '{"a":1,"a":2}'),
)

_GENERIC = {"boolean": ("true", "false"), "null": ("null",)}


def pick_awkward(rng: Random) -> str:
    """Mostly one of the list; now and then something larger than one would make a list of."""
    if rng.random() < 0.01:
        size = rng.choice((100_000, 400_000))
        return rng.choice((quote("w" * size), deep(size // 20), f"[{'1,' * (size // 2)}1]"))
    return rng.choice(AWKWARD)


def write_object(fields: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in fields.items()) + "}"


def make_fields(schema: Mapping[str, Any], rng: Random, known: Known) -> dict[str, str]:
    """All required fields and some of the others, each right by itself."""
    definitions = schema.get("$defs", {})
    required = schema.get("required", ())
    return {
        name: make_value(name, part, definitions, rng, known)
        for name, part in schema.get("properties", {}).items()
        if name in required or rng.random() < 0.5
    }


def make_value(
    name: str, schema: Mapping[str, Any], definitions: Mapping[str, Any], rng: Random, known: Known
) -> str:
    """A right value for one field."""
    while True:
        if "$ref" in schema:
            schema = definitions[schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema:
            schema = rng.choice(schema["anyOf"])
        else:
            break
    if options := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return json.dumps(rng.choice(options))
    kind = schema.get("type")
    if kind == "array":
        most = min(3, schema.get("maxItems", 3))
        items = schema.get("items", {})
        few = range(rng.randint(schema.get("minItems", 0), max(most, schema.get("minItems", 0))))
        return f"[{','.join(make_value(name, items, definitions, rng, known) for _ in few)}]"
    if kind == "object":
        return write_object(make_fields({**schema, "$defs": definitions}, rng, known))
    if kind == "integer":
        return _make_integer(name, schema, rng, known)
    if kind == "string":
        return json.dumps(_make_text(schema, rng), ensure_ascii=rng.random() < 0.5)
    return rng.choice(_GENERIC.get(str(kind), AWKWARD))


def _make_integer(name: str, schema: Mapping[str, Any], rng: Random, known: Known) -> str:
    least, most = schema.get("minimum", 0), schema.get("maximum", 2**53 - 1)
    if name in known and rng.random() < 0.7:
        return str(rng.choice(known[name]))
    if name in ("session_id", "session_ids"):
        # None that lives: whoever ends their own session is cut, and rightly so.
        return str(rng.randint(2**40, most))
    return str(rng.choice((least, most, min(most, least + rng.randint(0, 20)))))


def _make_text(schema: Mapping[str, Any], rng: Random) -> str:
    if schema.get("format") == "uuid":
        return str(UUID(int=rng.getrandbits(128)))
    if schema.get("format") == "date":
        return rng.choice(("2026-11-21", "2028-02-29", "2000-01-01", "2199-12-31"))
    if schema.get("format") == "email":
        return rng.choice(("anna@example.com", "nobody@example.com", "x@mail.example.org"))
    examples = schema.get("examples", ())
    if "pattern" in schema and examples:
        return str(rng.choice(examples))
    most = schema.get("maxLength", 200)
    free = ("How are you?", "\u043f\u0440\u0438\u0432\u0435\u0442", FACE, "x" * most, *examples)
    return str(rng.choice(free))[:most]

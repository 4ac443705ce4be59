"""One example value for a JSON schema: what is declared as one, or else the plainest that fits."""

from collections.abc import Mapping
from typing import Any

FORMATS = {
    "date-time": "2026-11-21T09:30:00Z",
    "date": "2026-11-21",
    "time": "09:30:00",
    "duration": "PT30M",
    "email": "anna@example.com",
    "uri": "https://example.com/page",
    "uuid": "018f3c5e-7d2a-7c3e-9b1a-3f2b8c6d4e5f",
}
UNIONS = ("anyOf", "oneOf", "allOf")

REF = "client_ref"
"""Shown wherever it may be given."""

Schema = Mapping[str, Any]


def make_example(schema: Schema, components: Mapping[str, Schema]) -> Any:
    """A value that the schema allows, always the same one.

    Strings without a hint are the name of their field. A field that may be left out is there when
    it has a default or an example of its own.
    """
    return _make(schema, components, "text", ())


def _make(
    schema: Schema, components: Mapping[str, Schema], name: str, inside: tuple[str, ...]
) -> Any:
    if "$ref" in schema:
        target = schema["$ref"].rpartition("/")[2]
        return _make(components[target], components, name, (*inside, target))
    if given := _list_given(schema):
        return given[0]
    if options := [option for word in UNIONS for option in schema.get(word, ())]:
        return _make(_choose(options, inside), components, name, inside)
    match schema.get("type"):
        case "object":
            return _make_object(schema, components, inside)
        case "array":
            return _make_array(schema, components, name, inside)
    return _make_plain(schema, name)


def _list_given(schema: Schema) -> list[Any]:
    """The values that the schema names itself, the best example first."""
    named = [schema[word] for word in ("const", "default") if schema.get(word) is not None]
    return [*schema.get("examples", ()), *named, *schema.get("enum", ())]


def _choose(options: list[Schema], inside: tuple[str, ...]) -> Schema:
    """The first option that says something and does not lead back to where we are."""
    for option in options:
        target = option.get("$ref", "").rpartition("/")[2]
        if option.get("type") != "null" and target not in inside:
            return option
    return {"type": "null"}


def _make_object(
    schema: Schema, components: Mapping[str, Schema], inside: tuple[str, ...]
) -> dict[str, Any]:
    required = schema.get("required", ())
    return {
        name: _make(field, components, name, inside)
        for name, field in schema.get("properties", {}).items()
        if name in required or _is_telling(name, field)
    }


def _is_telling(name: str, field: Schema) -> bool:
    return name == REF or field.get("default") is not None or bool(field.get("examples"))


def _make_array(
    schema: Schema, components: Mapping[str, Schema], name: str, inside: tuple[str, ...]
) -> list[Any]:
    if "prefixItems" in schema:
        return [_make(item, components, name, inside) for item in schema["prefixItems"]]
    item = schema.get("items")
    if not item or _choose([item], inside) is not item:
        return []
    return [_make(item, components, name, inside)] * max(1, schema.get("minItems", 1))


def _make_plain(schema: Schema, name: str) -> Any:
    match schema.get("type"):
        case "string":
            return _make_string(schema, name)
        case "integer" | "number":
            return _make_number(schema)
        case "boolean":
            return True
    return None


def _make_string(schema: Schema, name: str) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    return name.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _make_number(schema: Schema) -> int | float:
    low: int | float = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    high: int | float = schema.get("maximum", 1)
    return max(low, min(1, high))

"""Schemas as people read them: a table of fields, a type in a few words, a bit of prose."""

import json
import re
from html import escape
from typing import Any

from server.catalog.schemas import PREFIX, Schema, Schemas

_CODE = re.compile(r"`([^`]+)`")

_RANGES = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " keys"),
)
_UNBOUNDED = 2**53 - 1
"""As far as JavaScript counts; no reader wants to know."""


def write_prose(text: str) -> str:
    """Paragraphs, with `code` where backticks say so; everything else is taken literally."""
    blocks = write_line(text).split("\n\n")
    return "".join(f"<p>{block}</p>" for block in blocks if block.strip())


def write_line(text: str) -> str:
    """The same within a line."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def write_json(value: Any) -> str:
    """An example, indented."""
    return escape(json.dumps(value, indent=2, ensure_ascii=False))


def write_shape(schema: Schema, schemas: Schemas) -> str:
    """An object as a table of its fields, anything else as its type."""
    shape = schemas.resolve(schema)
    if "properties" not in shape:
        return f"<p>{write_type(shape)}{write_notes(shape)}</p>"
    required = shape.get("required", ())
    rows = (
        f"<tr><th><code>{escape(name)}{'' if name in required else '?'}</code></th>"
        f"<td>{write_type(field)}{write_notes(field)}</td></tr>"
        for name, field in shape["properties"].items()
    )
    return f"<table class='fields'>{''.join(rows)}</table>"


def write_type(schema: Schema) -> str:
    """A type in a few words; a named shape is a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(PREFIX)
        return f"<a href='#shape-{escape(name)}'>{escape(name)}</a>"
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values:
        return " | ".join(
            f"<code>{escape(json.dumps(v, ensure_ascii=False))}</code>" for v in values
        )
    if options := [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
        return " | ".join(map(write_type, options))
    match schema.get("type"):
        case "array":
            return f"list of {write_type(schema.get('items', {}))}"
        case "object":
            return _write_map(schema)
    return escape(schema.get("format") or schema.get("type") or "any")


def _write_map(schema: Schema) -> str:
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        return f"map of text to {write_type(values)}"
    return "empty object" if values is False and not schema.get("properties") else "object"


def write_notes(schema: Schema) -> str:
    """The bounds, the default and the description of a field, in small print."""
    notes = _list_bounds(schema)
    if schema.get("default") is not None:
        notes.append(f"{json.dumps(schema['default'], ensure_ascii=False)} if left out")
    if about := schema.get("description"):
        notes.append(" ".join(about.split()))
    return f" <small>{escape('; '.join(notes))}</small>" if notes else ""


def _list_bounds(schema: Schema) -> list[str]:
    inner = [schema, *schema.get("anyOf", ())]
    if isinstance(schema.get("items"), dict):
        inner.append(schema["items"])
    bounds = []
    for part in inner:
        for low, high, unit in _RANGES:
            least, most = part.get(low), part.get(high)
            if most is not None and most < _UNBOUNDED:
                bounds.append(f"{least}…{most}{unit}" if least is not None else f"≤ {most}{unit}")
            elif least is not None:
                bounds.append(f"≥ {least}{unit}")
        if "pattern" in part:
            bounds.append(f"matches {part['pattern']}")
    return bounds

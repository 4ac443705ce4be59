"""JSON schemas of everything on the wire, each shape once and under a legal name."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from server.catalog.examples import make_example
from server.catalog.kernel import ASKED, TOLD, kernel
from server.catalog.wording import list_told
from server.contract import Namespace

Schema = dict[str, Any]

PREFIX = "#/components/schemas/"

_PATH = re.compile(r"\w+(?:\.\w+)+")


class WireSchema(GenerateJsonSchema):
    """Pydantic's schemas, without what documents have no use for or refuse."""

    def normalize_name(self, name: str) -> str:
        """`Page[Message]` as `PageMessage`; of two `Settings`, one is `Accounts_Settings`."""
        short = _PATH.sub(_name_by_noun, re.sub(r":\d+", "", name))
        return re.sub(r"[^\w.\-]", "", short)

    def tagged_union_schema(self, schema: Any) -> Schema:
        """AsyncAPI knows no discriminator with a mapping."""
        union = super().tagged_union_schema(schema)
        union.pop("discriminator", None)
        return union

    def field_is_required(self, field: Any, total: bool) -> bool:
        """An answer is sent whole, so every key is there, with or without a default."""
        if self.mode == "serialization":
            return not field.get("serialization_exclude_if")
        return super().field_is_required(field, total)

    def field_title_should_be_set(self, schema: Any) -> bool:
        """A title that repeats the name of its field is noise to readers and generators."""
        return False


@dataclass(frozen=True, slots=True)
class Schemas:
    """The named shapes, and where each type of the contract is among them."""

    components: dict[str, Schema]
    by_type: dict[tuple[Any, JsonSchemaMode], Schema]

    def asked(self, kind: Any) -> Schema:
        """The schema of what comes in: what has a default may be left out."""
        return self.by_type[kind, "validation"]

    def told(self, kind: Any) -> Schema:
        """The schema of what goes out: nothing is left out."""
        return self.by_type[kind, "serialization"]

    def resolve(self, schema: Schema) -> Schema:
        """The shape itself where the schema is a reference to it."""
        target = schema.get("$ref")
        return schema if target is None else self.components[target.removeprefix(PREFIX)]

    def example(self, schema: Schema) -> Any:
        return make_example(schema, self.components)

    def used_in(self, document: Any) -> dict[str, Schema]:
        """The named shapes that a document refers to, directly or through others, by name."""
        found: set[str] = set()
        waiting = [*find_references(document)]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(find_references(self.components[name]))
        return {name: self.components[name] for name in sorted(found)}


def collect_schemas(namespaces: Sequence[Namespace]) -> Schemas:
    """The schemas of every payload that clients send or get, the kernel's own included."""
    kinds: dict[tuple[Any, JsonSchemaMode], None] = {}
    for namespace in (kernel, *namespaces):
        for call in (*namespace.events.values(), *namespace.routes.values()):
            kinds[call.request, "validation"] = None
            kinds[call.response, "serialization"] = None
        for told in list_told(namespace):
            kinds[told.data, "serialization"] = None
    kinds |= dict.fromkeys((kind, "validation") for kind in ASKED)
    kinds |= dict.fromkeys((kind, "serialization") for kind in TOLD)
    by_type, whole = TypeAdapter.json_schemas(
        [(kind, mode, TypeAdapter(kind)) for kind, mode in kinds],
        ref_template=f"{PREFIX}{{model}}",
        schema_generator=WireSchema,
    )
    return Schemas(whole.get("$defs", {}), by_type)


def _name_by_noun(match: re.Match[str]) -> str:
    parts = match.group().split(".")
    noun = parts[1] if len(parts) > 2 else parts[0]
    # No class has an underscore, so this can be no other one's short name.
    return f"{noun.title().replace('_', '')}_{parts[-1]}"


def find_references(value: Any, prefix: str = PREFIX) -> Iterator[str]:
    """The names of everything under `prefix` that a document refers to, at any depth."""
    if isinstance(value, dict):
        target = value.get("$ref")
        if isinstance(target, str) and target.startswith(prefix):
            yield target.removeprefix(prefix)
        for part in value.values():
            yield from find_references(part, prefix)
    elif isinstance(value, list):
        for part in value:
            yield from find_references(part, prefix)

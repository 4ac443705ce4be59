"""The shapes on the wire: exact types, exact keys, bounded sizes."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Strict,
    StringConstraints,
)
from pydantic import Field as Bounds
from pydantic_core import PydanticCustomError, to_json

Id = Annotated[int, Bounds(ge=1, le=2**53 - 1, examples=[42])]
Seq = Annotated[int, Bounds(ge=0, le=2**53 - 1, examples=[17])]
Ref = Annotated[UUID, Strict(False), Bounds(examples=["018f3c5e-7d2a-7c3e-9b1a-3f2b8c6d4e5f"])]
Line = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
    Bounds(examples=["Anna Orlova"]),
]
"""Text in one line: a name, a title."""

Instant = Annotated[datetime, Bounds(examples=["2026-11-21T09:30:00Z"])]

FIRST_YEAR, LAST_YEAR = 1900, 2199
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _read_date(value: Any) -> date:
    try:
        day = date.fromisoformat(value if _DATE.fullmatch(value) else "")
    except (TypeError, ValueError):
        raise PydanticCustomError("date", "A date is like 2026-11-21") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise PydanticCustomError("date", "No date that far away")
    return day


def _read_moment(value: Any) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise PydanticCustomError("moment", "A moment is like 2026-11-21T09:30:00Z") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise PydanticCustomError("moment", "No moment that far away")
    return moment


Date = Annotated[date, BeforeValidator(_read_date), Bounds(examples=["2026-11-01"])]
Moment = Annotated[
    AwareDatetime, BeforeValidator(_read_moment), Bounds(examples=["2026-11-21T09:30:00Z"])
]
"""A day, and a point in time, as somebody asks for them."""

MAX_DEPTH = 16
MAX_PATH = 200
MAX_KEYS = 1000
"""Of one object: every unknown key becomes a problem to be named, which takes its time."""


class Payload(BaseModel):
    """A value on the wire: exact types, no unknown keys, never changed once made."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, from_attributes=True)

    @cached_property
    def as_json(self) -> str:
        """Made once: what one is answered, others are often told."""
        return to_json(self).decode()


Value = TypeVar("Value", bound=Payload)


# Not frozen: there is one for every message, and that would make it slower.
@dataclass(slots=True)
class Written(Generic[Value]):
    """A value whose JSON is known already."""

    as_json: str


_REF = {"client_ref"}


class Change(Payload):
    """A request that changes something; repeated with the same `client_ref` it is done once."""

    client_ref: Ref | None = None

    def digest(self) -> str:
        """A hash of everything but the ref: the same again, or another request."""
        return hashlib.sha256(to_json(self, exclude=_REF)).hexdigest()


class Nothing(Payload):
    """An empty object."""


class PageRequest(Payload):
    skip: Annotated[int, Bounds(ge=0, le=1_000_000)] = 0
    limit: Annotated[int, Bounds(ge=1, le=100)] = 20


Item = TypeVar("Item", bound=BaseModel)


class Page(Payload, Generic[Item]):
    """One page of a list; `total` counts the whole list."""

    items: list[Item]
    total: int
    skip: int
    limit: int

    @classmethod
    def of(cls, request: PageRequest, items: Sequence[Item], total: int) -> "Page[Item]":
        return cls(items=list(items), total=total, skip=request.skip, limit=request.limit)


@lru_cache(maxsize=64)
def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with `Z`, as every time on the wire."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Nest = dict[str, Any] | list[Any]
_NEST = (dict, list)


def find_unstorable(value: Nest, depth: int = 0) -> tuple[str, str] | None:
    """Where JSON is too deep or wide, or holds text no database takes: (path, what), or None."""
    if problem := _name_problem(value, depth):
        return "", problem
    parts: Iterable[tuple[Any, Any]] = (
        value.items() if isinstance(value, dict) else enumerate(value)
    )
    for key, part in parts:
        if isinstance(part, str):
            if "\0" in part:
                return str(key)[:MAX_PATH], "nul_character"
        elif isinstance(part, _NEST) and (found := find_unstorable(part, depth + 1)):
            path, problem = found
            return (f"{key}.{path}" if path else str(key))[:MAX_PATH], problem
    return None


def _name_problem(value: Nest, depth: int) -> str | None:
    if depth > MAX_DEPTH or (depth == MAX_DEPTH and value):
        return "too_deep"
    if isinstance(value, dict):
        if len(value) > MAX_KEYS:
            return "too_many_keys"
        if "\0" in "".join(value):
            return "nul_character"
    return None

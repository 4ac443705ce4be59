"""The kinds of notifications there are; each noun declares its own."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

StillWanted = Callable[[AsyncSession, int, Mapping[str, Any]], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Switches:
    """By which channels a kind travels."""

    in_app: bool
    push: bool
    email: bool


EVERYWHERE = Switches(in_app=True, push=True, email=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """`critical` ones travel by every channel at once, whatever people chose.

    `still_wanted` takes `(db, user_id, data)` and says whether an unread one still has to be
    brought to the person, who may have seen what it is about.
    """

    name: str
    switches: Switches
    critical: bool
    still_wanted: StillWanted | None


KINDS: dict[str, Kind] = {}


def declare_kind(
    name: str,
    *,
    in_app: bool = True,
    push: bool = True,
    email: bool = False,
    critical: bool = False,
    still_wanted: StillWanted | None = None,
) -> Kind:
    """Declare a kind, with the channels of people who chose none."""
    if name in KINDS:
        raise TypeError(f"notifications of kind {name} are declared twice")
    switches = EVERYWHERE if critical else Switches(in_app, push, email)
    KINDS[name] = kind = Kind(name, switches, critical, still_wanted)
    return kind


DIGEST = declare_kind("digest", in_app=False)
EXPORT = declare_kind("export")
declare_kind("resource")

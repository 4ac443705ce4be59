"""What people take along: everything of theirs, a portion at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from server.payload import Payload

PORTION = 100
"""Rows that are read in one unit of work."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Portion:
    """Some of it, and behind what the rest begins; None where there is no more."""

    items: Sequence[Payload]
    after: Any = None

    @classmethod
    def of(
        cls, items: Sequence[Payload], rows: Sequence[Row], place: Callable[[Row], Any]
    ) -> "Portion":
        """Of rows that were read up to `PORTION`; `place` is what a row is found behind."""
        return cls(items, place(rows[-1]) if len(rows) == PORTION else None)

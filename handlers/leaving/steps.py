"""One step of an erasure: what it is given, and where it has come."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from handlers.leaving.redaction import Gone
from server.context import Context

Cursor = list[Any]
"""Where to go on, in JSON; empty at the beginning."""


@dataclass(frozen=True, slots=True)
class Leaver:
    """Whoever is erased, in which round."""

    user_id: int
    pseudonym: int
    name: str
    email: str | None
    round: int

    @property
    def is_first_round(self) -> bool:
        return self.round == 1

    def known_by(self, chat_id: int | None) -> Gone:
        return Gone(self.user_id, self.name, chat_id)


@dataclass(frozen=True, slots=True)
class Moved:
    """So many things are gone; where to go on, or None when that was all."""

    count: int
    cursor: Cursor | None = None


Step = Callable[[Context, Leaver, Cursor], Awaitable[Moved]]

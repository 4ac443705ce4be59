"""What a run leaves behind for the checker: operations, what devices saw, and the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CHAT, FEED = "/chat", "/notifications"
NAMESPACES = (CHAT, FEED)
OK, LOST, SILENT = "ok", "lost", "silent"


@dataclass(slots=True)
class Attempt:
    """One emission. `outcome`: ok, an error's code, lost (the connection broke first), silent."""

    at: float
    connection: str
    outcome: str = ""


@dataclass(slots=True)
class Operation:
    """One thing that a person wanted, repeated with the same `client_ref` until it was settled.

    Times are seconds of the run's monotonic clock.
    """

    event: str
    person_id: int
    chat_id: int
    payload: dict[str, Any]
    attempts: list[Attempt] = field(default_factory=list)
    answer: dict[str, Any] | None = None
    settled_at: float | None = None

    @property
    def ref(self) -> str:
        return str(self.payload["client_ref"])

    @property
    def first_at(self) -> float:
        return self.attempts[0].at

    @property
    def acknowledged(self) -> bool:
        return self.answer is not None

    @property
    def failure(self) -> str | None:
        """The error that it ended with."""
        return None if self.acknowledged or not self.attempts else self.attempts[-1].outcome


class Fact(NamedTuple):
    """What matters of one push; None where it says nothing of the kind."""

    event: str
    chat_id: int
    number: int
    """The message's or marker's seq; a notification's id."""

    user_id: int
    text: str | None = None
    unread: int | None = None


class Seen(NamedTuple):
    """A push as a device saw it. A `line` goes from one reset to the next."""

    namespace: str
    line: int
    seq: int
    fact: Fact
    at: float = 0.0


class Line(NamedTuple):
    """Where a device began to follow a stream, with everything before it known or fetched."""

    namespace: str
    line: int
    start: int


@dataclass(slots=True)
class Held:
    """A message as somebody has it."""

    sender_id: int
    ref: str
    text: str
    edited: bool
    deleted: bool


@dataclass(slots=True)
class State:
    """Everything a person's devices show: messages, markers and the feed (id → read)."""

    messages: dict[int, dict[int, Held]] = field(default_factory=dict)
    read: dict[tuple[int, int], int] = field(default_factory=dict)
    delivered: dict[tuple[int, int], int] = field(default_factory=dict)
    notes: dict[int, bool] = field(default_factory=dict)


@dataclass(slots=True)
class DeviceRecord:
    name: str
    person_id: int
    state: State
    lines: list[Line] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    cursors: dict[str, int] = field(default_factory=dict)


class Row(NamedTuple):
    """A message in the database."""

    chat_id: int
    seq: int
    sender_id: int
    ref: str
    text: str
    edited: bool
    deleted: bool


class Member(NamedTuple):
    chat_id: int
    user_id: int
    read_seq: int
    delivered_seq: int
    unread: int


@dataclass(slots=True)
class Database:
    """The rows that matter; `log` and `heads` are by (user_id, namespace)."""

    messages: list[Row] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    receipts: list[tuple[int, int, str, int]] = field(default_factory=list)
    """chat_id, user_id, kind, seq."""

    heads: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)
    """seq and floor."""

    log: dict[tuple[int, str], list[tuple[int, Fact]]] = field(default_factory=dict)
    notes: dict[int, dict[int, bool]] = field(default_factory=dict)
    """By user_id, what the feed shows: id → read."""


class Counts(NamedTuple):
    """What a person is answered at the end: `unread:get` twice, and `chat:list`."""

    total: int
    chats: dict[int, int]
    listed: dict[int, int]
    notes: int


@dataclass(slots=True)
class Run:
    """One run, settled: everything the checker looks at."""

    operations: list[Operation]
    devices: list[DeviceRecord]
    database: Database
    counts: dict[int, Counts]
    fresh: dict[int, State]
    """By user_id, what somebody who starts with nothing is shown."""

    @property
    def members(self) -> Mapping[int, list[int]]:
        """The people of every chat."""
        people: dict[int, list[int]] = {}
        for member in self.database.members:
            people.setdefault(member.chat_id, []).append(member.user_id)
        return people


class Finding(NamedTuple):
    """A broken promise. `at` is when what it is about began, where that is known."""

    kind: str
    text: str
    at: float | None = None

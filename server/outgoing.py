"""What handlers send away: pushes that must arrive, signals that may be lost, jobs for later.

Each is declared once and is equal to nothing else: comparing their fields would cost every message.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from server.payload import Payload

Value = TypeVar("Value", bound=Payload)

JOB_TIMEOUT = 60.0
"""Seconds that most jobs may take."""


@dataclass(frozen=True, slots=True, eq=False)
class Push(Generic[Value]):
    """Something people must not miss: logged, numbered, replayed."""

    namespace: str
    name: str
    data: type[Value]
    about: str


@dataclass(frozen=True, slots=True, eq=False)
class Signal(Generic[Value]):
    """Something that may be lost: sent once, to whoever is there."""

    namespace: str
    name: str
    data: type[Value]
    about: str


@dataclass(frozen=True, slots=True, eq=False)
class State(Generic[Value]):
    """A signal that tells a current value, read from the database for many people at once."""

    namespace: str
    name: str
    read: Callable[[AsyncSession, Collection[int]], Awaitable[Mapping[int, Value]]]


class Queue(StrEnum):
    """Where a job waits. Each queue has workers of its own, so none waits behind another's."""

    GENERAL = "general"
    PUSH = "push"
    MAIL = "mail"
    FILES = "files"
    AI = "ai"
    EXPORTS = "exports"


@dataclass(frozen=True, slots=True, eq=False)
class Job(Generic[Value]):
    """Something to do later, in so many seconds at most; `jobs/` has the function."""

    name: str
    payload: type[Value]
    queue: Queue = Queue.GENERAL
    timeout: float = JOB_TIMEOUT


class Changed(Payload):
    """What was changed, by its ids."""

    ids: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class FollowUp:
    """What changes bring about a moment later, for many at once; the job makes it sure."""

    job: Job[Changed]
    function: Callable[[Any, Collection[int]], Awaitable[None]]
    """Takes `(ctx, ids)`."""

"""What handlers send away: pushes that must arrive, signals that may be lost, jobs for later."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from server.payload import Payload

Value = TypeVar("Value", bound=Payload)


@dataclass(frozen=True, slots=True)
class Push(Generic[Value]):
    """Something people must not miss: logged, numbered, replayed."""

    namespace: str
    name: str
    data: type[Value]
    about: str


@dataclass(frozen=True, slots=True)
class Signal(Generic[Value]):
    """Something that may be lost: sent once, to whoever is there."""

    namespace: str
    name: str
    data: type[Value]
    about: str


@dataclass(frozen=True, slots=True)
class Job(Generic[Value]):
    """Something to do later; `jobs/` has the function."""

    name: str
    payload: type[Value]

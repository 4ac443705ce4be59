"""What routes take and give besides JSON, as plain values: files, cookies, redirects, pages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Receives:
    """That a route takes a form with one file, which is read from the network as it comes.

    `limit` says how many bytes it may have, by the fields known so far; `most` is the limit
    whatever they are.
    """

    most: int
    limit: Callable[[Mapping[str, str]], int]


@dataclass(frozen=True, slots=True)
class Received:
    """A file that has come, in a place that is cleared once the request is answered.

    `name` and `type` are what the client says.
    """

    path: Path
    size: int
    sha256: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie to set; `max_age` in seconds, 0 deletes it."""

    name: str
    value: str
    path: str
    max_age: int
    same_site: str = "Strict"


@dataclass(frozen=True, slots=True)
class Reply(Generic[Out]):
    """A route's answer together with cookies."""

    body: Out
    cookies: tuple[Cookie, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    location: str
    cookies: tuple[Cookie, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """Bytes to send, in ranges where they are asked for; `lasting` ones browsers may keep."""

    path: Path
    type: str
    disposition: str
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class Html:
    """A page for people who followed a link."""

    text: str

"""The outside services a feature may use; `run.py` hands in what the settings ask for."""

import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from storage.outbox import Wake


@dataclass(frozen=True, slots=True)
class Mail:
    """A letter. A repeat carries the same `message_id`, so that it can be told from a new one.

    `unsubscribe` is a URL where a POST ends letters of its kind.
    """

    to: str
    subject: str
    text: str
    message_id: str
    html: str | None = None
    unsubscribe: str | None = None


class Mailer(Protocol):
    async def send(self, mail: Mail) -> None:
        """Hand the letter over. Raises whatever went wrong; the job is then tried again."""

    async def check(self) -> str:
        """Where letters go, for `run.py check`. Raises when they could not go there now."""


@dataclass(frozen=True, slots=True)
class PushMessage:
    """A push: on a device it replaces the one before about the same `subject`."""

    title: str
    text: str
    subject: str
    badge: int
    data: dict[str, str]


class DeviceGone(Exception):
    """The token is nobody's any more: it must be forgotten."""


class TryLater(Exception):
    """The provider has had enough for now, and says for how many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Refused(Exception):
    """The provider will never take this. The reason is a code, for operators."""


class Pusher(Protocol):
    async def send(self, token: str, message: PushMessage) -> None:
        """Hand a push over for one device.

        Raises: DeviceGone, TryLater, Refused, and whatever else went wrong: then try again.
        """

    async def check(self) -> str:
        """Where pushes go, for `run.py check`. Raises when they could not go there now."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer has cost: which model it was, and how many tokens it read and wrote."""

    model: str
    read: int
    written: int


class Writer(Protocol):
    """A language model."""

    @property
    def model(self) -> str:
        """Its name, for what is kept of its answers."""

    def write(
        self, instructions: str, question: str, *, max_tokens: int
    ) -> AsyncGenerator[str | Usage, None]:
        """The answer in pieces, as it is written, and at the end what it has cost, if that is told.

        Closing the generator ends the request: nothing more is written, nor paid for.
        Raises: TryLater, Refused, and whatever else went wrong: then try again.
        """

    async def check(self) -> str:
        """Who answers, for `run.py check`. Raises when nobody could be asked now."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """What must be remembered of one OpenID sign-in until the person comes back."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def begin(cls) -> "Attempt":
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


@dataclass(frozen=True, slots=True)
class Person:
    """Who an OpenID provider says it is."""

    subject: str
    email: str
    email_verified: bool
    name: str


class Waker(Protocol):
    def wake(self, wakes: Sequence[Wake]) -> None:
        """Tell the workers that these jobs are due. Never waits; what is lost is told again."""


class OpenIdProvider(Protocol):
    async def authorization_url(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where to send the person. Raises: Unavailable."""

    async def fetch_person(self, attempt: Attempt, code: str, redirect_uri: str) -> Person:
        """Trade the code for a checked identity. Raises: BadCredentials, Unavailable."""

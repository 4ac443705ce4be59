"""Between instances: who must hear of what, and who is there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from server.frames import Frame


# Not frozen: there are two for every message, and that would make them three times as slow.
@dataclass(slots=True)
class Notice:
    """One event for one person's sockets; `data` is JSON text. A signal has no `seq`.

    `as_of` orders signals of one name, where the last one counts. `frame` keeps what it is as a
    packet, so that it is encoded once for however many sockets.
    """

    user_id: int
    namespace: str
    event: str
    data: str
    at: datetime
    seq: int | None = None
    as_of: int | None = None
    frame: Frame | None = field(default=None, init=False, compare=False, repr=False)

    def repeats(self, other: "Notice") -> bool:
        """Whether it is the same packet, for somebody else."""
        return (
            self.data == other.data
            and self.at == other.at
            and self.event == other.event
            and self.namespace == other.namespace
            and self.seq == other.seq
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """Sessions of one person that ended: their sockets must go."""

    user_id: int
    session_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What one person was told is written anew: as it was, nobody may remember it."""

    user_id: int


Message = Notice | Cut | Rewritten


class Listener(Protocol):
    """What the bus tells the instance that holds it."""

    def receive(self, messages: Sequence[Message]) -> None:
        """Messages for people with a subscription here."""

    def recovered(self) -> None:
        """Messages may have been lost; the log knows them."""

    def departed(self, user_ids: Collection[int]) -> None:
        """The last instance that held these people died without saying so."""


class Bus(Protocol):
    """At most once, unordered: a hint. What must arrive is in the event log."""

    @property
    def name(self) -> str:
        """This instance's among its peers; empty where there are none."""

    @property
    def healthy(self) -> bool:
        """Whether others can be heard; without a listener, whether they can be told."""

    @property
    def waiting(self) -> int:
        """Messages published here and not sent yet."""

    async def start(self, listener: Listener | None = None) -> None:
        """Begin to send, and with a listener to receive: a worker has no sockets to tell."""

    async def stop(self) -> None: ...

    def publish(self, messages: Sequence[Message]) -> None:
        """Hand messages to every instance that subscribed to their people; never waits."""

    def subscribe(self, user_id: int) -> None:
        """Receive this person's messages from now on (or, Redis away, as soon as it is back)."""

    def unsubscribe(self, user_id: int) -> None: ...

    async def arrive(self, user_ids: Collection[int]) -> set[int]:
        """Note that these people have sockets here; those who were nowhere before."""

    async def depart(self, user_ids: Collection[int]) -> set[int]:
        """Note that their last sockets here have gone; those who are nowhere now."""

    async def find_peer(self, name: str) -> str | None:
        """The URL of the living instance of this name, or "" if it has none; None if there is none."""

    async def find_online(self, user_ids: Collection[int]) -> set[int]: ...

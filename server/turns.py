"""In which order one client's events have their turn."""

import asyncio

from server.contract import Event
from server.transport import Ask


class Turns:
    """What one client asked and has not been answered yet, in its order."""

    __slots__ = ("batched", "finished", "running", "unanswered", "waiting")

    def __init__(self) -> None:
        # Mostly empty, and there is one for each namespace of each client: a deque takes 600 bytes.
        self.waiting: list[Ask] = []
        self.running: asyncio.Task[None] | None = None
        self.batched: Event | None = None
        """Of which event so many are `unanswered` that stand in line for a batch."""

        self.unanswered = 0
        self.finished: asyncio.Future[None] | None = None
        """Somebody waits until none is."""

    def may_join(self, event: Event) -> bool:
        """Neighbours of one batched event may run at once: a batch keeps their order.

        No more of them than it takes: the line is not one client's.
        """
        return self.unanswered < event.batch and self.batched in (event, None)

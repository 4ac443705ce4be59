"""One socket's place in its stream: every push once, in order, whatever gets lost on the way."""

import asyncio
import contextvars
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from server import metrics
from server.bus import Notice
from server.frames import Frame
from server.log import get_logger
from server.transport import Client, event_frame

if TYPE_CHECKING:
    from server.delivery import Delivery

log = get_logger(__name__)

MAX_WAITING = 64
GAP_PATIENCE = 0.03
"""Seconds to wait for what another instance may publish a moment later, before reading the log."""

DRAIN_TIMEOUT = 60.0


class Follower(Protocol):
    """Somebody who follows one person's stream in one namespace."""

    namespace: str

    def offer(self, notice: Notice) -> None: ...

    def behind(self, head: int) -> None:
        """The stream has got as far as `head`, as far as is known."""


@dataclass(slots=True)
class Start:
    """Where a stream is to be followed from; see `stream:ready` on the wire."""

    head: int
    after: int
    epoch: str
    reset: bool


class Feed:
    """A socket's place in its stream: the cursor, and one way to catch up for every cause.

    Joining, a gap between live events and a tail that the bus lost all end in the same loop: read
    the log from the cursor until nothing newer is known. It has no `await` between its last look
    at what is known and its end, so nothing can slip between replay and live.
    """

    def __init__(self, client: Client, delivery: "Delivery") -> None:
        self.namespace = client.namespace
        self._client = client
        self._wire = client.wire
        self._delivery = delivery
        self._started = False
        self._last = 0
        self._known = 0
        self._early: dict[int, Notice] = {}
        self._as_of: dict[str, int] = {}
        self._catching_up: asyncio.Task[None] | None = None

    def start(self, start: Start) -> None:
        """Go on from here; what was heard while `start` was being found out is not forgotten."""
        self._started = True
        self._last = start.after
        self._known = max(self._known, start.head)
        if self._known > self._last and not self._recall():
            self._catch_up("join", 0)

    def _recall(self) -> bool:
        """Send what is remembered; whether that is all there is."""
        known = self._delivery.recall(self._client.user.id, self.namespace, self._last)
        if not known or known[-1].seq != self._known:
            return False
        self._send_all(known)
        metrics.catch_ups.labels("join").inc()
        metrics.catch_up_seconds.observe(0)
        metrics.catch_up_rows.observe(len(known))
        return True

    def stop(self) -> None:
        if self._catching_up is not None:
            self._catching_up.cancel()

    def offer(self, notice: Notice) -> None:
        seq = notice.seq
        if seq is None:
            self._signal(notice)
            return
        if seq <= self._last:
            return
        if seq > self._known:  # noqa: PLR1730 - for each of hundreds, and a call costs more
            self._known = seq
        if not self._started:
            return
        if self._catching_up is None and seq == self._last + 1:
            self._send(notice, "live")
            if self._early:
                self._send_early()
            return
        if len(self._early) < MAX_WAITING:
            self._early[seq] = notice
        self._catch_up("gap", GAP_PATIENCE)

    def _signal(self, notice: Notice) -> None:
        if notice.as_of is not None:
            if notice.as_of < self._as_of.get(notice.event, 0):
                return
            self._as_of[notice.event] = notice.as_of
        if self._started:
            self._wire.post(notice.frame or _encode(notice), may_be_dropped=True)
            self._delivery.told["signal"] += 1

    def behind(self, head: int) -> None:
        if self._started and head > self._known:
            self._known = head
            self._catch_up("tail", GAP_PATIENCE)

    def _send(self, notice: Notice, kind: str) -> None:
        self._wire.post(notice.frame or _encode(notice))
        self._last = notice.seq or self._last
        self._delivery.told[kind] += 1

    def _send_all(self, notices: Sequence[Notice]) -> None:
        """What is replayed leaves as one."""
        self._wire.post_all([notice.frame or _encode(notice) for notice in notices])
        self._last = notices[-1].seq or self._last
        self._delivery.told["replayed"] += len(notices)

    def _send_early(self) -> None:
        while (notice := self._early.pop(self._last + 1, None)) is not None:
            self._send(notice, "live")

    def _catch_up(self, cause: str, patience: float) -> None:
        if self._catching_up is None:
            # Nobody's request: it must not carry the id of the one that happened to start it.
            self._catching_up = asyncio.create_task(
                self._run(cause, patience), context=contextvars.Context()
            )

    async def _run(self, cause: str, patience: float) -> None:
        try:
            if patience:
                await asyncio.sleep(patience)
                self._send_early()
            if self._last < self._known:
                metrics.catch_ups.labels(cause).inc()
                await self._replay()
            self._early = {seq: n for seq, n in self._early.items() if seq > self._last}
        except Exception as error:
            # The next check of the tail tries again.
            log.warning("delivery.catch_up_failed", error=type(error).__name__)
            self._known = self._last
        finally:
            self._catching_up = None

    async def _replay(self) -> None:
        rows = 0
        with metrics.catch_up_seconds.time():
            while self._last < self._known and self._client.present:
                rows += await self._replay_page()
        metrics.catch_up_rows.observe(rows)

    async def _replay_page(self) -> int:
        stream = (self._client.user.id, self.namespace)
        page = await self._delivery.read(*stream, self._last)
        if not page or page[0].seq != self._last + 1:
            start = await self._delivery.locate(*stream, self._last, None)
            if not start.reset:
                raise LookupError("the log has a gap")
            self._last = self._known = start.head
            self._delivery.announce(self._client, start)
            return 0
        self._send_all(page)
        if self._known > self._last:
            await asyncio.wait_for(self._wire.queue.drained(), DRAIN_TIMEOUT)
        return len(page)


def _encode(notice: Notice) -> Frame:
    """As a packet; made once for all the sockets that hear it."""
    notice.frame = event_frame(
        notice.namespace, notice.event, notice.data, at=notice.at, seq=notice.seq
    )
    return notice.frame

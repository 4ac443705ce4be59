"""How long after a fault every pair talks again."""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tests.faults.record import Operation


@dataclass(slots=True)
class Recovery:
    """From `healed_at` until every chat has had a send, begun after it, arrive on the other side."""

    healed_at: float
    waiting: set[int]
    over_at: float | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def seconds(self) -> float | None:
        return None if self.over_at is None else self.over_at - self.healed_at

    async def wait(self, patience: float) -> None:
        """Until it is over, or so many seconds are."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), patience)


@dataclass(slots=True)
class Progress:
    """Which sends have been acknowledged and have arrived."""

    clock: Callable[[], float]
    chat_ids: Collection[int] = ()
    _begun: dict[str, Operation] = field(default_factory=dict)
    _arrived: set[str] = field(default_factory=set)
    _open: list[Recovery] = field(default_factory=list)

    def start(self) -> Recovery:
        recovery = Recovery(self.clock(), set(self.chat_ids))
        self._open.append(recovery)
        return recovery

    def begin(self, operation: Operation) -> None:
        self._begun[operation.ref] = operation

    def arrive(self, ref: str) -> None:
        """A device of the other person has it."""
        if ref in self._begun:
            self._arrived.add(ref)
            self._check(self._begun[ref])

    def acknowledge(self, operation: Operation) -> None:
        self._check(operation)

    def _check(self, operation: Operation) -> None:
        if not operation.acknowledged or operation.ref not in self._arrived:
            return
        self._begun.pop(operation.ref, None)
        self._arrived.discard(operation.ref)
        for recovery in list(self._open):
            if operation.first_at >= recovery.healed_at:
                recovery.waiting.discard(operation.chat_id)
                if not recovery.waiting:
                    recovery.over_at = self.clock()
                    recovery.over.set()
                    self._open.remove(recovery)

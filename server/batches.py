"""Hot events: whatever arrives while one transaction commits goes into the next, together."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any, Protocol

import structlog

from server.calls import Request, dump, full_name, guarded, perform, time_left, translate
from server.context import Caller, Context, new_unit
from server.contract import Asked, Event, Namespace
from server.errors import Error, Unavailable
from server.runtime import Runtime
from server.work import Unit, run_unit
from storage.database import SLOW

MAX_WAITING = 5000
"""Requests that may wait for their batch before more are answered `unavailable`."""

AT_ONCE = 2
"""Batches of one event on their way at the same time."""

LEAST = 3.0
"""Seconds a batch needs when its database is slow; who has less left would cut it off for all."""


class Asker(Protocol):
    """Whoever waits for the answer to a batched event."""

    caller: Caller
    came_at: float

    @property
    def name(self) -> object:
        """Equal for those who are to be answered one after the other."""

    async def admit(self) -> Request:
        """The request, if it is let in. Raises: why it is not."""

    def settle(self, answer: str | Error) -> None:
        """Take the answer; called once, whatever happens. Never raises."""


class Batches:
    """Every event's way to its answer: alone in a unit of work, or together with others."""

    def __init__(self, runtime: Runtime, namespaces: Iterable[Namespace]) -> None:
        self._runtime = runtime
        self._lines = {
            (event.namespace, event.name): Line(runtime, event)
            for namespace in namespaces
            for event in namespace.events.values()
            if event.batch
        }

    def ask(self, event: Event, asker: Asker) -> None:
        self._lines[event.namespace, event.name].ask(asker)

    async def finish(self, timeout: float) -> None:
        """Let all that has joined a line be answered."""
        running = [task for line in self._lines.values() for task in line.running]
        if running:
            await asyncio.wait(running, timeout=timeout)

    async def perform(self, event: Event, request: Request) -> str | Error:
        """Answer a request that was let in already."""
        if not event.batch:
            return dump(await perform(self._runtime, request))
        admitted = _Admitted(request)
        self.ask(event, admitted)
        return await admitted.answer


class Line:
    """Those who wait for one batched event.

    A second batch is on its way beside the first when it is full, or the first is slow: the
    process works on one while the database works on the other. Nobody is in both, so each is
    answered in order.
    """

    def __init__(self, runtime: Runtime, event: Event) -> None:
        self._runtime = runtime
        self._event = event
        self._name = full_name(event)
        self._waiting: deque[Asker] = deque()
        self._served: set[object] = set()
        self._last_begun = 0.0
        self._next_look: asyncio.TimerHandle | None = None
        self.running: set[asyncio.Task[None]] = set()

    def ask(self, asker: Asker) -> None:
        """Join the next batch."""
        if len(self._waiting) >= MAX_WAITING:
            asker.settle(Unavailable(retry_after=1))
            return
        self._waiting.append(asker)
        self._begin()

    def _begin(self) -> None:
        if len(self.running) == AT_ONCE:
            return
        if self._are_enough(beside=len(self.running)):
            self.running.add(asyncio.create_task(self._run()))
        else:
            self._look_later()

    def _look_later(self) -> None:
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(SLOW, self._look_again)

    def _look_again(self) -> None:
        self._next_look = None
        if self._waiting:
            self._begin()

    def _are_enough(self, *, beside: int) -> bool:
        """Whether those who wait are worth a batch beside so many others: small ones cost more."""
        if not beside:
            return bool(self._waiting)
        is_slow = monotonic() >= self._last_begun + SLOW
        return is_slow or len(self._waiting) >= self._event.batch

    async def _run(self) -> None:
        # Nobody's request yet: whoever came first is one of many.
        structlog.contextvars.clear_contextvars()
        try:
            while self._are_enough(beside=len(self.running) - 1) and (askers := self._take()):
                names = {asker.name for asker in askers}
                self._served |= names
                self._last_begun = monotonic()
                try:
                    await self._serve(askers)
                finally:
                    self._served -= names
                # The answers leave before the next ones are looked at, and whoever came joins those.
                await asyncio.sleep(0)
        finally:
            # Without waiting: whoever asks from now on must begin another one.
            self.running.difference_update({asyncio.current_task()})
            if self._waiting:
                # Too few for another one yet, or waiting for answers before theirs.
                self._look_later()

    def _take(self) -> list[Asker]:
        """The next ones, but for those who are served just now; they keep their places."""
        taken: list[Asker] = []
        passed: list[Asker] = []
        while self._waiting and len(taken) < self._event.batch:
            asker = self._waiting.popleft()
            (passed if asker.name in self._served else taken).append(asker)
        self._waiting.extendleft(reversed(passed))
        return taken

    async def _serve(self, askers: Sequence[Asker]) -> None:
        admitted = [await self._admit(asker) for asker in askers]
        # Whoever is turned away waits for the answers before theirs: a client's are in order.
        requests = [one for one in admitted if isinstance(one, Request)]
        answers = iter(await self._answer(requests) if requests else ())
        for asker, one in zip(askers, admitted, strict=True):
            asker.settle(one if isinstance(one, Error) else next(answers))

    async def _admit(self, asker: Asker) -> Request | Error:
        if time_left(asker.came_at) < LEAST:
            return Unavailable(retry_after=1)
        try:
            return await asker.admit()
        except Exception as error:
            with structlog.contextvars.bound_contextvars(request_id=asker.caller.request_id):
                return translate(self._name, error)

    async def _answer(self, requests: Sequence[Request]) -> list[str | Error]:
        caller = requests[0].caller if len(requests) == 1 else Caller()
        with structlog.contextvars.bound_contextvars(
            request_id=caller.request_id,
            request_ids=[request.caller.request_id for request in requests],
        ):
            answers = await guarded(
                f"{self._name} batch",
                lambda: self._perform(requests, caller),
                timeout=min(request.left for request in requests),
            )
        if not isinstance(answers, Error):
            return answers
        if len(requests) == 1 or (answers.retryable and answers.code != "internal"):
            return [answers] * len(requests)
        # One of them spoiled it for all; alone, each gets what it deserves.
        return [(await self._answer([request]))[0] for request in requests]

    async def _perform(self, requests: Sequence[Request], caller: Caller) -> list[str | Error]:
        asked: list[Asked[Any]] = [
            Asked(request.user, request.payload) for request in requests if request.user
        ]
        now = self._runtime.clock()

        async def run(unit: Unit) -> list[Any]:
            ctx = Context(self._runtime, unit, now, caller)
            answers: list[Any] = await self._event.function(ctx, asked)
            if len(answers) != len(asked):
                raise TypeError(f"{self._event.name} must answer every request")
            return answers

        answers = await run_unit(lambda: new_unit(self._runtime, now, caller, None), run)
        return [answer if isinstance(answer, Error) else dump(answer) for answer in answers]


class _Admitted:
    """A request that was let in before it joined the line, and comes after nobody."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.caller = request.caller
        self.came_at = request.came_at
        self.answer: asyncio.Future[str | Error] = asyncio.get_running_loop().create_future()

    @property
    def name(self) -> object:
        return self

    async def admit(self) -> Request:
        return self._request

    def settle(self, answer: str | Error) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

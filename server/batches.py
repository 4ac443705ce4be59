"""Hot events: whatever arrives while one transaction commits goes into the next, together."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import structlog

from server.calls import Request, dump, full_name, guarded, perform
from server.context import Caller, Context, new_unit
from server.contract import Asked, Event, Namespace
from server.errors import Error, Unavailable
from server.runtime import Runtime
from server.work import Unit, run_unit

MAX_WAITING = 5000
"""Requests that may wait for their batch before more are answered `unavailable`."""

LEAST = 3.0
"""Seconds a batch needs when its database is slow; who has less left would cut it off for all."""

Waiting = tuple[Request, "asyncio.Future[str | Error]"]


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

    def ask(self, event: Event, request: Request) -> "asyncio.Future[str | Error]":
        return self._lines[event.namespace, event.name].ask(request)

    async def perform(self, event: Event, request: Request) -> str | Error:
        if event.batch:
            return await self.ask(event, request)
        return dump(await perform(self._runtime, request))


class Line:
    """Those who wait for one batched event; one batch is on its way at a time."""

    def __init__(self, runtime: Runtime, event: Event) -> None:
        self._runtime = runtime
        self._event = event
        self._waiting: deque[Waiting] = deque()
        self._running: asyncio.Task[None] | None = None

    def ask(self, request: Request) -> "asyncio.Future[str | Error]":
        """Join the next batch; the future brings the answer, never an exception."""
        future: asyncio.Future[str | Error] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= MAX_WAITING:
            future.set_result(Unavailable(retry_after=1))
            return future
        self._waiting.append((request, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        # Nobody's request yet: whoever came first is one of many.
        structlog.contextvars.clear_contextvars()
        while self._waiting:
            batch: list[Waiting] = []
            while self._waiting and len(batch) < self._event.batch:
                request, future = self._waiting.popleft()
                if request.left >= LEAST:
                    batch.append((request, future))
                elif not future.done():
                    future.set_result(Unavailable(retry_after=1))
            if batch:
                answers = await self._answer([request for request, _ in batch])
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
        self._running = None

    async def _answer(self, requests: Sequence[Request]) -> list[str | Error]:
        caller = requests[0].caller if len(requests) == 1 else Caller()
        with structlog.contextvars.bound_contextvars(
            request_id=caller.request_id,
            request_ids=[request.caller.request_id for request in requests],
        ):
            answers = await guarded(
                f"{full_name(self._event)} batch",
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

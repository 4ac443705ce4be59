"""The one door for socket events: in order, within limits, and always with an answer."""

import asyncio
import itertools
import random
from collections.abc import Mapping
from time import monotonic
from typing import Annotated, Any

import structlog
from pydantic import Field as Bounds

from server import metrics
from server.auth import Claims
from server.batches import Batches
from server.calls import (
    Request,
    admit,
    authenticate,
    count_call,
    dump,
    full_name,
    guarded,
    perform,
    time_left,
    validate,
)
from server.context import Caller
from server.contract import RESERVED, Event, Namespace
from server.delivery import Delivery
from server.errors import (
    Error,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    TokenExpired,
    Unauthenticated,
    UnknownEvent,
)
from server.limits import Rate
from server.log import get_logger, is_debugging
from server.packets import UNREADABLE
from server.payload import Nothing, Payload, Seq
from server.runtime import Runtime
from server.transport import (
    Ask,
    Client,
    Connection,
    event_frame,
    refusal_frame,
)
from server.turns import Turns
from storage.database import is_unavailable

log = get_logger(__name__)

JOIN_PATIENCE = 10.0
"""Seconds in which a join is tried again when the database does not answer."""

MAX_TURNS = 1000
"""Events of one client that may wait for their turn."""

TURNS_AT_ONCE = 8

REFRESH = "token:refresh"
REFRESH_RATE = Rate(20, per=60)
EXPIRED = "token:expired"
STOP_TIMEOUT = 3.0
GRACE = 60.0
"""Seconds in which an expired token must be renewed."""


class ConnectAuth(Payload):
    """What a client sends when it joins a namespace."""

    token: Annotated[str, Bounds(max_length=4096)]
    after: Seq | None = None
    epoch: Annotated[str, Bounds(max_length=64)] | None = None


class RefreshToken(Payload):
    """A newer access token of the same sign-in."""

    token: Annotated[str, Bounds(max_length=4096)]


class Turn:
    """One request of a client that stands in line for a batch."""

    __slots__ = ("_dispatch", "ask", "caller", "came_at", "client", "event")

    def __init__(self, dispatch: "Dispatch", client: Client, event: Event, ask: Ask) -> None:
        self._dispatch = dispatch
        self.client = client
        self.event = event
        self.ask = ask
        self.came_at = ask.came_at
        self.caller = client.connection.caller.ask_again()

    @property
    def name(self) -> Client:
        return self.client

    async def admit(self) -> Request:
        return await self._dispatch.admit(self.client, self.event, self.ask, self.caller)

    def settle(self, answer: str | Error) -> None:
        self._dispatch.settle(self, answer)


class Dispatch:
    def __init__(
        self,
        runtime: Runtime,
        namespaces: Mapping[str, Namespace],
        delivery: Delivery,
        batches: Batches,
    ) -> None:
        self._runtime = runtime
        self._namespaces = namespaces
        self._delivery = delivery
        self._batches = batches
        self._tasks: set[asyncio.Task[None]] = set()

    # -- Called by the transport; none of these waits --

    def enter(self, client: Client, auth: Any) -> None:
        client.turns.running = self._start(self._enter(client, auth))

    def ask(self, client: Client, ask: Ask) -> None:
        turns: Turns = client.turns
        if len(turns.waiting) + turns.unanswered >= MAX_TURNS:
            metrics.rate_limited.labels("turns").inc()
            self._answer(client, ask, RateLimited(retry_after=1))
            return
        if turns.running is None and not turns.waiting:
            event = self._find_event(client, ask)
            if event is not None and turns.may_join(event):
                self._stand_in_line(client, event, ask)
                return
        turns.waiting.append(ask)
        self._go_on(client)

    def leave(self, client: Client) -> None:
        client.turns.waiting.clear()
        self._delivery.leave(client)

    async def finish(self, client: Client) -> None:
        turns: Turns = client.turns
        while turns.running is not None or turns.unanswered:
            if turns.running is not None:
                await asyncio.wait([turns.running])
            else:
                turns.finished = turns.finished or asyncio.get_running_loop().create_future()
                await asyncio.shield(turns.finished)

    async def stop(self) -> None:
        """Let what has begun be finished and answered."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT)
        await self._batches.finish(STOP_TIMEOUT)

    def _start(self, work: Any) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- Joining --

    async def _enter(self, client: Client, auth: Any) -> None:
        connection = client.connection
        structlog.contextvars.bind_contextvars(request_id=connection.caller.request_id)
        connection.sign_in_by = None
        # Each question to the database has its timeout, and after some seconds none is asked again.
        outcome = await guarded("connect", lambda: self._join_patiently(client, auth), timeout=None)
        if isinstance(outcome, Error):
            if connection.identity is None:
                connection.expect_sign_in()
            locale = client.connection.caller.locale
            client.send(refusal_frame(client.namespace, outcome, locale))
            client.connection.drop(client)
            self._delivery.leave(client)
            for ask in client.turns.waiting:
                self._answer(client, ask, Unauthenticated())
            client.turns.waiting.clear()
            return
        await self._take_turns(client)

    async def _join_patiently(self, client: Client, raw: Any) -> None:
        """Join as soon as it can be done: official clients do not try a refused join again."""
        if client.namespace not in self._namespaces:
            raise NotFound
        if raw is None:
            raise Unauthenticated
        auth = validate(ConnectAuth, raw)
        give_up = monotonic() + JOIN_PATIENCE
        for attempt in itertools.count():
            try:
                await self._join(client, auth)
            except Exception as error:
                self._delivery.leave(client)
                if not is_unavailable(error) or monotonic() > give_up:
                    raise
            else:
                return
            pause = min(2, 0.1 * 2**attempt)
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter

    async def _join(self, client: Client, auth: ConnectAuth) -> None:
        if not client.present:
            # Gone meanwhile.
            raise Unauthenticated
        await self._authenticate(client.connection, auth.token)
        await self._delivery.join(client, auth.after, auth.epoch)

    async def _authenticate(self, connection: Connection, token: str) -> None:
        """Make the token the connection's; once known, the same person must go on with it."""
        if token == connection.token and not connection.expired:
            return
        identity, claims = await authenticate(self._runtime, token)
        known = connection.identity
        if known and (known.id, known.session_id) != (identity.id, identity.session_id):
            raise Forbidden
        connection.belong_to(identity)
        connection.token = token
        connection.expired = False
        self._limit(connection, claims)

    def _limit(self, connection: Connection, claims: Claims) -> None:
        left = (claims.expires_at - self._runtime.clock()).total_seconds()
        connection.limit_to(max(0, left), lambda: self._expire(connection))

    def _expire(self, connection: Connection) -> None:
        connection.expired = True
        for client in connection.clients.values():
            frame = event_frame(client.namespace, EXPIRED, "{}", at=self._runtime.clock())
            client.send(frame)
        connection.limit_to(GRACE, lambda: connection.kick("token_expired"))

    # -- Asking --

    def _find_event(self, client: Client, ask: Ask) -> Event | None:
        return self._namespaces[client.namespace].events.get(ask.name)

    def _go_on(self, client: Client) -> None:
        """Let the next one have its turn, unless somebody has it."""
        turns: Turns = client.turns
        if turns.running is None and self._is_next_ready(client):
            turns.running = self._start(self._take_turns(client))

    def _is_next_ready(self, client: Client) -> bool:
        turns: Turns = client.turns
        if not (turns.waiting and client.present):
            return False
        event = self._find_event(client, turns.waiting[0])
        if event is not None and event.batch:
            return turns.may_join(event)
        return turns.unanswered == 0

    async def _take_turns(self, client: Client) -> None:
        turns: Turns = client.turns
        try:
            for number in itertools.count(1):
                if not self._is_next_ready(client):
                    break
                await self._take_turn(client, turns.waiting.pop(0))
                if number % TURNS_AT_ONCE == 0:
                    # A refusal waits for nothing: a thousand of them would hold up everybody.
                    await asyncio.sleep(0)
        except Exception:
            # A mistake of ours: the client starts anew instead of waiting for ever.
            log.exception("dispatch.failed")
            client.connection.refuse("internal")
        finally:
            turns.running = None

    async def _take_turn(self, client: Client, ask: Ask) -> None:
        event = self._find_event(client, ask)
        if event is not None and event.batch:
            self._stand_in_line(client, event, ask)
        else:
            self._answer(client, ask, await self._take(client, event, ask))

    async def _take(self, client: Client, event: Event | None, ask: Ask) -> str | Error:
        caller = _new_caller(client)
        if ask.name == REFRESH:
            return await guarded(REFRESH, lambda: self.renew(client, ask))
        if event is None or ask.name in RESERVED:
            return UnknownEvent()

        async def work() -> str:
            request = await self.admit(client, event, ask, caller)
            return dump(await perform(self._runtime, request))

        # Whoever waited long for a turn, behind others that waited in vain, is answered all the same.
        left = time_left(ask.came_at)
        return await guarded(full_name(event), work, at_least=event.at_least, timeout=left)

    async def admit(self, client: Client, event: Event, ask: Ask, caller: Caller) -> Request:
        if client.connection.expired:
            raise TokenExpired
        return await admit(
            self._runtime, event, caller, client.user, _payload(ask), came_at=ask.came_at
        )

    def _stand_in_line(self, client: Client, event: Event, ask: Ask) -> None:
        turns: Turns = client.turns
        turns.batched = event
        turns.unanswered += 1
        self._batches.ask(event, Turn(self, client, event, ask))

    def settle(self, turn: Turn, answer: str | Error) -> None:
        """Answer one that stood in line."""
        client, turns = turn.client, turn.client.turns
        if is_debugging():
            structlog.contextvars.bind_contextvars(request_id=turn.caller.request_id)
        count_call(full_name(turn.event), answer)
        try:
            self._answer(client, turn.ask, answer)
        except Exception:
            log.exception("dispatch.failed")
            client.connection.refuse("internal")
        turns.unanswered -= 1
        if turns.unanswered == 0:
            turns.batched = None
            if turns.finished is not None:
                turns.finished.set_result(None)
                turns.finished = None
        self._go_on(client)

    async def renew(self, client: Client, ask: Ask) -> str:
        """Answer `token:refresh`."""
        await self._runtime.limits.hit(REFRESH_RATE, REFRESH, str(client.user.id))
        request = validate(RefreshToken, _payload(ask))
        await self._authenticate(client.connection, request.token)
        return dump(Nothing())

    def _answer(self, client: Client, ask: Ask, answer: str | Error) -> None:
        if not isinstance(answer, Error):
            client.answer(ask.ack, f'{{"data":{answer}}}')
        elif ask.ack is not None:
            client.answer(ask.ack, f'{{"error":{answer.json(_locale(client))}}}')
        elif answer.code in ("invalid", "unknown_event"):
            # Nobody would ever hear of this mistake otherwise.
            client.connection.refuse(answer.code)


def _new_caller(client: Client) -> Caller:
    """Each request has an id of its own, which its lines in the log carry from here on."""
    caller = client.connection.caller.ask_again()
    structlog.contextvars.bind_contextvars(request_id=caller.request_id)
    return caller


def _payload(ask: Ask) -> Any:
    if ask.args == [UNREADABLE]:
        raise Invalid.of("", "unreadable", "This nests too deep or holds no real number or text")
    return ask.args[0] if len(ask.args) == 1 else None


def _locale(client: Client) -> str:
    identity = client.connection.identity
    return identity.locale if identity else client.connection.caller.locale

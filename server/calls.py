"""What happens to every request, from a socket or over HTTP, until its answer is known."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from time import monotonic, perf_counter
from typing import Any, TypeVar

from prometheus_client import Counter
from pydantic import ValidationError
from pydantic_core import to_json

from server import metrics
from server.auth import Claims, Identity
from server.bodies import Received
from server.context import Caller, Context, new_unit
from server.contract import EVERYONE, PUBLIC, Call, Event
from server.errors import (
    Conflict,
    Error,
    Field,
    Forbidden,
    Internal,
    Invalid,
    Unauthenticated,
    Unavailable,
)
from server.log import get_logger, is_debugging
from server.payload import Change, Payload, Written, find_unstorable
from server.runtime import Runtime
from server.work import Unit, run_unit
from storage import accounts, replies
from storage.accounts import Status
from storage.database import is_unavailable

log = get_logger(__name__)

TIMEOUT = 15.0
"""Seconds after which any request is answered `unavailable`."""

MAX_FIELDS = 20
"""Problems named in one `invalid` answer."""

Result = TypeVar("Result")
Model = TypeVar("Model", bound=Payload)


# Not frozen, as all that there is one of for every message: setting fields costs five times as much.
@dataclass(slots=True)
class Request:
    """A call that was let in: who makes it, from where, with what."""

    call: Call
    caller: Caller
    user: Identity | None
    payload: Payload
    file: Received | None = None
    came_at: float = field(default_factory=monotonic)

    @property
    def left(self) -> float:
        """Seconds in which it must be answered; none, or fewer than none, when it is too late."""
        return time_left(self.came_at)


def time_left(came_at: float) -> float:
    """Seconds in which what came then must be answered."""
    return came_at + TIMEOUT - monotonic()


async def authenticate(runtime: Runtime, token: str) -> tuple[Identity, Claims]:
    """The person behind an access token whose session still lives, and until when it is good.

    Raises: Unauthenticated, TokenExpired.
    """
    claims = runtime.tokens.read(token)
    identity = await runtime.sessions.ask(claims.session_id)
    if identity is None or identity.id != claims.user_id:
        raise Unauthenticated
    return identity, claims


async def admit(
    runtime: Runtime,
    call: Call,
    caller: Caller,
    user: Identity | None,
    raw: Any,
    *,
    came_at: float,
) -> Request:
    """Let a request in, or raise the error that says why not."""
    await let_in(runtime, call, caller, user, anybody=call.roles == PUBLIC)
    return Request(call, caller, user, validate(call.request, raw), came_at=came_at)


async def let_in(
    runtime: Runtime, call: Call, caller: Caller, user: Identity | None, *, anybody: bool
) -> None:
    """Whether this person may make this call now, whatever they ask for.

    Raises: RateLimited, Unauthenticated, Forbidden.
    """
    who = str(user.id) if user else caller.address
    await runtime.limits.hit(call.rate, full_name(call), who, shared=user is None)
    if not anybody:
        await _check_role(runtime, call, user)


async def perform(runtime: Runtime, request: Request) -> Any:
    """Run the function in its unit of work; the answer is what it returned, as JSON text.

    A repeated `client_ref` gets the first answer, in the same text but for the links in it.
    """
    call = request.call

    async def run(unit: Unit) -> Any:
        ctx = Context(runtime, unit, now, request.caller, request.user)
        if isinstance(call, Event) and isinstance(request.payload, Change):
            return await _run_once(ctx, call, request.payload)
        files = () if request.file is None else (request.file,)
        return await call.function(ctx, request.payload, *files)

    now = runtime.clock()
    return await run_unit(
        lambda: new_unit(runtime, now, request.caller, request.user, write=not call.reads), run
    )


async def _run_once(ctx: Context, event: Event, payload: Change) -> Any:
    if payload.client_ref is None:
        return await event.function(ctx, payload)
    key = (ctx.user.id, full_name(event), payload.client_ref)
    digest = payload.digest()
    before = await replies.claim_reply(ctx.db, *key, digest, ctx.now)
    if before is not None:
        if before.request_hash != digest:
            raise Conflict
        return Written(ctx.runtime.links.renew(before.answer, ctx.now))
    answer = dump(await event.function(ctx, payload))
    await replies.store_reply(ctx.db, *key, answer)
    return Written(answer)


def dump(answer: Any) -> str:
    if isinstance(answer, Written | Payload):
        return answer.as_json
    return to_json(answer).decode()


async def guarded(
    name: str,
    work: Callable[[], Awaitable[Result]],
    *,
    at_least: float = 0,
    timeout: float | None = TIMEOUT,
) -> Result | Error:
    """Whatever goes wrong becomes one of our errors, within bounded time; counted and timed.

    Without a timeout for what has bounds of its own.
    """
    started = perf_counter()
    outcome: Result | Error
    try:
        async with asyncio.timeout(timeout):
            outcome = await work()
    except Exception as error:
        outcome = translate(name, error)
    count_call(name, outcome)
    metrics.call_seconds.labels(name).observe(perf_counter() - started)
    if at_least:
        await asyncio.sleep(at_least - (perf_counter() - started))
    return outcome


def count_call(name: str, outcome: object) -> None:
    code = outcome.code if isinstance(outcome, Error) else "ok"
    _counter(name, code).inc()
    if is_debugging():
        log.debug("call", call=name, outcome=code)


@lru_cache(maxsize=4096)
def _counter(name: str, code: str) -> Counter:
    return metrics.calls.labels(name, code)


def translate(name: str, error: Exception) -> Error:
    if isinstance(error, Error):
        return error
    if is_unavailable(error):
        log.warning("call.unavailable", call=name, error=type(error).__name__)
        return Unavailable(retry_after=1)
    log.error("call.failed", call=name, exc_info=error)
    return Internal()


def validate(model: type[Model], raw: Any, *, from_strings: bool = False) -> Model:
    """The payload as its type; `from_strings` reads numbers out of a query.

    Raises: Invalid, naming what is wrong field by field.
    """
    if not isinstance(raw, dict):
        raise Invalid.of("", "object_expected", "The payload must be one JSON object")
    if found := find_unstorable(raw):
        raise Invalid.of(*found, "This is too deep or wide, or holds a NUL character")
    try:
        if from_strings:
            return model.model_validate_strings(raw, strict=False)
        return model.model_validate(raw)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise Invalid(
            fields=[
                Field(
                    path=".".join(str(part)[:100] for part in problem["loc"]),
                    code=problem["type"],
                    message=problem["msg"],
                )
                for problem in problems[:MAX_FIELDS]
            ]
        ) from None


def full_name(call: Call) -> str:
    return f"{call.namespace} {call.name}" if isinstance(call, Event) else call.name


async def _check_role(runtime: Runtime, call: Call, user: Identity | None) -> None:
    if user is None:
        raise Unauthenticated
    if user.role not in call.roles:
        raise Forbidden
    if user.pending and call.roles != EVERYONE:
        async with runtime.database.session(write=False) as db:
            now = await accounts.get_user(db, user.id)
        # Approval must not ask for a new sign-in.
        if now is None or now.status != Status.ACTIVE:
            raise Forbidden

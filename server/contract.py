"""What clients may ask and what they are told, declared once, on the function that does it."""

import inspect
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, Generic, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from sqlalchemy.ext.asyncio import AsyncSession

from server.auth import Identity
from server.bodies import File, Html, Received, Receives, Redirect, Reply
from server.context import Context
from server.errors import Error
from server.limits import Rate
from server.outgoing import JOB_TIMEOUT, Changed, FollowUp, Job, Push, Queue, Signal, State
from server.payload import Change, Payload, Written
from server.portions import Portion
from server.runtime import Runtime
from storage.accounts import Role

PUBLIC: frozenset[Role] = frozenset()
"""For routes that ask for no sign-in."""

EVERYONE = frozenset(Role)
"""Any signed-in person, also one who still waits for approval."""

RESERVED = frozenset({"connect", "connect_error", "disconnect", "disconnecting"})
"""Names that Socket.IO keeps for itself; a client that sends one is refused."""

NO_JSON = (NoneType, Redirect, File | Redirect, Html)
"""What a route may return whose answer is no JSON."""

_EVENT_NAME = re.compile(r"[a-z]+(_[a-z]+)*:[a-z]+(_[a-z]+)*")
_RAISES = re.compile(r"^\s*Raises:\s*([a-z_,\s]+)\.", re.MULTILINE)

In = TypeVar("In", bound=Payload)
Value = TypeVar("Value", bound=Payload)
ReadState = Callable[[AsyncSession, Collection[int]], Awaitable[Mapping[int, Value]]]
Follow = Callable[[Context, Collection[int]], Awaitable[None]]
Start = TypeVar("Start", bound=Callable[[Runtime], Awaitable[None]])
Function = TypeVar("Function", bound=Callable[..., Awaitable[Any]])
Gather = Callable[[Context, Any], Awaitable[Portion]]


@dataclass(slots=True)
class Asked(Generic[In]):
    """One person's request among those of a batch."""

    user: Identity
    request: In


class PresenceChanged(Protocol):
    def __call__(
        self, ctx: Context, user_ids: Collection[int], *, online: bool
    ) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """What an event and a route have in common: who may ask, for what, how often."""

    name: str
    function: Callable[..., Awaitable[Any]]
    request: type[Payload]
    response: Any
    roles: frozenset[Role]
    rate: Rate
    reads: bool
    at_least: float
    about: str
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Event(Call):
    namespace: str
    batch: int


@dataclass(frozen=True, slots=True, eq=False)
class Route(Call):
    method: str
    path: str
    status: int
    in_query: bool
    signed: bool
    receives: Receives | None


@dataclass(frozen=True, slots=True)
class Export:
    """What people take along of a noun; `together` as one list, else each in a file of its own."""

    name: str
    gather: Gather
    together: bool


@dataclass(slots=True)
class Namespace:
    """The events, routes, pushes and jobs of one noun, and what people take along of it."""

    name: str
    about: str
    events: dict[str, Event] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    pushes: dict[str, Push[Any]] = field(default_factory=dict)
    signals: dict[str, Signal[Any]] = field(default_factory=dict)
    states: list[State[Any]] = field(default_factory=list)
    jobs: dict[str, Job[Any]] = field(default_factory=dict)
    exports: dict[str, Export] = field(default_factory=dict)
    on_presence: PresenceChanged | None = None
    on_start: Callable[[Runtime], Awaitable[None]] | None = None

    def on(
        self,
        name: str,
        *,
        roles: frozenset[Role],
        rate: Rate,
        reads: bool = False,
        batch: int = 0,
        at_least: float = 0,
    ) -> Callable[[Function], Function]:
        """Declare an event that clients may send, answered by the decorated function.

        The function takes `(ctx, request)` and returns the answer. With `batch` it takes up to
        that many requests at once and returns an answer or an error for each. `at_least` is how
        many seconds an answer takes, where its time would tell what the answer does not.
        """

        def declare(function: Function) -> Function:
            _check_event(name, self.events)
            request, response = _read_signature(function, batched=batch > 0)
            if roles == PUBLIC:
                raise TypeError(f"{name} needs roles: a socket always belongs to somebody")
            if not reads and not issubclass(request, Change):
                raise TypeError(f"{name} changes something, so its request must be a Change")
            self.events[name] = Event(
                name,
                function,
                request,
                response,
                roles,
                rate,
                reads,
                at_least,
                _read_about(function),
                _read_errors(function),
                self.name,
                batch,
            )
            return function

        return declare

    def route(
        self,
        method: str,
        path: str,
        *,
        roles: frozenset[Role],
        rate: Rate,
        status: int = 200,
        reads: bool = False,
        at_least: float = 0,
        in_query: bool | None = None,
        signed: bool = False,
        receives: Receives | None = None,
    ) -> Callable[[Function], Function]:
        """Declare an HTTP route.

        Its request is made of the path's variables and the JSON body, or the query of a GET (and
        of whatever else says so: `in_query`). `signed` opens it to signed links too, which name
        nobody: then the context has no actor. A route that `receives` takes a form with a file
        in place of the body, and its function is `(ctx, request, file)`.
        """

        def declare(function: Function) -> Function:
            name = f"{method} {path}"
            _check_new(name, self.routes)
            request, response = _read_signature(function, batched=False, receives=bool(receives))
            self.routes[name] = Route(
                name,
                function,
                request,
                response,
                roles,
                rate,
                reads,
                at_least,
                _read_about(function),
                _read_errors(function),
                method,
                path,
                status,
                method == "GET" if in_query is None else in_query,
                signed,
                receives,
            )
            return function

        return declare

    def push(self, name: str, data: type[Value], about: str) -> Push[Value]:
        _check_event(name, self.pushes)
        self.pushes[name] = push = Push(self.name, name, data, about)
        return push

    def signal(self, name: str, data: type[Value], about: str) -> Signal[Value]:
        _check_new(name, self.signals)
        self.signals[name] = signal = Signal(self.name, name, data, about)
        return signal

    def state(
        self, name: str, data: type[Value], about: str
    ) -> Callable[[ReadState[Value]], State[Value]]:
        """Declare a signal that tells a current value, on the function that reads it.

        The function takes `(db, user_ids)` and returns each person's value. Whoever joins the
        namespace is told it, and is told again when it is refreshed.
        """

        def declare(read: ReadState[Value]) -> State[Value]:
            self.signal(name, data, about)
            state = State(self.name, name, read)
            self.states.append(state)
            return state

        return declare

    def job(
        self,
        name: str,
        payload: type[Value],
        *,
        queue: Queue = Queue.GENERAL,
        timeout: float = JOB_TIMEOUT,
    ) -> Job[Value]:
        _check_new(name, self.jobs)
        self.jobs[name] = job = Job(name, payload, queue, timeout)
        return job

    def follow_up(self, name: str, *, queue: Queue = Queue.GENERAL) -> Callable[[Follow], FollowUp]:
        """Declare what changes bring about a moment later, on the function that does it.

        The function takes `(ctx, ids)` of what was changed, does it for all of them in one unit of
        work, and may do it again.
        """

        def declare(function: Follow) -> FollowUp:
            return FollowUp(self.job(name, Changed, queue=queue), function)

        return declare

    def exported(self, name: str, *, together: bool = True) -> Callable[[Gather], Gather]:
        """Declare what a person gets of this noun who takes everything along.

        The function takes `(ctx, after)`, where `ctx.user` is that person, and returns what comes
        behind `after` (None: the first). It reads in a unit of work that ends with it.
        """

        def declare(function: Gather) -> Gather:
            _check_new(name, self.exports)
            self.exports[name] = Export(name, function, together)
            return function

        return declare

    def starting(self, function: Start) -> Start:
        """Declare what must be there before a server begins to answer; it runs at every start."""
        if self.on_start is not None:
            raise TypeError(f"{self.name} has a function for the start already")
        self.on_start = function
        return function

    def presence(self, function: PresenceChanged) -> PresenceChanged:
        """Declare what happens when people's first socket comes and when the last one goes."""
        if self.on_presence is not None:
            raise TypeError(f"{self.name} has a function for presence already")
        self.on_presence = function
        return function


def by_name(namespaces: Sequence[Namespace]) -> dict[str, Namespace]:
    named = {namespace.name: namespace for namespace in namespaces}
    if len(named) < len(namespaces):
        raise TypeError("a namespace is declared twice")
    return named


def _check_event(name: str, table: Mapping[str, Any]) -> None:
    if not _EVENT_NAME.fullmatch(name):
        raise TypeError(f"{name!r} is no event name: these are like entity:action")
    _check_new(name, table)


def _check_new(name: str, table: Mapping[str, Any]) -> None:
    if name in table:
        raise TypeError(f"{name} is declared twice")


def _read_signature(
    function: Callable[..., Any], *, batched: bool, receives: bool = False
) -> tuple[type[Payload], Any]:
    hints = get_type_hints(function)
    names = list(inspect.signature(function).parameters)
    if len(names) != 2 + receives or hints.get(names[0]) is not Context:
        raise TypeError(f"{function.__qualname__} must take (ctx: Context, request)")
    if receives and hints.get(names[2]) is not Received:
        raise TypeError(f"{function.__qualname__} must take (ctx, request, file: Received)")
    request, response = hints[names[1]], hints.get("return")
    if batched:
        request, response = _unwrap_batch(function, request, response)
    if not (inspect.isclass(request) and issubclass(request, Payload)):
        raise TypeError(f"{function.__qualname__} must take a Payload")
    if get_origin(response) is Reply:
        (response,) = get_args(response)
    return request, None if response in NO_JSON else response


def _unwrap_batch(function: Callable[..., Any], request: Any, response: Any) -> tuple[Any, Any]:
    (asked,) = get_args(request) or (None,)
    (either,) = get_args(response) or (None,)
    if get_origin(request) is not Sequence or get_origin(asked) is not Asked:
        raise TypeError(f"{function.__qualname__} must take a Sequence[Asked[…]]")
    if get_origin(either) not in (Union, UnionType) or Error not in get_args(either):
        raise TypeError(f"{function.__qualname__} must return a list[… | Error]")
    (answer,) = (
        option
        for option in get_args(either)
        if option is not Error and get_origin(option) is not Written
    )
    return get_args(asked)[0], answer


def _read_about(function: Callable[..., Any]) -> str:
    text = inspect.getdoc(function)
    if not text:
        raise TypeError(f"{function.__qualname__} must have a docstring")
    return _RAISES.sub("", text).strip()


def _read_errors(function: Callable[..., Any]) -> tuple[str, ...]:
    match = _RAISES.search(inspect.getdoc(function) or "")
    codes = tuple(re.findall(r"[a-z_]+", match.group(1))) if match else ()
    if unknown := set(codes) - set(Error.known):
        raise TypeError(f"{function.__qualname__} raises unknown errors: {sorted(unknown)}")
    return codes

"""How documents put what the contract declares: who may ask, how often, what can go wrong."""

from typing import Any

from server import texts
from server.contract import EVERYONE, PUBLIC, Call, Event, Namespace, Route
from server.errors import Error
from server.limits import Rate
from server.outgoing import Push, Signal
from server.payload import Change
from storage.accounts import Role

Told = Push[Any] | Signal[Any]

TITLE = "Emotrack"
VERSION = "1.0.0"
"""Of the contract, not of the server: its first number changes when clients must."""

ABOUT = """One Socket.IO connection carries everything as named, typed, acknowledged events; HTTP
has signing in, files, and the same events for callers without a socket.

What must not be missed is a push: it is logged with the change it tells of, numbered per person
and namespace, and sent again to whoever says where they stopped. A signal is sent once, to whoever
is there, and may be lost.

Every answer is `{"data": …}` or `{"error": …}`. A request that changes something takes a
`client_ref`: repeated with the same one it is done once and gets the first answer again. Over HTTP
each answer has an `X-Request-Id`, by which operators find what became of the request."""


def is_spoken(namespace: Namespace) -> bool:
    """Whether there is anything to do in this namespace over a socket."""
    return bool(namespace.events or namespace.pushes or namespace.signals)


def slug(name: str) -> str:
    """A namespace's name without its slash."""
    return name.strip("/")


def first_sentence(text: str) -> str:
    """What stands before the first empty line, in one line and without its full stop."""
    return " ".join(text.partition("\n\n")[0].split()).removesuffix(".")


def describe_roles(roles: frozenset[Role]) -> str:
    """Who may ask, for people."""
    if roles == PUBLIC:
        return "anybody, signed in or not"
    if roles == EVERYONE:
        return "any signed-in person"
    return ", ".join(list_roles(roles))


def list_roles(roles: frozenset[Role]) -> list[str]:
    """Who may ask, always in the same order."""
    return [role.value for role in Role if role in roles]


def describe_rate(rate: Rate) -> str:
    """How often one person may ask."""
    return f"{rate.count} in {rate.per} s"


def describe_effect(call: Call) -> str:
    """Whether the call changes something, and what follows from that for whoever repeats it."""
    if call.reads:
        return "changes nothing"
    if isinstance(call, Event):
        batched = f", done in batches of up to {call.batch}" if call.batch else ""
        return f"changes something, once per `client_ref`{batched}"
    return "changes something"


def describe_call(call: Call) -> str:
    """Everything about a call that its schemas do not say, for a document's `description`."""
    lines = [
        f"- **For:** {describe_roles(call.roles)}",
        f"- **Rate:** {describe_rate(call.rate)}",
        f"- **Effect:** {describe_effect(call)}",
    ]
    if call.at_least:
        lines.append(f"- **Time:** an answer takes at least {call.at_least:g} s")
    return "\n\n".join([call.about, "\n".join(lines)])


def mark_call(call: Call, errors: list[str]) -> dict[str, Any]:
    """The same for machines."""
    marks: dict[str, Any] = {
        "x-roles": list_roles(call.roles),
        "x-rate": {"count": call.rate.count, "per": call.rate.per},
        "x-reads": call.reads,
        "x-errors": errors,
    }
    if isinstance(call, Event) and call.batch:
        marks["x-batch"] = call.batch
    return marks


def list_errors(call: Call, *, over_http: bool) -> list[str]:
    """The codes of all errors that can be the answer, the kernel's own included."""
    codes = {*call.errors, "invalid", "rate_limited", "unavailable", "internal"}
    if call.roles != PUBLIC:
        codes |= {"token_expired"} | ({"unauthenticated"} if over_http else set())
        if call.roles != EVERYONE:
            codes.add("forbidden")
    if isinstance(call, Event) and issubclass(call.request, Change):
        codes.add("conflict")
    if isinstance(call, Route) and call.signed:
        codes.add("gone")
    if over_http and not is_in_query(call):
        codes |= {"too_large", "unsupported_type"}
    return [code for code in Error.known if code in codes]


def is_in_query(call: Call) -> bool:
    """Whether the request travels in the query instead of the body."""
    return isinstance(call, Route) and call.in_query


def takes_file(call: Call) -> bool:
    """Whether the request is a form with a file."""
    return isinstance(call, Route) and call.receives is not None


def list_told(namespace: Namespace) -> tuple[Told, ...]:
    """Everything people are told in a namespace: pushes first, then signals."""
    return (*namespace.pushes.values(), *namespace.signals.values())


def name_delivery(told: Told) -> str:
    """What is promised about its arrival, for machines."""
    return "logged" if isinstance(told, Push) else "may-be-lost"


def describe_delivery(told: Told) -> str:
    """What is promised about its arrival, for people."""
    if isinstance(told, Push):
        return "a push: logged, numbered, sent again to whoever says where they stopped"
    return "a signal: sent once, to whoever is there; may be lost"


def example_error(code: str) -> dict[str, Any]:
    """The answer that a client gets with this error."""
    retry_after = 3 if code in ("rate_limited", "unavailable") else None
    error = Error.known[code](retry_after=retry_after)
    body = error.body(texts.DEFAULT_LOCALE).model_dump(exclude_none=True)
    if code == "invalid":
        problem = {"path": "limit", "code": "int_type", "message": "Input should be an integer"}
        body["fields"] = [problem]
    return {"error": body}

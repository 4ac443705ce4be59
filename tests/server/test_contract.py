"""A missing or double declaration fails when it is made: at import."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from server.app import build_app
from server.context import Context
from server.contract import EVERYONE, PUBLIC, Asked, Namespace, by_name
from server.errors import Error
from server.limits import Rate
from server.payload import Change, Nothing, Payload
from tests.instance import Instance

RATE = Rate(1, per=1)


async def good(ctx: Context, request: Change) -> Nothing:
    """Something.

    Raises: not_found, conflict.
    """
    return Nothing()


async def undocumented(ctx: Context, request: Change) -> Nothing:
    return Nothing()


async def lying(ctx: Context, request: Change) -> Nothing:
    """Something.

    Raises: not_found, no_such_error.
    """
    return Nothing()


async def reading(ctx: Context, request: Payload) -> Nothing:
    """Something whose request has no client_ref."""
    return Nothing()


async def unprepared(request: Change) -> Nothing:
    """Something without a context."""
    return Nothing()


async def untyped(ctx: Context, request):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Something without a type."""
    return Nothing()


async def odd(ctx: Context, request: str) -> Nothing:
    """Something asked in plain text."""
    return Nothing()


async def together(ctx: Context, asked: Sequence[Asked[Change]]) -> list[Nothing | Error]:
    """Several at once."""
    return [Nothing() for _ in asked]


async def together_without_errors(ctx: Context, asked: Sequence[Asked[Change]]) -> list[Nothing]:
    """Several at once, none of which may fail."""
    return [Nothing() for _ in asked]


def declare(function: Callable[..., Any], name: str = "thing:do", **options: Any) -> Namespace:
    space = Namespace("/space", "A namespace.")
    space.on(name, **{"roles": EVERYONE, "rate": RATE, **options})(function)
    return space


def test_a_declaration_says_all_there_is_to_say() -> None:
    event = declare(good).events["thing:do"]
    assert (event.about, event.errors) == ("Something.", ("not_found", "conflict"))
    assert (event.request, event.response) == (Change, Nothing)
    assert declare(together, batch=5).events["thing:do"].request is Change
    assert not declare(reading, reads=True).events["thing:do"].errors


@pytest.mark.parametrize(
    ("function", "options", "complaint"),
    [
        (undocumented, {}, "docstring"),
        (lying, {}, "no_such_error"),
        (reading, {}, "must be a Change"),
        (unprepared, {}, "must take"),
        (untyped, {}, "request"),
        (odd, {}, "must take a Payload"),
        (good, {"batch": 5}, "Sequence"),
        (together, {}, "must take a Payload"),
        (together_without_errors, {"batch": 5}, "must return"),
        (good, {"roles": PUBLIC}, "needs roles"),
        (good, {"name": "thing"}, "no event name"),
        (good, {"name": "Thing:do"}, "no event name"),
        (good, {"name": "connect"}, "no event name"),
        (good, {"name": "disconnecting"}, "no event name"),
        (good, {"name": 'thing:"do'}, "no event name"),
    ],
)
def test_a_bad_event_fails(
    function: Callable[..., Any], options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises((TypeError, KeyError), match=complaint):
        declare(function, **options)


def test_nothing_is_declared_twice() -> None:
    space = declare(good)
    space.push("thing:done", Nothing, "It is done.")
    space.signal("thing", Nothing, "It is.")
    space.job("space.do", Nothing)
    space.presence(good)  # type: ignore[arg-type]
    route: dict[str, Any] = {"roles": PUBLIC, "rate": RATE}
    space.route("POST", "/thing", **route)(good)
    for again in (
        lambda: space.on("thing:do", roles=EVERYONE, rate=RATE)(good),
        lambda: space.push("thing:done", Nothing, ""),
        lambda: space.signal("thing", Nothing, ""),
        lambda: space.job("space.do", Nothing),
        lambda: space.presence(good),  # type: ignore[arg-type]
        lambda: space.route("POST", "/thing", **route)(good),
        lambda: by_name([space, Namespace("/space", "Another.")]),
    ):
        with pytest.raises(TypeError, match=r"twice|already"):
            again()
    space.push("thing:do", Nothing, "What is asked and what is told are separate tables.")


def test_an_error_code_is_declared_once() -> None:
    with pytest.raises(TypeError, match="twice"):
        type("Again", (Error,), {"code": "not_found", "status": 404})


async def test_a_route_needs_all_that_an_event_needs() -> None:
    space = Namespace("/space", "A namespace.")
    for function, complaint in ((undocumented, "docstring"), (odd, "Payload"), (lying, "unknown")):
        with pytest.raises(TypeError, match=complaint):
            space.route("GET", "/thing", roles=PUBLIC, rate=RATE)(function)
    assert not space.routes


async def test_a_server_is_not_built_of_a_namespace_twice(kernel: Instance) -> None:
    space = declare(good)
    with pytest.raises(TypeError, match="twice"):
        build_app(kernel.runtime, [space, space])

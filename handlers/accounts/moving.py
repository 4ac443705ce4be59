"""What follows when a person's time zone is another one: other nouns say what theirs is."""

from collections.abc import Awaitable, Callable

from server.context import Context
from storage.accounts import User

Follow = Callable[[Context, User], Awaitable[None]]

_followers: list[Follow] = []


def on_zone_changed(function: Follow) -> Follow:
    """Declare what is done, in the same transaction, when somebody's profile has another zone."""
    _followers.append(function)
    return function


async def move(ctx: Context, person: User) -> None:
    """Tell everything that goes by the person's clock; their row has the new zone."""
    for follow in _followers:
        await follow(ctx, person)

"""What people want to be told, and by which channels."""

from collections.abc import Collection

from handlers.notifications.declared import CHANGE_RATE, READ_RATE, notifications
from handlers.notifications.kinds import KINDS, Kind, Switches
from handlers.notifications.payloads import (
    Preference,
    Preferences,
    SetPreference,
    SetSubscriptions,
    Subscriptions,
)
from server.context import Context
from server.contract import EVERYONE
from server.errors import Invalid
from server.payload import Nothing
from storage import notifications as feed


@notifications.on("preference:list", roles=EVERYONE, rate=READ_RATE, reads=True)
async def list_preferences(ctx: Context, request: Nothing) -> Preferences:
    """Every type there is, and how it travels."""
    return await describe_preferences(ctx, ctx.user.id)


@notifications.on("preference:set", roles=EVERYONE, rate=CHANGE_RATE)
async def set_preference(ctx: Context, request: SetPreference) -> Preference:
    """Choose the channels of one type. Critical ones keep theirs."""
    kind = KINDS.get(request.type)
    if kind is None:
        raise Invalid.of("type", "unknown_type", "There are no such notifications")
    switches = Switches(in_app=request.in_app, push=request.push, email=request.email)
    if kind.critical and switches != kind.switches:
        raise Invalid.of("type", "critical", "These cannot be switched off")
    await feed.set_preference(
        ctx.db,
        ctx.user.id,
        kind.name,
        in_app=switches.in_app,
        push=switches.push,
        email=switches.email,
    )
    return _describe(kind, switches)


@notifications.on("subscription:list", roles=EVERYONE, rate=READ_RATE, reads=True)
async def list_subscriptions(ctx: Context, request: Nothing) -> Subscriptions:
    """The categories of resources that the person wants to hear of."""
    return Subscriptions(categories=await feed.list_subscriptions(ctx.db, ctx.user.id))


@notifications.on("subscription:set", roles=EVERYONE, rate=CHANGE_RATE)
async def set_subscriptions(ctx: Context, request: SetSubscriptions) -> Subscriptions:
    """Hear of these categories and of no others."""
    await feed.set_subscriptions(ctx.db, ctx.user.id, set(request.categories))
    return Subscriptions(categories=sorted(set(request.categories)))


async def describe_preferences(ctx: Context, user_id: int) -> Preferences:
    chosen = await feed.list_preferences(ctx.db, user_id)
    return Preferences(
        items=[_describe(kind, _switches(kind, chosen.get(name))) for name, kind in KINDS.items()]
    )


async def choose_switches(
    ctx: Context, wanted: Collection[tuple[int, str]]
) -> dict[tuple[int, str], Switches]:
    """By which channels each person gets each kind, by (user_id, kind)."""
    chosen = await feed.get_preferences(ctx.db, wanted)
    return {
        (user_id, name): _switches(KINDS[name], chosen.get((user_id, name)))
        for user_id, name in wanted
    }


async def get_switches(ctx: Context, user_id: int, kind: Kind) -> Switches:
    """By which channels one person gets one kind."""
    return (await choose_switches(ctx, {(user_id, kind.name)}))[user_id, kind.name]


def _switches(kind: Kind, chosen: feed.Preference | None) -> Switches:
    if chosen is None or kind.critical:
        return kind.switches
    return Switches(in_app=chosen.in_app, push=chosen.push, email=chosen.email)


def _describe(kind: Kind, switches: Switches) -> Preference:
    return Preference(
        type=kind.name,
        in_app=switches.in_app,
        push=switches.push,
        email=switches.email,
        critical=kind.critical,
    )

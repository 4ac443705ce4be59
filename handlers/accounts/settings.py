"""What a person is sent, when, and to which devices."""

from datetime import time

from handlers.accounts.declared import account, send_digest, settings_updated
from handlers.accounts.payloads import (
    Digest,
    Frequency,
    QuietHours,
    RegisterDevice,
    RemoveDevice,
    Schedule,
    Settings,
    UpdateQuietHours,
    UpdateSchedule,
    UpdateSettings,
)
from handlers.accounts.schedule import Schedule as Plan
from handlers.accounts.schedule import find_next
from server.context import Context
from server.contract import EVERYONE
from server.errors import NotFound
from server.limits import Rate
from server.payload import Nothing
from storage import accounts

READ_RATE = Rate(60, per=10)
CHANGE_RATE = Rate(20, per=10)


@account.on("settings:get", roles=EVERYONE, rate=READ_RATE, reads=True)
async def get_settings(ctx: Context, request: Nothing) -> Settings:
    """What the person wants to be sent, and when."""
    user = await accounts.get_user(ctx.db, ctx.user.id)
    if user is None:
        raise NotFound
    return Settings.of(user)


@account.on("settings:update", roles=EVERYONE, rate=CHANGE_RATE)
async def update_settings(ctx: Context, request: UpdateSettings) -> Settings:
    """Switch push messages on or off."""
    return _tell(
        ctx, await accounts.update_user(ctx.db, ctx.user.id, push_enabled=request.push_enabled)
    )


@account.on("schedule:update", roles=EVERYONE, rate=CHANGE_RATE)
async def update_schedule(ctx: Context, request: UpdateSchedule) -> Schedule:
    """When to send a summary of what is unread. It holds no other message back."""
    row = await accounts.update_user(
        ctx.db,
        ctx.user.id,
        digest_times=" ".join(request.times),
        digest_frequency=request.frequency,
        digest_weekday=request.weekday,
    )
    plan_digest(ctx, row)
    return _tell(ctx, row).schedule


@account.on("quiet_hours:update", roles=EVERYONE, rate=CHANGE_RATE)
async def update_quiet_hours(ctx: Context, request: UpdateQuietHours) -> QuietHours:
    """When not to disturb: pushes wait until these hours end, but for critical ones."""
    row = await accounts.update_user(
        ctx.db, ctx.user.id, quiet_starts=request.starts, quiet_ends=request.ends
    )
    return _tell(ctx, row).quiet_hours


@account.on("device:register", roles=EVERYONE, rate=CHANGE_RATE)
async def register_device(ctx: Context, request: RegisterDevice) -> Nothing:
    """Send this session's pushes there, until it ends; a token has one person at a time."""
    await accounts.add_device(
        ctx.db,
        ctx.user.id,
        ctx.user.session_id,
        token=request.token,
        platform=request.platform,
        now=ctx.now,
    )
    return Nothing()


@account.on("device:remove", roles=EVERYONE, rate=CHANGE_RATE)
async def remove_device(ctx: Context, request: RemoveDevice) -> Nothing:
    """Send nothing there any more.

    Raises: not_found.
    """
    if not await accounts.remove_device(ctx.db, ctx.user.id, request.token):
        raise NotFound
    return Nothing()


def plan_digest(ctx: Context, user: accounts.User) -> None:
    """Plan the next summary anew, or none."""
    key = str(user.id)
    weekly = user.digest_frequency == Frequency.WEEKLY
    plan = Plan(
        times=tuple(map(time.fromisoformat, user.digest_times.split())),
        weekday=user.digest_weekday if weekly else None,
        zone=user.time_zone,
    )
    due_at = None if user.digest_frequency == Frequency.OFF else find_next(plan, ctx.now)
    if due_at is None:
        ctx.cancel(send_digest, key=key)
    else:
        delay = due_at - ctx.now
        ctx.enqueue(send_digest, Digest(user_id=user.id), key=key, delay=delay, move=True)


def _tell(ctx: Context, row: accounts.User) -> Settings:
    settings = Settings.of(row)
    ctx.push(settings_updated, settings, to=[row.id])
    return settings

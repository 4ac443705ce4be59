"""What people take along of their accounts; no tokens, and nothing that proves who one is."""

from handlers.accounts.declared import account
from handlers.accounts.export_payloads import OwnDevice, OwnProfile, OwnSession
from handlers.accounts.payloads import Settings
from handlers.accounts.profile import access_user
from server.context import Context
from server.portions import PORTION, Portion
from storage import accounts


@account.exported("profile", together=False)
async def take_profile(ctx: Context, after: None) -> Portion:
    return Portion([OwnProfile.of(await access_user(ctx, ctx.user.id), ctx.link)])


@account.exported("settings", together=False)
async def take_settings(ctx: Context, after: None) -> Portion:
    return Portion([Settings.of(await access_user(ctx, ctx.user.id))])


@account.exported("devices")
async def take_devices(ctx: Context, after: None) -> Portion:
    rows = await accounts.list_devices(ctx.db, ctx.user.id)
    return Portion([OwnDevice.model_validate(row) for row in rows])


@account.exported("sessions")
async def take_sessions(ctx: Context, after: int | None) -> Portion:
    rows = await accounts.list_sessions_after(ctx.db, ctx.user.id, after=after or 0, limit=PORTION)
    items = [OwnSession.model_validate(row) for row in rows]
    return Portion.of(items, rows, lambda row: row.id)

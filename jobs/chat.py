"""Chats, later: what the process that made a change could not follow up."""

from handlers.chat.payloads import SettleChat
from handlers.chat.unread import settle_notifications
from jobs.perform import implements
from server.context import Context


@implements(settle_notifications.job)
async def settle(ctx: Context, payload: SettleChat) -> None:
    """Let the notifications of one chat follow its counters."""
    await settle_notifications.function(ctx, [payload])

"""Chats, later: what the process that made a change could not follow up."""

from handlers.chat.payloads import SettleChat
from handlers.chat.unread import settle_notifications, settle_one
from jobs.perform import implements
from server.context import Context
from server.outgoing import Changed


@implements(settle_notifications.job)
async def settle(ctx: Context, payload: Changed) -> None:
    """Let the notifications of chats follow their counters."""
    await settle_notifications.function(ctx, payload.ids)


@implements(settle_one)
async def settle_as_before(ctx: Context, payload: SettleChat) -> None:
    await settle_notifications.function(ctx, [payload.chat_id])

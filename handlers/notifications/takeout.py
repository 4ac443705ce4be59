"""What people take along of notifications: the feed, and what they want to hear of."""

from handlers.notifications.declared import notifications
from handlers.notifications.payloads import Notification, Subscriptions
from handlers.notifications.preferences import describe_preferences
from server.context import Context
from server.portions import PORTION, Portion
from storage import notifications as feed


@notifications.exported("notifications")
async def take_notifications(ctx: Context, after: int | None) -> Portion:
    rows = await feed.list_notifications_after(ctx.db, ctx.user.id, after=after or 0, limit=PORTION)
    items = [Notification.model_validate(row) for row in rows]
    return Portion.of(items, rows, lambda row: row.id)


@notifications.exported("preferences", together=False)
async def take_preferences(ctx: Context, after: None) -> Portion:
    return Portion([await describe_preferences(ctx, ctx.user.id)])


@notifications.exported("subscriptions", together=False)
async def take_subscriptions(ctx: Context, after: None) -> Portion:
    categories = await feed.list_subscriptions(ctx.db, ctx.user.id)
    return Portion([Subscriptions(categories=categories)])

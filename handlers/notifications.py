"""Notifications: the feed of things that wait for a person."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field as Bounds
from sqlalchemy.ext.asyncio import AsyncSession

from server.context import Context
from server.contract import EVERYONE, Namespace
from server.errors import NotFound
from server.limits import Rate
from server.payload import Change, Id, Instant, Nothing, Page, PageRequest, Payload
from storage import notifications as feed
from storage.notifications import NewNotification

READ_RATE = Rate(60, per=10)
CHANGE_RATE = Rate(60, per=10)


class Notification(Payload):
    id: Id
    type: str
    title: str
    text: str
    link: str
    data: dict[str, Any]
    created_at: Instant
    read_at: Instant | None


class ListNotifications(PageRequest):
    unread: bool | None = None
    type: Annotated[str, Bounds(max_length=40)] | None = None


class ReadNotification(Change):
    notification_id: Id


class NotificationsRead(Payload):
    """These were read; so many are unread now."""

    notification_ids: list[Id]
    total: int


class UnreadTotal(Payload):
    total: int


notifications = Namespace("/notifications", "The feed of things that wait for a person.")

notification_created = notifications.push(
    "notification:created", Notification, "Something new waits for the person."
)
notifications_read = notifications.push(
    "notification:read", NotificationsRead, "Notifications were read, here or elsewhere."
)


@notifications.state(
    "unread:changed", UnreadTotal, "How many are unread; after joining and at every change."
)
async def unread_changed(db: AsyncSession, user_ids: Collection[int]) -> dict[int, UnreadTotal]:
    totals = await feed.count_unread(db, user_ids)
    return {user_id: UnreadTotal(total=total) for user_id, total in totals.items()}


@notifications.connected
async def greet(ctx: Context) -> None:
    ctx.refresh(unread_changed, of=[ctx.user.id])


@notifications.on("notification:list", roles=EVERYONE, rate=READ_RATE, reads=True)
async def list_notifications(ctx: Context, request: ListNotifications) -> Page[Notification]:
    """The feed, newest first."""
    rows, total = await feed.list_notifications(
        ctx.db,
        ctx.user.id,
        unread=request.unread,
        type=request.type,
        skip=request.skip,
        limit=request.limit,
    )
    items = [Notification.model_validate(row) for row in rows]
    return Page[Notification].of(request, items, total)


@notifications.on("notification:read", roles=EVERYONE, rate=CHANGE_RATE)
async def read_notification(ctx: Context, request: ReadNotification) -> NotificationsRead:
    """Read one notification; reading it again changes nothing.

    Raises: not_found.
    """
    if not await feed.owns_notification(ctx.db, ctx.user.id, request.notification_id):
        raise NotFound
    await feed.lock_feeds(ctx.db, [ctx.user.id])
    ids = await feed.mark_read(
        ctx.db, ctx.user.id, ctx.now, notification_id=request.notification_id
    )
    return await _answer_read(ctx, ids)


@notifications.on("notification:read_all", roles=EVERYONE, rate=CHANGE_RATE)
async def read_all_notifications(ctx: Context, request: Change) -> NotificationsRead:
    """Read everything there is."""
    await feed.lock_feeds(ctx.db, [ctx.user.id])
    ids = await feed.mark_read(ctx.db, ctx.user.id, ctx.now)
    return await _answer_read(ctx, ids)


@notifications.on("unread:get", roles=EVERYONE, rate=READ_RATE, reads=True)
async def get_unread(ctx: Context, request: Nothing) -> UnreadTotal:
    """How many notifications are unread."""
    counts = await feed.count_unread(ctx.db, [ctx.user.id])
    return UnreadTotal(total=counts[ctx.user.id])


async def notify(ctx: Context, notes: Sequence[NewNotification]) -> None:
    """Put something into people's feeds, unless they have it there unread already."""
    await feed.lock_feeds(ctx.db, {note.user_id for note in notes})
    added = await feed.add_notifications(ctx.db, notes, ctx.now)
    for row in added:
        ctx.push(notification_created, Notification.model_validate(row), to=[row.user_id])
    ctx.refresh(unread_changed, of={row.user_id for row in added})


async def read_subjects(ctx: Context, subjects: Collection[tuple[int, str]]) -> None:
    """What these people's notifications were about has been seen, so they are read too."""
    await feed.lock_feeds(ctx.db, {user_id for user_id, _ in subjects})
    ids = await feed.mark_subjects_read(ctx.db, subjects, ctx.now)
    await _tell_read(ctx, ids)


async def _answer_read(ctx: Context, ids: list[int]) -> NotificationsRead:
    await _tell_read(ctx, {ctx.user.id: ids} if ids else {})
    totals = await feed.count_unread(ctx.db, [ctx.user.id])
    return NotificationsRead(notification_ids=ids, total=totals[ctx.user.id])


async def _tell_read(ctx: Context, ids: Mapping[int, list[int]]) -> None:
    if not ids:
        return
    ctx.refresh(unread_changed, of=ids)
    totals = await feed.count_unread(ctx.db, sorted(ids))
    for user_id, total in totals.items():
        told = NotificationsRead(notification_ids=ids[user_id], total=total)
        ctx.push(notifications_read, told, to=[user_id])

"""The feed: what waits for a person, and is read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from handlers.notifications.declared import (
    CHANGE_RATE,
    READ_RATE,
    announce,
    mail_notification,
    notification_created,
    notification_updated,
    notifications,
    notifications_read,
)
from handlers.notifications.kinds import KINDS, Kind
from handlers.notifications.payloads import (
    Announce,
    ListNotifications,
    Notification,
    NotificationsRead,
    ReadNotification,
    UnreadTotal,
)
from handlers.notifications.preferences import choose_switches
from server.context import Context
from server.contract import EVERYONE
from server.errors import NotFound
from server.payload import Change, Nothing, Page
from storage import notifications as feed
from storage.notifications import NewNotification

PUSH_DELAY = timedelta(seconds=5)
"""What a device that is there needs to say so."""

MAIL_DELAY = timedelta(minutes=5)


@notifications.state(
    "unread:changed", UnreadTotal, "How many are unread; after joining and at every change."
)
async def unread_changed(db: AsyncSession, user_ids: Collection[int]) -> dict[int, UnreadTotal]:
    totals = await feed.count_unread(db, user_ids)
    return {user_id: UnreadTotal(total=total) for user_id, total in totals.items()}


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
    """Put something into people's feeds, and bring it to them by the channels they want.

    What is there unread already stays, with the new words if these are others; with a higher
    version it is announced again.
    """
    switches = await choose_switches(ctx, {(note.user_id, note.type) for note in notes})
    notes = [replace(note, in_app=switches[note.user_id, note.type].in_app) for note in notes]
    await feed.lock_feeds(ctx.db, {note.user_id for note in notes})
    added = await feed.add_notifications(ctx.db, notes, ctx.now)
    for row in added:
        kind = KINDS[row.type]
        announce_soon(ctx, row.user_id, kind, row.subject)
        if switches[row.user_id, row.type].email:
            delay = timedelta(0) if kind.critical else MAIL_DELAY
            about = Announce(user_id=row.user_id, subject=row.subject)
            ctx.enqueue(mail_notification, about, key=about.key, delay=delay)
        if row.in_app:
            ctx.push(notification_created, Notification.model_validate(row), to=[row.user_id])
    ctx.refresh(unread_changed, of={row.user_id for row in added if row.in_app})
    there = {(row.user_id, row.subject) for row in added}
    old = [note for note in notes if (note.user_id, note.subject) not in there]
    reworded, grown = await feed.renew_notifications(ctx.db, old)
    for changed in reworded:
        if changed.in_app:
            ctx.push(
                notification_updated, Notification.model_validate(changed), to=[changed.user_id]
            )
    for note in grown:
        announce_soon(ctx, note.user_id, KINDS[note.type], note.subject)


def announce_soon(ctx: Context, user_id: int, kind: Kind, subject: str) -> None:
    """Push what is unread about a subject, unless the person sees it meanwhile.

    One push for all that happens within the delay, not one for each.
    """
    about = Announce(user_id=user_id, subject=subject)
    delay = timedelta(0) if kind.critical else PUSH_DELAY
    ctx.enqueue(announce, about, key=about.key, delay=delay)


async def read_subjects(ctx: Context, subjects: Collection[tuple[int, str]]) -> None:
    """What these people's notifications were about has been seen, so they are read too."""
    await feed.lock_feeds(ctx.db, {user_id for user_id, _ in subjects})
    ids = await feed.mark_subjects_read(ctx.db, subjects, ctx.now)
    await _tell_read(ctx, ids)
    for user_id, subject in subjects:
        if user_id in ids:
            # They would find nothing to say; two who write to each other would have one all the time.
            about = Announce(user_id=user_id, subject=subject)
            ctx.cancel(announce, key=about.key)
            ctx.cancel(mail_notification, key=about.key)


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

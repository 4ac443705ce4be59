"""Notifications, later: brought to their people by push and mail, if they are still wanted."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from handlers.accounts.declared import send_digest
from handlers.accounts.payloads import Digest, Frequency
from handlers.accounts.schedule import find_quiet_end
from handlers.accounts.settings import plan_digest
from handlers.notifications import (
    DIGEST,
    KINDS,
    announce,
    get_switches,
    mail_digest,
    mail_notification,
    push_to_device,
    write_link,
)
from handlers.notifications.kinds import Kind
from handlers.notifications.payloads import Announce, DigestMail, PushContent, PushToDevice
from jobs.letters import write_letter
from jobs.perform import GiveUp, Retry, implements
from server import texts
from server.context import Context
from server.services import DeviceGone, PushMessage, Refused, TryLater
from storage import accounts, chat
from storage import notifications as feed
from storage.accounts import MAY_SIGN_IN, User
from storage.notifications import Notification


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be brought to somebody."""

    user: User
    note: Notification
    kind: Kind


@dataclass(frozen=True, slots=True)
class Unread:
    """Unread messages, in so many chats, and unread notifications of other types."""

    messages: int
    chats: int
    others: int

    @property
    def total(self) -> int:
        return self.messages + self.others


@implements(announce)
async def push_to_devices(ctx: Context, payload: Announce) -> None:
    """One push to each of the person's devices, now or when their quiet hours are over."""
    wanted = await _find_wanted(ctx, payload)
    if wanted is None or not await _may_push(ctx, wanted.user, wanted.kind):
        return
    if later := _find_quiet_end(wanted, ctx.now):
        ctx.enqueue(announce, payload, key=payload.key, delay=later - ctx.now, move=True)
        return
    note = wanted.note
    await _push(
        ctx,
        PushContent(
            user_id=note.user_id,
            type=note.type,
            subject=note.subject,
            title=note.title,
            text=note.text,
            link=note.link,
            data=note.data,
            notification_id=note.id,
        ),
    )


@implements(push_to_device)
async def send_push(ctx: Context, payload: PushToDevice) -> None:
    """Send one push to one device, unless it was seen or the device has gone meanwhile.

    It may come long after it was decided on, when the provider was away: then the person may
    have switched pushes off, or it is night.
    """
    content = payload.content
    async with ctx.work() as work:
        device = await accounts.get_device(work.db, payload.device_id)
        if device is None or device.user_id != content.user_id:
            return
        later = None
        if content.notification_id is not None:
            about = Announce(user_id=content.user_id, subject=content.subject)
            wanted = await _find_wanted(work, about)
            if wanted is None or not await _may_push(work, wanted.user, wanted.kind):
                return
            later = _find_quiet_end(wanted, ctx.now)
        badge = (await _count_unread(work, content.user_id)).total
    if later is not None:
        key = f"{device.id}:{content.subject}"
        ctx.enqueue(push_to_device, payload, key=key, delay=later - ctx.now, move=True)
        return
    data = {"type": content.type, "subject": content.subject, "link": content.link}
    if content.notification_id is not None:
        data["notification_id"] = str(content.notification_id)
    try:
        await ctx.runtime.pusher.send(
            device.token,
            PushMessage(
                title=content.title,
                text=content.text,
                subject=content.subject,
                badge=badge,
                data=data | {name: str(value) for name, value in content.data.items()},
            ),
        )
    except DeviceGone:
        await accounts.delete_device(ctx.db, device.id, device.token)
    except TryLater as busy:
        raise Retry(after=timedelta(seconds=busy.seconds)) from None
    except Refused as refusal:
        raise GiveUp(str(refusal)) from None


@implements(mail_notification)
async def send_mail(ctx: Context, payload: Announce) -> None:
    """A letter about what is still unread."""
    async with ctx.work() as work:
        wanted = await _find_wanted(work, payload)
        if wanted is None:
            return
        switches = await get_switches(work, payload.user_id, wanted.kind)
    if not switches.email:
        return
    if later := _find_quiet_end(wanted, ctx.now):
        ctx.enqueue(mail_notification, payload, key=payload.key, delay=later - ctx.now, move=True)
        return
    user, note = wanted.user, wanted.note
    link = ctx.runtime.settings.public_url + note.link
    await ctx.runtime.mailer.send(
        write_letter(
            to=user.email,
            locale=user.locale,
            subject=f"{note.title}: {note.text}",
            text=texts.get(
                "mail.notification_body", user.locale, title=note.title, text=note.text, link=link
            ),
            message_id=f"notification.{note.id}",
            unsubscribe=write_link(ctx, user.id, wanted.kind.name),
        )
    )


@implements(send_digest)
async def sum_up(ctx: Context, payload: Digest) -> None:
    """A summary of what is unread, if anything is; and the next one planned."""
    user = await accounts.lock_user(ctx.db, payload.user_id)
    if user.digest_frequency == Frequency.OFF:
        return
    # Also for those who are blocked: one day they may be back.
    plan_digest(ctx, user)
    unread = await _count_unread(ctx, user.id)
    if user.status not in MAY_SIGN_IN or not unread.total:
        return
    text = texts.get(
        "notification.digest_text",
        user.locale,
        messages=str(unread.messages),
        chats=str(unread.chats),
        others=str(unread.others),
    )
    if await _may_push(ctx, user, DIGEST):
        await _push(
            ctx,
            PushContent(
                user_id=user.id,
                type=DIGEST.name,
                subject=DIGEST.name,
                title=texts.get("notification.digest_title", user.locale),
                text=text,
                link="/",
                data={},
                notification_id=None,
            ),
        )
    if (await get_switches(ctx, user.id, DIGEST)).email:
        ctx.enqueue(mail_digest, DigestMail(user_id=user.id, text=text), key=str(user.id))


@implements(mail_digest)
async def send_digest_mail(ctx: Context, payload: DigestMail) -> None:
    async with ctx.work() as work:
        user = await accounts.get_user(work.db, payload.user_id)
        if user is None or user.status not in MAY_SIGN_IN:
            return
        if not (await get_switches(work, user.id, DIGEST)).email:
            return
    link = ctx.runtime.settings.public_url
    title = texts.get("notification.digest_title", user.locale)
    await ctx.runtime.mailer.send(
        write_letter(
            to=user.email,
            locale=user.locale,
            subject=title,
            text=texts.get(
                "mail.notification_body", user.locale, title=title, text=payload.text, link=link
            ),
            message_id=f"digest.{ctx.job_id}",
            unsubscribe=write_link(ctx, user.id, DIGEST.name),
        )
    )


async def _find_wanted(ctx: Context, about: Announce) -> Wanted | None:
    """What is unread about a subject, unless nobody is there to want it or it was seen."""
    note = await feed.find_unread(ctx.db, about.user_id, about.subject)
    user = await accounts.get_user(ctx.db, about.user_id)
    if note is None or user is None or user.status not in MAY_SIGN_IN:
        return None
    kind = KINDS[note.type]
    if kind.still_wanted and not await kind.still_wanted(ctx.db, user.id, note.data):
        return None
    return Wanted(user, note, kind)


async def _may_push(ctx: Context, user: User, kind: Kind) -> bool:
    """Whether they let this kind be pushed; critical ones always are."""
    switches = await get_switches(ctx, user.id, kind)
    return kind.critical or (user.push_enabled and switches.push)


def _find_quiet_end(wanted: Wanted, now: datetime) -> datetime | None:
    """When to come again, if these are the person's quiet hours and it can wait."""
    user = wanted.user
    if wanted.kind.critical or user.quiet_starts is None or user.quiet_ends is None:
        return None
    starts, ends = time.fromisoformat(user.quiet_starts), time.fromisoformat(user.quiet_ends)
    return find_quiet_end(starts, ends, user.time_zone, now)


async def _push(ctx: Context, content: PushContent) -> None:
    """A job for each device, so that one that fails disturbs no other."""
    for device in await accounts.list_devices(ctx.db, content.user_id):
        ctx.enqueue(
            push_to_device,
            PushToDevice(device_id=device.id, content=content),
            key=f"{device.id}:{content.subject}",
        )


async def _count_unread(ctx: Context, user_id: int) -> Unread:
    unread = (await chat.list_unread(ctx.db, {user_id}))[user_id]
    others = await feed.count_unread(ctx.db, {user_id}, but="message")
    return Unread(sum(count for _, count in unread), len(unread), others[user_id])

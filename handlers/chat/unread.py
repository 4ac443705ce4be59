"""Unread counters, and the one notification of every chat that has unread messages."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from handlers import notifications
from handlers.chat.declared import CARE, RATE, chat
from handlers.chat.payloads import SettleChat, Unread
from server import texts
from server.context import Context
from server.payload import Nothing
from storage import accounts
from storage import chat as chats
from storage import notifications as feed
from storage.chat import Standing, Talk
from storage.notifications import NewNotification


async def is_undelivered(db: AsyncSession, user_id: int, data: Mapping[str, Any]) -> bool:
    """Whether no device of theirs has got the last message of the chat."""
    return await chats.is_undelivered(db, int(data["chat_id"]), user_id)


settle_one = chat.job("chat.settle_notifications", SettleChat)
"""Rows of before the upgrade. To be taken out with the version after the next."""

NEW = timedelta(seconds=1)
"""What is unread for less than that makes no notification while a conversation goes on."""

GOES_ON = timedelta(minutes=1)
"""After a message that was read: then whoever read it may still be there."""

MESSAGE = notifications.declare_kind("message", still_wanted=is_undelivered)


@chat.on("unread:get", roles=CARE, rate=RATE, reads=True)
async def get_unread(ctx: Context, request: Nothing) -> Unread:
    """How many messages are unread, in all and in each chat that has any."""
    counts = await chats.list_unread(ctx.db, {ctx.user.id})
    return Unread.of(counts[ctx.user.id])


@chat.state("unread:changed", Unread, "The unread counts; after joining and at every change.")
async def unread_changed(db: AsyncSession, user_ids: Collection[int]) -> dict[int, Unread]:
    unread = await chats.list_unread(db, user_ids)
    return {user_id: Unread.of(counts) for user_id, counts in unread.items()}


def tell_unread(ctx: Context, talks: Iterable[Talk]) -> None:
    """After counters changed: tell their people, and let the chats' notifications follow."""
    moved = [
        one for talk in talks for one in talk.members.values() if one.unread != one.unread_before
    ]
    if moved:
        ctx.refresh(unread_changed, of=[one.user_id for one in moved])
        ctx.follow(settle_notifications, of={one.chat_id for one in moved})


@chat.follow_up("chat.settle")
async def settle_notifications(ctx: Context, chat_ids: Collection[int]) -> None:
    """Make, renew or read the notifications of chats, as their counters are by now.

    Not with every message: two people who answer each other would make and read one each time.
    """
    people = await chats.list_people(ctx.db, chat_ids)
    # From here on nobody else settles these; what is counted now is not older than what they saw.
    await feed.lock_feeds(ctx.db, people)
    standings = await chats.list_standings(ctx.db, chat_ids)
    unread = {(one.user_id, _subject(one.chat_id)): one for one in standings if one.unread}
    over = [(one.user_id, _subject(one.chat_id)) for one in standings if not one.unread]
    if new := [subject for subject, one in unread.items() if _is_new(one, ctx.now)]:
        again = {unread.pop(subject).chat_id for subject in new}
        ctx.follow(settle_notifications, of=again, delay=NEW)
    for dismissed in await feed.find_dismissed(ctx.db, unread):
        # Read although the chat was not: until it is, no message makes another one.
        del unread[dismissed]
    if unread:
        await notifications.notify(ctx, await _write_notes(ctx, unread.values()))
    if over:
        await notifications.read_subjects(ctx, over)
        await feed.end_versions(ctx.db, over)


def _is_new(one: Standing, now: datetime) -> bool:
    """Whether the person, who takes part in a conversation, may be about to read it.

    Clocks differ: what is of another time, earlier or later, is not new.
    """
    if one.since is None or one.before is None:
        return False
    return abs(one.since - one.before) < GOES_ON and abs(now - one.since) < NEW


async def _write_notes(ctx: Context, unread: Collection[Standing]) -> list[NewNotification]:
    people = await accounts.find_named(
        ctx.db, {user_id for one in unread for user_id in (one.user_id, one.other_id)}
    )
    return [
        NewNotification(
            user_id=one.user_id,
            type=MESSAGE.name,
            subject=_subject(one.chat_id),
            title=people[one.other_id].name,
            text=texts.get("notification.message_text", people[one.user_id].locale),
            link=f"/chats/{one.chat_id}",
            data={"chat_id": one.chat_id},
            version=one.last_seq,
        )
        for one in unread
    ]


def _subject(chat_id: int) -> str:
    return f"chat:{chat_id}"

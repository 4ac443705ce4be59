"""Unread counters, and the one notification of every chat that has unread messages."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from handlers import notifications
from handlers.chat.declared import CARE, RATE, chat
from handlers.chat.payloads import Unread
from server import texts
from server.context import Context
from server.payload import Nothing
from storage import accounts
from storage import chat as chats
from storage.chat import Talk
from storage.notifications import NewNotification


async def is_undelivered(db: AsyncSession, user_id: int, data: Mapping[str, Any]) -> bool:
    """Whether no device of theirs has got the last message of the chat."""
    return await chats.is_undelivered(db, int(data["chat_id"]), user_id)


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


async def settle_unread(ctx: Context, talks: Iterable[Talk]) -> None:
    """After counters changed: tell their people, and make or read the chats' notifications."""
    changed, first, over = set(), [], []
    for talk in talks:
        for user_id, member in talk.members.items():
            before = member.unread_before
            if member.unread != before:
                changed.add(user_id)
            if member.unread and not before:
                first.append((talk, user_id))
            if member.unread > before > 0:
                notifications.announce_soon(ctx, user_id, MESSAGE, _subject(talk))
            if before and not member.unread:
                over.append((user_id, _subject(talk)))
    ctx.refresh(unread_changed, of=changed)
    if first:
        await notifications.notify(ctx, await _write_notes(ctx, first))
    if over:
        await notifications.read_subjects(ctx, over)


async def _write_notes(ctx: Context, unread: list[tuple[Talk, int]]) -> list[NewNotification]:
    people = await accounts.find_named(ctx.db, {i for talk, _ in unread for i in talk.members})
    return [
        NewNotification(
            user_id=user_id,
            type=MESSAGE.name,
            subject=_subject(talk),
            title=people[talk.other(user_id).user_id].name,
            text=texts.get("notification.message_text", people[user_id].locale),
            link=f"/chats/{talk.id}",
            data={"chat_id": talk.id},
        )
        for talk, user_id in unread
    ]


def _subject(talk: Talk) -> str:
    return f"chat:{talk.id}"

"""Presence and typing: who is there, and who is writing."""

from collections.abc import Collection

from handlers.chat.conversations import access_chat
from handlers.chat.declared import CARE, RATE, chat, presence, typing
from handlers.chat.payloads import GetPresence, Presence, SetTyping, Typing
from server.context import Context
from server.errors import ChatClosed
from server.payload import Nothing
from storage import accounts
from storage import chat as chats
from storage.chat import ChatStatus


@chat.presence
async def tell_presence(ctx: Context, user_ids: Collection[int], *, online: bool) -> None:
    partners = await chats.find_partners(ctx.db, user_ids)
    if not online:
        await accounts.touch_users(ctx.db, user_ids, ctx.now)
    for user_id in partners:
        ctx.signal(
            presence,
            Presence(user_id=user_id, online=online, last_seen_at=None if online else ctx.now),
            to=partners[user_id],
        )


@chat.on("presence:get", roles=CARE, rate=RATE, reads=True)
async def get_presence(ctx: Context, request: GetPresence) -> list[Presence]:
    """Who of these people is there; those one shares no open chat with are left out."""
    async with ctx.work() as work:
        partners = await chats.list_partners(work.db, ctx.user.id, among=request.user_ids)
    online = await ctx.runtime.bus.find_online([partner.id for partner in partners])
    return [
        Presence(
            user_id=partner.id,
            online=partner.id in online,
            last_seen_at=partner.last_seen_at,
        )
        for partner in partners
    ]


@chat.on("typing:set", roles=CARE, rate=RATE, reads=True)
async def set_typing(ctx: Context, request: SetTyping) -> Nothing:
    """Show the other person that one is writing.

    Raises: not_found, chat_closed.
    """
    view = await access_chat(ctx, request.chat_id)
    if view.chat.status != ChatStatus.OPEN:
        raise ChatClosed
    other = {view.psychologist.id, view.patient.id} - {ctx.user.id}
    ctx.signal(
        typing,
        Typing(chat_id=request.chat_id, user_id=ctx.user.id, active=request.active),
        to=other,
    )
    return Nothing()

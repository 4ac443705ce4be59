"""What people take along of their chats: both people's messages, as they see them."""

from handlers.chat.declared import chat
from handlers.chat.describing import describe_chats, describe_messages
from server.context import Context
from server.portions import PORTION, Portion
from storage import chat as chats


@chat.exported("chats")
async def take_chats(ctx: Context, after: int | None) -> Portion:
    views = await chats.list_views_after(ctx.db, ctx.user.id, after=after or 0, limit=PORTION)
    return Portion.of(await describe_chats(ctx, views), views, lambda view: view.chat.id)


@chat.exported("messages")
async def take_messages(ctx: Context, after: tuple[int, int] | None) -> Portion:
    """Chat by chat, the oldest first; `after` is a chat, and how much of it is there already."""
    chat_id, first = after or (1, 1)
    views = await chats.list_views_after(ctx.db, ctx.user.id, after=chat_id - 1, limit=1)
    if not views:
        return Portion([])
    talk, members = views[0].chat, (views[0].psychologist.id, views[0].patient.id)
    first = first if talk.id == chat_id else 1
    last = min(first + PORTION - 1, talk.last_seq)
    rows = await chats.list_messages(ctx.db, talk.id, first, last)
    receipts = await chats.get_receipts(ctx.db, talk.id, members, first, last)
    rest = (talk.id, last + 1) if last < talk.last_seq else (talk.id + 1, 1)
    return Portion(await describe_messages(ctx, rows, receipts), rest)

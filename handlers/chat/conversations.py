"""Conversations: the one chat of every pair, opened and closed with their relation."""

from handlers.chat.declared import CARE, RATE, chat, chat_closed, chat_opened
from handlers.chat.describing import describe_chats
from handlers.chat.payloads import Chat, GetChat, ListChats, OpenChat
from server.context import Context
from server.errors import ChatClosed, Forbidden, NotFound
from server.outgoing import Push
from server.payload import Page
from storage import care
from storage import chat as chats
from storage.accounts import Role
from storage.chat import ChatStatus, Talk, View


@chat.on("chat:open", roles=CARE, rate=RATE)
async def open_chat(ctx: Context, request: OpenChat) -> Chat:
    """The chat with this person, made at need: one for every pair.

    Raises: forbidden.
    """
    pair = (ctx.user.id, request.user_id)
    psychologist_id, patient_id = pair if ctx.user.role == Role.PSYCHOLOGIST else pair[::-1]
    if not await care.is_active(ctx.db, psychologist_id, patient_id):
        raise Forbidden
    chat_id, opened = await chats.open_chat(ctx.db, psychologist_id, patient_id, ctx.now)
    if opened:
        await _tell_both(ctx, chat_opened, chat_id, pair)
    return await _describe(ctx, await access_chat(ctx, chat_id))


@chat.on("chat:list", roles=CARE, rate=RATE, reads=True)
async def list_chats(ctx: Context, request: ListChats) -> Page[Chat]:
    """The person's chats, the latest message first."""
    views, total = await chats.list_views(
        ctx.db, ctx.user.id, skip=request.skip, limit=request.limit
    )
    return Page[Chat].of(request, await describe_chats(ctx, views), total)


@chat.on("chat:get", roles=CARE, rate=RATE, reads=True)
async def get_chat(ctx: Context, request: GetChat) -> Chat:
    """One chat.

    Raises: not_found.
    """
    return await _describe(ctx, await access_chat(ctx, request.chat_id))


async def close_chat(ctx: Context, psychologist_id: int, patient_id: int) -> None:
    """The relation has ended: what was written stays readable, nothing more is written."""
    chat_id = await chats.close_chat(ctx.db, psychologist_id, patient_id)
    if chat_id is not None:
        await _tell_both(ctx, chat_closed, chat_id, (psychologist_id, patient_id))


async def describe_for(ctx: Context, chat_id: int, user_id: int) -> Chat | None:
    """The chat as one of its members sees it."""
    view = await chats.get_view(ctx.db, chat_id, user_id)
    return None if view is None else await _describe(ctx, view)


async def access_chat(ctx: Context, chat_id: int) -> View:
    """The chat as this person sees it. Raises: NotFound."""
    view = await chats.get_view(ctx.db, chat_id, ctx.user.id)
    if view is None:
        raise NotFound
    return view


async def lock_chat(ctx: Context, chat_id: int) -> Talk:
    """The chat, to be changed by one of its members. Raises: NotFound."""
    talk = (await chats.lock_talks(ctx.db, {chat_id})).get(chat_id)
    if talk is None or ctx.user.id not in talk.members:
        raise NotFound
    return talk


async def lock_open_chat(ctx: Context, chat_id: int) -> Talk:
    """Raises: NotFound, ChatClosed."""
    talk = await lock_chat(ctx, chat_id)
    if talk.status != ChatStatus.OPEN:
        raise ChatClosed
    return talk


async def _describe(ctx: Context, view: View) -> Chat:
    (described,) = await describe_chats(ctx, [view])
    return described


async def _tell_both(
    ctx: Context, push: Push[Chat], chat_id: int, member_ids: tuple[int, int]
) -> None:
    for user_id in member_ids:
        described = await describe_for(ctx, chat_id, user_id)
        if described is not None:
            ctx.push(push, described, to=[user_id])

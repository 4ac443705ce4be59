"""Messages that are there: changing them, and looking back at them."""

from handlers.chat.conversations import access_chat, lock_open_chat
from handlers.chat.declared import (
    CARE,
    RATE,
    chat,
    message_deleted,
    message_edited,
)
from handlers.chat.describing import describe_messages
from handlers.chat.payloads import (
    DeleteMessage,
    EditMessage,
    History,
    ListMessages,
    Message,
)
from handlers.chat.unread import tell_unread
from handlers.uploads import discard
from server.context import Context
from server.errors import Forbidden, Gone, Invalid, NotFound
from storage import chat as chats
from storage.chat import Talk


@chat.on("message:edit", roles=CARE, rate=RATE)
async def edit_message(ctx: Context, request: EditMessage) -> Message:
    """Give one's own message a new text.

    Raises: not_found, forbidden, chat_closed, gone.
    """
    talk = await lock_open_chat(ctx, request.chat_id)
    row = await _access_own_message(ctx, request.chat_id, request.seq)
    if row.deleted:
        raise Gone
    row.text, row.edited_at = request.text, ctx.now
    message = await _describe(ctx, talk, row)
    ctx.push(message_edited, message, to=talk.member_ids)
    return message


@chat.on("message:delete", roles=CARE, rate=RATE)
async def delete_message(ctx: Context, request: DeleteMessage) -> Message:
    """Empty one's own message for both; doing it again changes nothing.

    Raises: not_found, forbidden, chat_closed.
    """
    talk = await lock_open_chat(ctx, request.chat_id)
    row = await _access_own_message(ctx, request.chat_id, request.seq)
    if row.deleted:
        return await _describe(ctx, talk, row)
    files = (await chats.list_attachments(ctx.db, [row])).get((row.chat_id, row.seq), [])
    chats.delete_message(talk, row)
    if files:
        await discard(ctx, [file.id for file in files])
    message = await _describe(ctx, talk, row)
    ctx.push(message_deleted, message, to=talk.member_ids)
    ctx.write(chats.save_talks([talk], ctx.now))
    tell_unread(ctx, [talk])
    return message


@chat.on("message:history", roles=CARE, rate=RATE, reads=True)
async def list_messages(ctx: Context, request: ListMessages) -> History:
    """Messages in ascending order: the last ones, those just before, or those just after a seq.

    Raises: not_found.
    """
    if request.before is not None and request.after is not None:
        raise Invalid.of("after", "contradiction", "Give before or after, not both")
    view = await access_chat(ctx, request.chat_id)
    total = view.chat.last_seq
    if request.after is not None:
        first = request.after + request.skip + 1
        last = min(first + request.limit - 1, total)
        has_more = last < total
    else:
        end = total + 1 if request.before is None else min(request.before, total + 1)
        last = end - 1 - request.skip
        first = max(last - request.limit + 1, 1)
        has_more = first > 1
    rows = await chats.list_messages(ctx.db, view.chat.id, first, last)
    members = (view.psychologist.id, view.patient.id)
    receipts = await chats.get_receipts(ctx.db, view.chat.id, members, first, last)
    return History(
        items=await describe_messages(ctx, rows, receipts),
        total=total,
        skip=request.skip,
        limit=request.limit,
        has_more=has_more,
    )


async def _access_own_message(ctx: Context, chat_id: int, seq: int) -> chats.Message:
    row = await chats.get_message(ctx.db, chat_id, seq)
    if row is None:
        raise NotFound
    if row.sender_id != ctx.user.id:
        raise Forbidden
    return row


async def _describe(ctx: Context, talk: Talk, row: chats.Message) -> Message:
    receipts = await chats.get_receipts(ctx.db, talk.id, talk.member_ids, row.seq, row.seq)
    (message,) = await describe_messages(ctx, [row], receipts)
    return message

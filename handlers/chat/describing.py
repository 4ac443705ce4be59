"""From rows to what people see: messages with their files, chats with their last message."""

from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from handlers.chat.payloads import Chat, Message
from handlers.uploads import Purpose, Upload, readers
from server.context import Context
from storage import chat as chats
from storage import uploads
from storage.chat import Receipts, View


@readers(Purpose.MESSAGE)
async def may_read_attachment(db: AsyncSession, upload: uploads.Upload, user_id: int) -> bool:
    """The two people of the chat that it was sent in."""
    return await chats.is_shown_to(db, upload.id, user_id)


async def describe_messages(
    ctx: Context, rows: Collection[chats.Message], receipts: Receipts
) -> list[Message]:
    files = await list_files(ctx, rows)
    return [Message.of(row, receipts.reached(row), files[place]) for place, row in enumerate(rows)]


async def list_files(ctx: Context, rows: Collection[chats.Message]) -> list[list[Upload]]:
    """The files of each message."""
    files = await chats.list_attachments(ctx.db, rows)
    return [
        [Upload.of(file, ctx.link) for file in files.get((row.chat_id, row.seq), ())]
        for row in rows
    ]


async def describe_chats(ctx: Context, views: Sequence[View]) -> list[Chat]:
    receipts = await chats.get_last_receipts(ctx.db, [view.chat for view in views])
    last = [view.last_message for view in views if view.last_message is not None]
    told = await describe_messages(ctx, last, receipts)
    by_chat = {message.chat_id: message for message in told}
    return [Chat.of(view, by_chat.get(view.chat.id), ctx.link) for view in views]

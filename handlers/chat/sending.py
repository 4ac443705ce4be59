"""Sending messages: nearly always in one statement, step by step where something is to be looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from handlers.chat.declared import CARE, RATE, chat, message_created
from handlers.chat.describing import list_files
from handlers.chat.payloads import Message, SendMessage
from handlers.chat.unread import settle_notifications, tell_unread, unread_changed
from handlers.uploads import Purpose, Upload, attach
from server.context import Context
from server.contract import Asked
from server.errors import ChatClosed, Conflict, Error, Invalid, NotFound
from server.payload import Written
from storage import chat as chats
from storage.chat import ChatStatus, Draft, Reached, Talk
from storage.many import is_odd


@dataclass(frozen=True, slots=True)
class Told:
    """A message of this batch, as its sender is answered."""

    request_hash: str
    message: Message


Sent = dict[tuple[int, UUID], chats.Message | Told]
Answer = Message | Written[Message] | Error


@chat.on("message:send", roles=CARE, rate=RATE, batch=32)
async def send_messages(ctx: Context, asked: Sequence[Asked[SendMessage]]) -> list[Answer]:
    """Store a message and deliver it to every device of both people in the chat.

    Raises: invalid, not_found, chat_closed, conflict.
    """
    sent = await _send_at_once(ctx, asked) if _are_plain(ctx, asked) else {}
    others: Iterator[Answer] = iter(())
    if left := [ask for place, ask in enumerate(asked) if place not in sent]:
        async with ctx.work() as apart:
            others = iter(await send_in_steps(apart, left))
    return [sent[place] if place in sent else next(others) for place in range(len(asked))]


def _are_plain(ctx: Context, asked: Sequence[Asked[SendMessage]]) -> bool:
    """All of them, for nobody's messages may overtake each other."""
    if not ctx.may_write_alone:
        return False
    refs = {(ask.user.id, ask.request.client_ref) for ask in asked}
    return len(refs) == len(asked) and not any(
        ask.request.upload_ids or is_odd(ask.request.text) for ask in asked
    )


async def _send_at_once(
    ctx: Context, asked: Sequence[Asked[SendMessage]]
) -> dict[int, Written[Message]]:
    """The messages by their places; one that is missing was not as plain as it looked."""
    async with ctx.work() as own:
        drafts = [_draft(place, ask, own.now) for place, ask in enumerate(asked)]
        chat_ids = {draft.chat_id for draft in drafts}
        settle = own.plan(settle_notifications, of=chat_ids)
        rows = await own.carry_out_alone(
            chats.send(
                drafts,
                namespace=message_created.namespace,
                event=message_created.name,
                then=settle.job,
                now=own.now,
            )
        )
        sent = {}
        for one, other in zip(rows[::2], rows[1::2], strict=True):
            draft = drafts[one.place]
            written: Written[Message] = Written(f"{draft.before}{one.seq}{draft.after}")
            sent[one.place] = written
            both = [(one.user_id, one.at_seq), (other.user_id, other.at_seq)]
            own.tell_logged(message_created, written, to=both)
        own.refresh(unread_changed, of={row.user_id for row in rows})
        own.expect(settle_notifications, settle, of=chat_ids)
    return sent


def _draft(place: int, ask: Asked[SendMessage], now: datetime) -> Draft:
    """The message, described around its seq, which only the database knows."""
    user_id, request = ask.user.id, ask.request
    before, after = Message.write_new(request, user_id, now)
    return Draft(
        place,
        request.chat_id,
        user_id,
        request.client_ref.hex,
        request.digest(),
        request.text,
        before,
        after,
    )


async def send_in_steps(ctx: Context, asked: Sequence[Asked[SendMessage]]) -> list[Answer]:
    """Whatever they are: with files, sent before, or not to be sent at all."""
    talks, before = await chats.lock_for_messages(
        ctx.db,
        {ask.request.chat_id for ask in asked},
        [(ask.user.id, ask.request.client_ref) for ask in asked],
    )
    sent: Sent = {**before}
    answers: list[Answer] = [
        await _send(ctx, talks.get(ask.request.chat_id), sent, ask) for ask in asked
    ]
    ctx.write(chats.save_talks(talks.values(), ctx.now))
    tell_unread(ctx, talks.values())
    return answers


async def _send(
    ctx: Context, talk: Talk | None, sent: Sent, ask: Asked[SendMessage]
) -> Message | Error:
    user_id, request = ask.user.id, ask.request
    if before := sent.get((user_id, request.client_ref)):
        return await _answer_again(ctx, before, request)
    if talk is None or user_id not in talk.members:
        return NotFound()
    if talk.status != ChatStatus.OPEN:
        return ChatClosed()
    try:
        files = await _attach(ctx, ask)
    except Invalid as error:
        return error
    row = chats.add_message(
        talk,
        user_id,
        text=request.text,
        client_ref=request.client_ref,
        request_hash=request.digest(),
        upload_ids=request.upload_ids,
        now=ctx.now,
    )
    message = Message.of(row, Reached(), files)
    sent[user_id, request.client_ref] = Told(row.request_hash, message)
    ctx.push(message_created, message, to=talk.member_ids)
    return message


async def _answer_again(
    ctx: Context, before: chats.Message | Told, request: SendMessage
) -> Message | Error:
    if before.request_hash != request.digest():
        return Conflict()
    if isinstance(before, Told):
        return before.message
    (files,) = await list_files(ctx, [before])
    return Message.as_sent(before, request.text, files)


async def _attach(ctx: Context, ask: Asked[SendMessage]) -> list[Upload]:
    if not ask.request.upload_ids:
        return []
    rows = await attach(
        ctx, ask.user.id, ask.request.upload_ids, Purpose.MESSAGE, field="upload_ids"
    )
    return [Upload.of(row, ctx.link) for row in rows]

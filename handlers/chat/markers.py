"""Markers: how far each of the two has got and read."""

from collections.abc import Collection, Sequence

from handlers.chat.declared import CARE, RATE, chat, messages_delivered, messages_read
from handlers.chat.payloads import MarkerAnswer, MarkerMoved, MoveMarker
from handlers.chat.unread import tell_unread
from server.context import Context
from server.contract import Asked
from server.errors import Error, NotFound
from server.outgoing import Push
from storage import chat as chats
from storage.chat import Marker, Progress, Talk

Talks = dict[int, Talk]


@chat.on("message:delivered", roles=CARE, rate=RATE, batch=64)
async def mark_delivered(
    ctx: Context, asked: Sequence[Asked[MoveMarker]]
) -> list[MarkerAnswer | Error]:
    """Messages up to this one have reached a device; the marker never moves back.

    Raises: not_found.
    """
    talks = await chats.lock_talks(ctx.db, {ask.request.chat_id for ask in asked})
    for talk, member, seq in _find_moves(talks, asked):
        if chats.mark_delivered(talk, member, seq, ctx.now):
            _tell_moved(ctx, messages_delivered, talk, member, seq)
    ctx.write(chats.save_talks(talks.values(), ctx.now))
    return await _answer(ctx, talks, asked, Marker.DELIVERED)


@chat.on("message:read", roles=CARE, rate=RATE, batch=64)
async def mark_read(ctx: Context, asked: Sequence[Asked[MoveMarker]]) -> list[MarkerAnswer | Error]:
    """Messages up to this one have been read; the marker never moves back.

    Raises: not_found.
    """
    talks = await chats.lock_talks(ctx.db, {ask.request.chat_id for ask in asked})
    moves = _find_moves(talks, asked)
    passed = await chats.count_passed(ctx.db, moves)
    for (talk, member, seq), count in zip(moves, passed, strict=True):
        if chats.mark_read(talk, member, seq, member.unread - count, ctx.now):
            _tell_moved(ctx, messages_read, talk, member, seq)
    ctx.write(chats.save_talks(talks.values(), ctx.now))
    tell_unread(ctx, talks.values())
    return await _answer(ctx, talks, asked, Marker.READ)


def _find_moves(
    talks: Talks, asked: Sequence[Asked[MoveMarker]]
) -> list[tuple[Talk, Progress, int]]:
    """The furthest place each member asked for, within the chat."""
    furthest: dict[tuple[int, int], int] = {}
    for ask in asked:
        chat_id, user_id = ask.request.chat_id, ask.user.id
        talk = talks.get(chat_id)
        if talk is not None and user_id in talk.members:
            seq = min(ask.request.seq, talk.last_seq)
            furthest[chat_id, user_id] = max(seq, furthest.get((chat_id, user_id), 0))
    return [
        (talks[chat_id], talks[chat_id].members[user_id], seq)
        for (chat_id, user_id), seq in furthest.items()
    ]


def _tell_moved(
    ctx: Context, push: Push[MarkerMoved], talk: Talk, member: Progress, seq: int
) -> None:
    for user_id in talk.member_ids:
        moved = MarkerMoved(
            chat_id=talk.id,
            user_id=member.user_id,
            seq=seq,
            at=ctx.now,
            unread=member.unread if user_id == member.user_id else None,
        )
        ctx.push(push, moved, to=[user_id])


async def _answer(
    ctx: Context, talks: Talks, asked: Sequence[Asked[MoveMarker]], marker: Marker
) -> list[MarkerAnswer | Error]:
    unread = await _count_unread(ctx, talks, {ask.user.id for ask in asked})
    answers: list[MarkerAnswer | Error] = []
    for ask in asked:
        talk = talks.get(ask.request.chat_id)
        member = talk.members.get(ask.user.id) if talk else None
        if member is None:
            answers.append(NotFound())
            continue
        answers.append(
            MarkerAnswer(
                chat_id=member.chat_id,
                seq=member.read_seq if marker == Marker.READ else member.delivered_seq,
                unread=member.unread,
                total_unread=unread[ask.user.id],
            )
        )
    return answers


async def _count_unread(ctx: Context, talks: Talks, user_ids: Collection[int]) -> dict[int, int]:
    """What each has not read in all their chats; those under lock are ahead of the database."""
    unread = {}
    for user_id, counts in (await chats.list_unread(ctx.db, user_ids)).items():
        elsewhere = sum(count for chat_id, count in counts if chat_id not in talks)
        mine = [talk.members[user_id] for talk in talks.values() if user_id in talk.members]
        unread[user_id] = elsewhere + sum(member.unread for member in mine)
    return unread

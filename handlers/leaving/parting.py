"""Parting from others: what was between two is over, and the other one is told."""

from handlers.accounts.signin import end_sessions
from handlers.care.declared import relation_declined, relation_ended
from handlers.care.payloads import Relation
from handlers.chat.conversations import describe_for
from handlers.chat.declared import chat_closed, chat_erased
from handlers.chat.payloads import ChatErased
from handlers.chat.unread import tell_unread
from handlers.leaving.steps import Cursor, Leaver, Moved
from handlers.notifications import read_subjects
from server.context import Context
from storage import care as relations
from storage import chat as chats
from storage import leaving
from storage.accounts import Status
from storage.care import Pair, RelationStatus
from storage.leaving import Pairing
from storage.leaving.parting import RELATIONS_CHUNK


async def blank_person(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """Once more: a request that was under way may have written into the row since."""
    await leaving.blank_person(ctx.db, leaver.user_id, leaver.name)
    await end_sessions(ctx, leaver.user_id)
    await leaving.delete_credentials(ctx.db, leaver.user_id)
    count = await leaving.blank_sessions(ctx.db, leaver.user_id)
    if leaver.is_first_round and leaver.email is not None:
        # Later, the address may be somebody else's.
        count += await leaving.delete_invitations(ctx.db, leaver.email)
    return Moved(count)


async def part_relations(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """End relations, decline invitations, and tell the other one of those that were over too.

    They carry the name, so a list that a client keeps would go on showing it.
    """
    rows = await leaving.lock_relations(ctx.db, leaver.user_id, cursor)
    told = [row for row in rows if _end(ctx, row) or leaver.is_first_round]
    await ctx.db.flush()
    keys = [(row.psychologist_id, row.patient_id) for row in told]
    for pair in await relations.get_pairs(ctx.db, keys):
        await _tell_relation(ctx, leaver, pair)
    if len(rows) < RELATIONS_CHUNK:
        return Moved(len(told))
    return Moved(len(told), [rows[-1].psychologist_id, rows[-1].patient_id])


def _end(ctx: Context, row: relations.Relation) -> bool:
    """False when it was over before."""
    if row.status == RelationStatus.ACTIVE:
        row.status, row.until = RelationStatus.ENDED, ctx.now
    elif row.status == RelationStatus.INVITED:
        row.status = RelationStatus.DECLINED
    else:
        return False
    return True


async def _tell_relation(ctx: Context, leaver: Leaver, pair: Pair) -> None:
    is_psychologist = pair.psychologist.id == leaver.user_id
    other = pair.patient if is_psychologist else pair.psychologist
    if other.status == Status.ERASED:
        return
    push = relation_ended
    if pair.relation.status == RelationStatus.DECLINED:
        push = relation_declined
        if is_psychologist:
            await read_subjects(ctx, [(other.id, f"relation:{leaver.user_id}")])
    ctx.push(push, Relation.of(pair, ctx.link), to=[other.id])


async def part_chats(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """Close a chat, empty what the leaver wrote in it, and tell the other one once it is done.

    With the first step nobody writes there any more: the chat's lock lets nobody come between.
    """
    chat_id, after = cursor or (0, 0)
    pairing = await leaving.find_next_chat(ctx.db, leaver.user_id, chat_id)
    if pairing is None:
        return Moved(0)
    after = after if pairing.chat_id == chat_id else 0
    talk = (await chats.lock_talks(ctx.db, {pairing.chat_id})).get(pairing.chat_id)
    closed = await leaving.end_chat(ctx.db, pairing.chat_id)
    count, last = await leaving.empty_messages(ctx.db, pairing.chat_id, leaver.user_id, after)
    if last is not None:
        return Moved(count, [pairing.chat_id, last])
    removed = await leaving.remove_member(ctx.db, pairing.chat_id, leaver.user_id)
    if talk is not None and (count or closed or removed):
        await _tell_chat(ctx, leaver, pairing, talk)
    return Moved(count, [pairing.chat_id + 1, 0])


async def _tell_chat(ctx: Context, leaver: Leaver, pairing: Pairing, talk: chats.Talk) -> None:
    """What was unread were the leaver's messages."""
    talk.members.pop(leaver.user_id, None)
    member = talk.members.get(pairing.other_id)
    if member is None:
        return
    if member.unread:
        member.unread, member.moved = 0, True
        ctx.write(chats.save_talks([talk], ctx.now))
        tell_unread(ctx, [talk])
    described = await describe_for(ctx, pairing.chat_id, pairing.other_id)
    if described is not None:
        ctx.push(chat_closed, described, to=[pairing.other_id])
        erased = ChatErased(chat_id=pairing.chat_id, user_id=leaver.user_id)
        ctx.push(chat_erased, erased, to=[pairing.other_id])

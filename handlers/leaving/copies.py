"""Copies that others have: redacted in their places, so that streams stay without a gap."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from handlers.leaving.redaction import RULES, Gone, is_about, redact
from handlers.leaving.steps import Cursor, Leaver, Moved
from handlers.notifications.declared import notifications_erased
from handlers.notifications.payloads import NotificationsErased
from server.calls import full_name
from server.context import Context
from server.contract import Namespace
from server.payload import Payload
from storage import leaving
from storage.dead_jobs import DeadJob
from storage.leaving import LoggedCopy, ReplyCopy
from storage.leaving.copies import CHUNK, JOBS_CHUNK
from storage.outbox import Job

PEOPLE_CHUNK = 5
"""Acquaintances whose things are gone through in one unit of work."""

PERSON_KEYS = frozenset({"user_id", "psychologist_id", "patient_id"})

Types = dict[tuple[str, str], type[Payload]]


class Copies:
    """Knows by the declarations what type each logged event and each kept answer is."""

    def __init__(self, namespaces: Sequence[Namespace]) -> None:
        self._pushes: Types = {
            (space.name, push.name): push.data
            for space in namespaces
            for push in space.pushes.values()
            if push.data in RULES
        }
        self._answers: dict[str, type[Payload]] = {
            full_name(event): event.response
            for space in namespaces
            for event in space.events.values()
            if event.response in RULES
        }

    async def redact_logs(self, ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
        """Entries of others' logs; the cursor is (person, namespace, seq)."""

        async def redact_log(user_id: int, gone: Gone, after: Cursor) -> Moved:
            rows = await leaving.list_logged(ctx.db, user_id, _numbers(gone), after)
            changed = [
                (row, text) for row in rows if (text := self.redact_entry(row, gone)) != row.data
            ]
            await leaving.rewrite_logs(ctx.db, user_id, changed)
            if changed:
                ctx.rewritten(user_id)
            last = rows[-1] if len(rows) == CHUNK else None
            return Moved(len(changed), [last.namespace, last.seq] if last else None)

        return await go_round(ctx, leaver, cursor, redact_log)

    def redact_entry(self, row: LoggedCopy, gone: Gone) -> str:
        data = self._pushes.get((row.namespace, row.event))
        return row.data if data is None else _redact_text(data, row.data, gone)

    async def redact_replies(self, ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
        """First answers that others got; the cursor is (person, event, client_ref)."""

        async def redact_person(user_id: int, gone: Gone, after: Cursor) -> Moved:
            rows = await leaving.list_replies(ctx.db, user_id, _numbers(gone), after)
            changed = [
                (row, text) for row in rows if (text := self.redact_answer(row, gone)) != row.answer
            ]
            await leaving.rewrite_replies(ctx.db, user_id, changed)
            last = rows[-1] if len(rows) == CHUNK else None
            return Moved(len(changed), [last.event, str(last.client_ref)] if last else None)

        return await go_round(ctx, leaver, cursor, redact_person)

    def redact_answer(self, row: ReplyCopy, gone: Gone) -> str:
        answer = self._answers.get(row.event)
        return row.answer if answer is None else _redact_text(answer, row.answer, gone)


async def redact_notifications(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """Others' notifications have another title, and they are told which; (person, id)."""

    async def redact_feed(user_id: int, gone: Gone, after: Cursor) -> Moved:
        (last,) = after or (0,)
        rows = await leaving.list_notified(
            ctx.db, user_id, gone.subjects, after=last, but_title=gone.name
        )
        found = [row for row in rows if is_about(row.data, gone)]
        if found:
            await leaving.rename_notified(ctx.db, [row.id for row in found], gone.name)
        if shown := [row.id for row in found if row.in_app]:
            told = NotificationsErased(notification_ids=shown, title=gone.name)
            ctx.push(notifications_erased, told, to=[user_id])
        return Moved(len(found), [rows[-1].id] if len(rows) == CHUNK else None)

    return await go_round(ctx, leaver, cursor, redact_feed)


async def forget_jobs(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """Jobs, pending and dead, that name the leaver or what is theirs, whomever they are for."""
    which, after = cursor or (0, 0)
    table = (Job, DeadJob)[which]
    rows = await leaving.list_jobs(ctx.db, table, after)
    names = await _find_names(ctx, leaver)
    ids = [job_id for job_id, _, payload in rows if names(json.loads(payload))]
    if ids:
        await leaving.delete_jobs(ctx.db, table, ids)
    if len(rows) == JOBS_CHUNK:
        return Moved(len(ids), [which, rows[-1][0]])
    return Moved(len(ids), [1, 0] if which == 0 else None)


async def _find_names(ctx: Context, leaver: Leaver) -> Callable[[Any], bool]:
    """A test whether the payload of a job names the leaver."""
    chat_ids = await leaving.list_chat_ids(ctx.db, leaver.user_id)
    things = await leaving.list_things(ctx.db, leaver.user_id)
    wanted: dict[str, set[Any]] = {key: {leaver.user_id} for key in PERSON_KEYS} | things
    wanted["subject"] = {f"relation:{leaver.user_id}", *(f"chat:{one}" for one in chat_ids)}
    if leaver.is_first_round:
        # Later, the address may be somebody else's.
        wanted["email"] = {leaver.email}

    def names(value: Any) -> bool:
        if isinstance(value, dict):
            return any(
                names(part) or (not isinstance(part, dict | list) and part in wanted.get(key, ()))
                for key, part in value.items()
            )
        return isinstance(value, list) and any(map(names, value))

    return names


async def go_round(
    ctx: Context,
    leaver: Leaver,
    cursor: Cursor,
    redact_one: Callable[[int, Gone, Cursor], Awaitable[Moved]],
    *,
    also_erased: bool = False,
) -> Moved:
    """Go through some acquaintances; the cursor is one's id, and where to go on with their rows."""
    current, *after = cursor or [0]
    at_least = current if after else current + 1
    people = await leaving.list_acquaintances(
        ctx.db,
        leaver.user_id,
        after=at_least - 1,
        limit=PEOPLE_CHUNK,
        also_erased=also_erased,
    )
    if not people:
        return Moved(0)
    chats = await leaving.find_chats(ctx.db, leaver.user_id, people)
    count = 0
    for user_id in people:
        gone = leaver.known_by(chats.get(user_id))
        moved = await redact_one(user_id, gone, after if user_id == current else [])
        count += moved.count
        if moved.cursor is not None:
            return Moved(count, [user_id, *moved.cursor])
    return Moved(count, [people[-1]] if len(people) == PEOPLE_CHUNK else None)


def _redact_text(type: type[Payload], text: str, gone: Gone) -> str:
    value = type.model_validate_json(text)
    redacted = redact(value, gone)
    return text if redacted is value else redacted.model_dump_json()


def _numbers(gone: Gone) -> list[int]:
    return [gone.user_id] if gone.chat_id is None else [gone.user_id, gone.chat_id]

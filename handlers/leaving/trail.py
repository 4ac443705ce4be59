"""The audit trail keeps what was done, by a pseudonym that leads to nobody."""

from collections.abc import Sequence
from typing import Any

from handlers.leaving.copies import go_round
from handlers.leaving.redaction import Gone
from handlers.leaving.steps import Cursor, Leaver, Moved
from server.context import Context
from storage import leaving
from storage.audit import AuditEntry
from storage.leaving.trail import CHUNK, PAGE

SAYS = frozenset({"role", "status", "provider", "type", "version", "event"})
"""Details that tell what was done, and nothing of who did it."""

PEOPLE = frozenset({"psychologist_id", "patient_ids"})


async def redact_deeds(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """What the leaver did, and what was done about them."""
    rows = await leaving.list_deeds(ctx.db, leaver.user_id)
    await leaving.rewrite_deeds(ctx.db, [rewrite(row, leaver) for row in rows])
    return Moved(len(rows), [] if len(rows) == CHUNK else None)


async def redact_mentions(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """What others did that names the leaver in its details; the cursor is (person, id)."""

    async def redact_person(user_id: int, gone: Gone, after: Cursor) -> Moved:
        (last,) = after or (0,)
        rows = await leaving.list_deeds_of(ctx.db, user_id, last)
        count = await _replace_all(ctx, leaver, rows)
        return Moved(count, [rows[-1].id] if len(rows) == PAGE else None)

    return await go_round(ctx, leaver, cursor, redact_person, also_erased=True)


async def redact_old_mentions(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """The same in what those did who are erased too; the cursor is (pseudonym, id).

    It comes behind: of two who leave at once, one's rows may just be changing names.
    """
    if not cursor and not await leaving.has_erased_acquaintances(ctx.db, leaver.user_id):
        return Moved(0)
    rows = await leaving.list_deeds_of_nobody(ctx.db, cursor)
    count = await _replace_all(ctx, leaver, rows)
    return Moved(count, [rows[-1].actor_id, rows[-1].id] if len(rows) == PAGE else None)


async def _replace_all(ctx: Context, leaver: Leaver, rows: Sequence[AuditEntry]) -> int:
    changed = [
        {"id": row.id, "detail": detail}
        for row in rows
        if (detail := replace(row.detail, leaver)) != row.detail
    ]
    await leaving.rewrite_deeds(ctx.db, changed)
    return len(changed)


def rewrite(row: AuditEntry, leaver: Leaver) -> dict[str, Any]:
    """A row without them. The address is theirs, unless somebody else was there."""
    actor_id, subject_id = (
        leaver.pseudonym if one == leaver.user_id else one for one in (row.actor_id, row.subject_id)
    )
    is_others = row.actor_id not in (None, leaver.user_id)
    said = {key: value for key, value in row.detail.items() if key in SAYS | PEOPLE}
    return {
        "id": row.id,
        "actor_id": actor_id,
        "subject_id": subject_id,
        "address": row.address if is_others else None,
        "detail": replace(said, leaver),
    }


def replace(detail: dict[str, Any], leaver: Leaver) -> dict[str, Any]:
    """The detail with the pseudonym where it names them among people."""

    def change(value: Any) -> Any:
        if isinstance(value, list):
            return [change(one) for one in value]
        return leaver.pseudonym if value == leaver.user_id else value

    return {key: change(value) if key in PEOPLE else value for key, value in detail.items()}

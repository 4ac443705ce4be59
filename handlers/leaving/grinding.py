"""An erasure, step by step: each a unit of work with its checkpoint, one store after the other."""

from collections.abc import Sequence
from time import monotonic

from handlers.leaving.copies import Copies, forget_jobs, redact_notifications
from handlers.leaving.legacy import (
    forget_alerts,
    forget_belongings,
    forget_exports,
    forget_files,
    forget_notes,
    forget_tests,
)
from handlers.leaving.parting import blank_person, part_chats, part_relations
from handlers.leaving.steps import Leaver, Step
from handlers.leaving.trail import redact_deeds, redact_mentions, redact_old_mentions
from server import texts
from server.context import Context
from server.contract import Namespace
from storage import leaving
from storage.leaving import Erasure

PORTION = 20.0
"""Seconds after which a job makes way for others and asks for itself again."""


def list_stores(namespaces: Sequence[Namespace]) -> dict[str, Step]:
    """Everywhere that somebody may be, in the order in which they are taken out.

    First nobody can be told of them any more, nor write to them; then what there is of them is
    counted out, and nothing can come behind. Jobs go before what they name.
    """
    copies = Copies(namespaces)
    return {
        "account": blank_person,
        "relations": part_relations,
        "messages": part_chats,
        "alerts": forget_alerts,
        "notes": forget_notes,
        "jobs": forget_jobs,
        "files": forget_files,
        "exports": forget_exports,
        "belongings": forget_belongings,
        "tests": forget_tests,
        "notifications": redact_notifications,
        "logs": copies.redact_logs,
        "replies": copies.redact_replies,
        "audit": redact_deeds,
        "mentions": redact_mentions,
        "old_mentions": redact_old_mentions,
    }


async def grind(ctx: Context, erasure_id: int, round: int, stores: dict[str, Step]) -> bool:
    """Go on with a round; False when it is to be gone on with later.

    What another worker has done, before it died or while it was thought dead, is passed over: the
    checkpoint is held while a step is under way, and moves with what the step does. Way is made
    only after a step, so that every portion gets further however slow the machine is.
    """
    until = monotonic() + PORTION
    for store, step in stores.items():
        while True:
            async with ctx.work() as work:
                is_done = await _take_step(work, erasure_id, round, store, step)
            if is_done:
                break
            if monotonic() > until:
                return False
    return True


async def _take_step(ctx: Context, erasure_id: int, round: int, store: str, step: Step) -> bool:
    erasure = await leaving.get_erasure(ctx.db, erasure_id)
    if erasure is None or erasure.user_id is None:
        return True
    checkpoint = await leaving.hold_step(ctx.db, erasure_id, round, store)
    if checkpoint.is_done:
        return True
    moved = await step(ctx, _describe(erasure, erasure.user_id, round), checkpoint.cursor)
    await leaving.move_step(ctx.db, checkpoint, moved.cursor, moved.count)
    return moved.cursor is None


def _describe(erasure: Erasure, user_id: int, round: int) -> Leaver:
    name = texts.get("account.erased_name", erasure.locale or texts.DEFAULT_LOCALE)
    return Leaver(user_id, erasure.pseudonym, name, erasure.email, round)

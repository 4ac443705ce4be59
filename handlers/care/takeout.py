"""What people take along of care: with whom they work, or have worked."""

from handlers.care.declared import care
from handlers.care.payloads import Relation
from server.context import Context
from server.portions import PORTION, Portion
from storage import care as relations


@care.exported("relations")
async def take_relations(ctx: Context, after: tuple[int, int] | None) -> Portion:
    pairs = await relations.list_pairs_after(
        ctx.db, ctx.user.id, after=after or (0, 0), limit=PORTION
    )
    items = [Relation.of(pair, ctx.link) for pair in pairs]
    return Portion.of(items, pairs, lambda pair: (pair.psychologist.id, pair.patient.id))

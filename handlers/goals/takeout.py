"""What people take along of their goals, with all that is under them, and what they earned."""

from handlers.goals.aims import MAX_GOALS
from handlers.goals.declared import goals
from handlers.goals.rewards import describe_achievements
from handlers.goals.settling import describe_goals
from server.context import Context
from server.portions import Portion
from storage import goals as kept


@goals.exported("goals")
async def take_goals(ctx: Context, after: bool | None) -> Portion:
    """Those that are not archived first."""
    archived = after is not None
    rows, _ = await kept.list_goals(ctx.db, ctx.user.id, archived=archived, skip=0, limit=MAX_GOALS)
    return Portion(await describe_goals(ctx, rows), after=None if archived else True)


@goals.exported("achievements", together=False)
async def take_achievements(ctx: Context, after: None) -> Portion:
    return Portion([await describe_achievements(ctx, ctx.user.id, ctx.locale)])

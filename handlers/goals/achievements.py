"""Achievements: what there is to be earned, what is, and by how many."""

from datetime import timedelta

from handlers.goals.awards import AWARDS
from handlers.goals.declared import READ_RATE, count_holders, goals
from handlers.goals.payloads import Achievements, CountHolders
from handlers.goals.rewards import describe_achievements
from server.context import Context
from server.contract import EVERYONE
from server.payload import Nothing
from storage import goals as kept


@goals.on("achievement:list", roles=EVERYONE, rate=READ_RATE, reads=True)
async def list_achievements(ctx: Context, request: Nothing) -> Achievements:
    """Every achievement, earned or not.

    `percent` is the share of active accounts that hold it, counted once a day; it is null while
    there are fewer than 20 of them.
    """
    return await describe_achievements(ctx, ctx.user.id, ctx.locale)


async def count_all_holders(ctx: Context) -> None:
    """Count anew how many of the active accounts hold each achievement."""
    people = await kept.count_people(ctx.db)
    await kept.remove_shares(ctx.db, but=[award.code for award in AWARDS])
    for award in AWARDS:
        holders = await kept.count_holders(ctx.db, award.code)
        await kept.set_share(
            ctx.db, award.code, holders=min(holders, people), people=people, now=ctx.now
        )


def plan_count(ctx: Context, *, delay: timedelta) -> None:
    """See to it that a count is planned; a pending one keeps its time."""
    ctx.enqueue(count_holders, CountHolders(), key="all", delay=delay)

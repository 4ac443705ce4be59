"""Files at a goal: what shows that something was reached."""

from handlers.goals.declared import CHANGE_RATE, goals
from handlers.goals.payloads import ChangeAttachment, Goal
from handlers.goals.settling import hold_goal, settle_goal
from handlers.uploads import Purpose, attach, discard
from server.context import Context
from server.contract import EVERYONE
from server.errors import NotFound, QuotaExceeded
from storage import goals as kept

MAX_FILES = 10
"""Of one goal."""


@goals.on("attachment:add", roles=EVERYONE, rate=CHANGE_RATE)
async def add_attachment(ctx: Context, request: ChangeAttachment) -> Goal:
    """Put an upload of one's own, made for a goal, to this goal. A goal has up to 10 files.

    Raises: not_found, invalid, quota_exceeded.
    """
    held = await hold_goal(ctx, ctx.user.id, request.goal_id)
    if await kept.count_files(ctx.db, held.goal.id) >= MAX_FILES:
        raise QuotaExceeded
    await attach(ctx, held.person.id, [request.upload_id], Purpose.GOAL, field="upload_id")
    await kept.add_file(ctx.db, held.goal.id, request.upload_id)
    return await settle_goal(ctx, held)


@goals.on("attachment:remove", roles=EVERYONE, rate=CHANGE_RATE)
async def remove_attachment(ctx: Context, request: ChangeAttachment) -> Goal:
    """Take a file away from a goal, for good.

    Raises: not_found.
    """
    held = await hold_goal(ctx, ctx.user.id, request.goal_id)
    if not await kept.has_file(ctx.db, held.goal.id, request.upload_id):
        raise NotFound
    await discard(ctx, [request.upload_id])
    return await settle_goal(ctx, held)

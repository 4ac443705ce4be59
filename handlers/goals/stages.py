"""Stages: the steps to a goal, in an order, done or not."""

from handlers import notifications
from handlers.goals.declared import CHANGE_RATE, goals
from handlers.goals.payloads import AddStage, ChangeStage, Goal, ReorderStage, UpdateStage
from handlers.goals.planning import plan_next
from handlers.goals.rewards import Deed
from handlers.goals.rules import move_behind
from handlers.goals.settling import Held, hold_goal, hold_goal_of_stage, settle_goal, subject_of
from server.context import Context
from server.contract import EVERYONE
from server.errors import NotFound, QuotaExceeded
from storage import goals as kept
from storage.goals import FeatKind, Stage

MAX_STAGES = 50
"""Of one goal."""


@goals.on("stage:add", roles=EVERYONE, rate=CHANGE_RATE)
async def add_stage(ctx: Context, request: AddStage) -> Goal:
    """One more stage. A goal has up to 50.

    Raises: not_found, quota_exceeded.
    """
    held = await hold_goal(ctx, ctx.user.id, request.goal_id)
    await put_stage(
        ctx,
        held,
        title=request.title,
        weight=request.weight,
        after_stage_id=request.after_stage_id,
    )
    return await settle_goal(ctx, held)


async def put_stage(
    ctx: Context, held: Held, *, title: str, weight: int = 1, after_stage_id: int | None = None
) -> Stage:
    """Add a stage to a goal that is held; whoever adds some settles the goal once, after them.

    Raises: NotFound for a stage to put it behind that is not there, QuotaExceeded.
    """
    stages = await kept.list_stages(ctx.db, held.goal.id)
    if len(stages) >= MAX_STAGES:
        raise QuotaExceeded
    place = stages[-1].place + 1 if stages else 1
    stage = await kept.add_stage(ctx.db, held.goal.id, place=place, title=title, weight=weight)
    if after_stage_id is not None:
        _put_behind([*stages, stage], stage, after_stage_id)
    return stage


@goals.on("stage:update", roles=EVERYONE, rate=CHANGE_RATE)
async def update_stage(ctx: Context, request: UpdateStage) -> Goal:
    """Change a stage; what is left out stays as it is.

    Raises: not_found.
    """
    held = await hold_goal_of_stage(ctx, ctx.user.id, request.stage_id)
    stage = await _access_stage(ctx, held, request.stage_id)
    if request.title is not None:
        stage.title = request.title
    if request.weight is not None:
        stage.weight = request.weight
    return await settle_goal(ctx, held)


@goals.on("stage:delete", roles=EVERYONE, rate=CHANGE_RATE)
async def delete_stage(ctx: Context, request: ChangeStage) -> Goal:
    """Delete a stage. What was earned by completing it stays earned.

    Raises: not_found.
    """
    held = await hold_goal_of_stage(ctx, ctx.user.id, request.stage_id)
    await kept.delete_stage(ctx.db, await _access_stage(ctx, held, request.stage_id))
    return await settle_goal(ctx, held)


@goals.on("stage:reorder", roles=EVERYONE, rate=CHANGE_RATE)
async def reorder_stage(ctx: Context, request: ReorderStage) -> Goal:
    """Put a stage right behind another one of its goal, or first.

    It names one move and no whole order, so that what two devices move at once both is moved.

    Raises: not_found, invalid.
    """
    held = await hold_goal_of_stage(ctx, ctx.user.id, request.stage_id)
    stage = await _access_stage(ctx, held, request.stage_id)
    if request.after_stage_id != stage.id:
        stages = await kept.list_stages(ctx.db, held.goal.id)
        _put_behind(stages, stage, request.after_stage_id)
    return await settle_goal(ctx, held)


@goals.on("stage:complete", roles=EVERYONE, rate=CHANGE_RATE)
async def complete_stage(ctx: Context, request: ChangeStage) -> Goal:
    """Tick a stage off; twice is once. Progress and achievements follow in the same moment.

    What still reminds of the goal, a notification or a snoozed reminder, has been answered.

    Raises: not_found.
    """
    held = await hold_goal_of_stage(ctx, ctx.user.id, request.stage_id)
    stage = await _access_stage(ctx, held, request.stage_id)
    if stage.completed_at is not None:
        return await settle_goal(ctx, held)
    stage.completed_at = ctx.now
    await _stop_reminding(ctx, held)
    return await settle_goal(ctx, held, deeds=[Deed(FeatKind.STAGE, stage.id, is_done=True)])


@goals.on("stage:undo", roles=EVERYONE, rate=CHANGE_RATE)
async def undo_stage(ctx: Context, request: ChangeStage) -> Goal:
    """Take a tick back, and with it what was earned by it; twice is once.

    Raises: not_found.
    """
    held = await hold_goal_of_stage(ctx, ctx.user.id, request.stage_id)
    stage = await _access_stage(ctx, held, request.stage_id)
    if stage.completed_at is None:
        return await settle_goal(ctx, held)
    stage.completed_at = None
    return await settle_goal(ctx, held, deeds=[Deed(FeatKind.STAGE, stage.id, is_done=False)])


async def _access_stage(ctx: Context, held: Held, stage_id: int) -> Stage:
    """Raises: NotFound, where it went before its goal was held."""
    for stage in await kept.list_stages(ctx.db, held.goal.id):
        if stage.id == stage_id:
            return stage
    raise NotFound


def _put_behind(stages: list[Stage], moved: Stage, before: int | None) -> None:
    """Raises: NotFound."""
    by_id = {stage.id: stage for stage in stages}
    if before is not None and before not in by_id:
        raise NotFound
    for place, stage_id in enumerate(move_behind(list(by_id), moved.id, before), 1):
        by_id[stage_id].place = place


async def _stop_reminding(ctx: Context, held: Held) -> None:
    await notifications.read_subjects(ctx, [(held.person.id, subject_of(held.goal.id))])
    for reminder in await kept.list_goal_reminders(ctx.db, held.goal.id):
        if reminder.snoozed:
            plan_next(ctx, held.goal, reminder)

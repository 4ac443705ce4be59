"""Goals: made, changed, put away and deleted."""

from handlers import notifications
from handlers.goals.declared import CHANGE_RATE, READ_RATE, goal_deleted, goals, remind
from handlers.goals.payloads import (
    ChangeGoal,
    CreateGoal,
    GetGoal,
    Goal,
    GoalDeleted,
    ListGoals,
    UpdateGoal,
)
from handlers.goals.settling import Held, describe_goals, hold_goal, settle_goal, subject_of
from handlers.uploads import discard
from server.context import Context
from server.contract import EVERYONE
from server.errors import NotFound, QuotaExceeded
from server.payload import Page
from storage import accounts
from storage import goals as kept

MAX_GOALS = 100
"""Of one person, with the archived ones."""


@goals.on("goal:create", roles=EVERYONE, rate=CHANGE_RATE)
async def create_goal(ctx: Context, request: CreateGoal) -> Goal:
    """A new goal, without stages. A person has up to 100, with the archived ones.

    Raises: quota_exceeded.
    """
    person = await accounts.lock_user(ctx.db, ctx.user.id)
    if await kept.count_goals(ctx.db, person.id) >= MAX_GOALS:
        raise QuotaExceeded
    goal = await kept.add_goal(
        ctx.db,
        person.id,
        title=request.title,
        description=request.description,
        deadline=request.deadline,
        now=ctx.now,
    )
    return await settle_goal(ctx, Held(person, goal))


@goals.on("goal:update", roles=EVERYONE, rate=CHANGE_RATE)
async def update_goal(ctx: Context, request: UpdateGoal) -> Goal:
    """Change a goal; what is left out stays as it is. Reminders follow the deadline.

    Raises: not_found.
    """
    held = await hold_goal(ctx, ctx.user.id, request.goal_id)
    goal = held.goal
    if request.title is not None:
        goal.title = request.title
    if request.description is not None:
        goal.description = request.description
    is_moved = "deadline" in request.model_fields_set and request.deadline != goal.deadline
    if is_moved:
        goal.deadline = request.deadline
    return await settle_goal(ctx, held, replan=is_moved)


@goals.on("goal:get", roles=EVERYONE, rate=READ_RATE, reads=True)
async def get_goal(ctx: Context, request: GetGoal) -> Goal:
    """One goal with everything under it.

    Raises: not_found.
    """
    goal = await kept.get_goal(ctx.db, ctx.user.id, request.goal_id)
    if goal is None:
        raise NotFound
    (described,) = await describe_goals(ctx, [goal])
    return described


@goals.on("goal:list", roles=EVERYONE, rate=READ_RATE, reads=True)
async def list_goals(ctx: Context, request: ListGoals) -> Page[Goal]:
    """The person's goals that are not archived, newest first."""
    return await _list(ctx, request, archived=False)


@goals.on("goal:list_archived", roles=EVERYONE, rate=READ_RATE, reads=True)
async def list_archived_goals(ctx: Context, request: ListGoals) -> Page[Goal]:
    """The person's archived goals, newest first."""
    return await _list(ctx, request, archived=True)


@goals.on("goal:archive", roles=EVERYONE, rate=CHANGE_RATE)
async def archive_goal(ctx: Context, request: ChangeGoal) -> Goal:
    """Put a goal away: its reminders end. Doing it again changes nothing.

    Raises: not_found.
    """
    held = await hold_goal(ctx, ctx.user.id, request.goal_id)
    if held.goal.archived_at is None:
        held.goal.archived_at = ctx.now
    return await settle_goal(ctx, held)


@goals.on("goal:restore", roles=EVERYONE, rate=CHANGE_RATE)
async def restore_goal(ctx: Context, request: ChangeGoal) -> Goal:
    """Take a goal out of the archive: its reminders go on. Doing it again changes nothing.

    Raises: not_found.
    """
    held = await hold_goal(ctx, ctx.user.id, request.goal_id)
    held.goal.archived_at = None
    return await settle_goal(ctx, held)


@goals.on("goal:delete", roles=EVERYONE, rate=CHANGE_RATE)
async def delete_goal(ctx: Context, request: ChangeGoal) -> GoalDeleted:
    """Delete a goal with its stages, files and reminders. What was earned by it stays earned.

    Raises: not_found.
    """
    held = await hold_goal(ctx, ctx.user.id, request.goal_id)
    goal = held.goal
    parts = (await kept.list_parts(ctx.db, [goal.id]))[goal.id]
    for reminder in parts.reminders:
        ctx.cancel(remind, key=str(reminder.id))
    await notifications.read_subjects(ctx, [(goal.user_id, subject_of(goal.id))])
    await kept.delete_goal(ctx.db, goal.id)
    if parts.files:
        await discard(ctx, [file.id for file in parts.files])
    gone = GoalDeleted(goal_id=goal.id)
    ctx.push(goal_deleted, gone, to=[goal.user_id])
    return gone


async def _list(ctx: Context, request: ListGoals, *, archived: bool) -> Page[Goal]:
    rows, total = await kept.list_goals(
        ctx.db, ctx.user.id, archived=archived, skip=request.skip, limit=request.limit
    )
    return Page[Goal].of(request, await describe_goals(ctx, rows), total)

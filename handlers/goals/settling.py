"""Changing a goal: under its person's lock, with everything that follows, and everybody told."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from handlers import notifications
from handlers.goals.declared import goal_updated
from handlers.goals.payloads import Goal
from handlers.goals.planning import is_over, plan_reminders
from handlers.goals.rewards import Deed, settle_rewards
from handlers.goals.rules import DONE, measure_progress
from server.context import Context
from server.errors import NotFound
from storage import accounts
from storage import goals as kept
from storage.accounts import User
from storage.goals import FeatKind


@dataclass(frozen=True, slots=True)
class Held:
    """A goal and its person, whose other goals nobody changes meanwhile either."""

    person: User
    goal: kept.Goal


async def hold_goal(ctx: Context, user_id: int, goal_id: int) -> Held:
    """The goal, to be changed. Everything that changes goals begins here.

    The person comes first and is held too: what they have done on all their goals together earns
    achievements, and that must be counted by one after the other.

    Raises: NotFound.
    """
    person = await accounts.lock_user(ctx.db, user_id)
    goal = await kept.lock_goal(ctx.db, user_id, goal_id)
    if goal is None:
        raise NotFound
    return Held(person, goal)


async def hold_goal_of_stage(ctx: Context, user_id: int, stage_id: int) -> Held:
    """Raises: NotFound."""
    goal_id = await kept.find_goal_of_stage(ctx.db, user_id, stage_id)
    if goal_id is None:
        raise NotFound
    return await hold_goal(ctx, user_id, goal_id)


async def settle_goal(
    ctx: Context, held: Held, *, deeds: Sequence[Deed] = (), replan: bool = False
) -> Goal:
    """What follows from a change: progress, rewards and reminders; and the goal is told whole."""
    goal = held.goal
    await ctx.db.flush()
    parts = (await kept.list_parts(ctx.db, [goal.id]))[goal.id]
    was_done = goal.progress == DONE
    goal.progress = measure_progress(
        (stage.weight, stage.completed_at is not None) for stage in parts.stages
    )
    is_done = goal.progress == DONE
    if is_done != was_done:
        deeds = [*deeds, Deed(FeatKind.GOAL, goal.id, is_done=is_done)]
    if deeds:
        await settle_rewards(ctx, held.person, deeds)
    if is_over(goal):
        await notifications.read_subjects(ctx, [(goal.user_id, subject_of(goal.id))])
    plan_reminders(ctx, goal, parts.reminders, anew=replan)
    told = Goal.of(goal, parts, ctx.link)
    ctx.push(goal_updated, told, to=[goal.user_id])
    return told


async def describe_goals(ctx: Context, rows: Collection[kept.Goal]) -> list[Goal]:
    parts = await kept.list_parts(ctx.db, [row.id for row in rows])
    return [Goal.of(row, parts[row.id], ctx.link) for row in rows]


def subject_of(goal_id: int) -> str:
    """What notifications call a goal."""
    return f"goal:{goal_id}"

"""When reminders are due: their next firing is a pending job of each."""

from collections.abc import Collection
from datetime import time

from handlers.goals.declared import remind
from handlers.goals.firing import Firing, Rhythm, find_firing
from handlers.goals.payloads import Remind
from handlers.goals.rules import DONE
from server.context import Context
from storage.goals import Goal, Reminder


def is_over(goal: Goal) -> bool:
    """Whether there is nothing to remind of."""
    return goal.progress == DONE or goal.archived_at is not None


def plan_reminders(
    ctx: Context, goal: Goal, reminders: Collection[Reminder], *, anew: bool = False
) -> None:
    """Plan those that have no next firing and should have one, or all `anew`.

    What is due already is left to the job that is about to do it.
    """
    for reminder in reminders:
        if is_over(goal) or reminder.due_at is None or (anew and reminder.due_at > ctx.now):
            plan_next(ctx, goal, reminder)


def plan_next(ctx: Context, goal: Goal, reminder: Reminder) -> None:
    """The next of its times after now, if there is one and the goal is not over."""
    if is_over(goal):
        set_firing(ctx, reminder, None)
        return
    rhythm = Rhythm(
        times=tuple(map(time.fromisoformat, reminder.times.split())),
        every_days=reminder.every_days,
        starts_on=reminder.starts_on,
        last_day=goal.deadline,
        zone=reminder.zone,
    )
    set_firing(ctx, reminder, find_firing(rhythm, ctx.now))


def set_firing(
    ctx: Context, reminder: Reminder, firing: Firing | None, *, snoozed: bool = False
) -> None:
    key = str(reminder.id)
    reminder.snoozed = snoozed
    if firing is None:
        reminder.due_at = reminder.day = reminder.slot = None
        ctx.cancel(remind, key=key)
        return
    reminder.due_at, reminder.day, reminder.slot = firing.at, firing.day, firing.slot
    about = Remind(reminder_id=reminder.id)
    ctx.enqueue(remind, about, key=key, delay=firing.at - ctx.now, move=True)

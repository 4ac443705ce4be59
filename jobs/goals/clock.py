"""Goals, by the clock: reminders fire, and holders of achievements are counted once a day."""

from datetime import timedelta

from handlers.goals import (
    count_all_holders,
    count_holders,
    fire_reminder,
    plan_count,
    remind,
)
from handlers.goals.payloads import CountHolders, Remind
from jobs.perform import implements
from server.context import Context

COUNTED_EVERY = timedelta(days=1)


@implements(remind)
async def fire(ctx: Context, payload: Remind) -> None:
    """Remind of a goal, and plan the next time in the same transaction."""
    await fire_reminder(ctx, payload.reminder_id)


@implements(count_holders)
async def count(ctx: Context, payload: CountHolders) -> None:
    """Percentages are of the day; the next count is planned with this one."""
    await count_all_holders(ctx)
    plan_count(ctx, delay=COUNTED_EVERY)

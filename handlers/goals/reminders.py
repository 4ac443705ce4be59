"""Reminders: set, put off, and fired each once."""

from datetime import timedelta

from handlers import notifications
from handlers.accounts.moving import on_zone_changed
from handlers.goals.declared import (
    CHANGE_RATE,
    READ_RATE,
    REMINDER,
    goal_updated,
    goals,
    remind,
    reminder_due,
)
from handlers.goals.firing import local_day, put_off
from handlers.goals.payloads import (
    ChangeReminder,
    ListReminders,
    Remind,
    Reminder,
    ReminderDue,
    SetReminder,
    SnoozeReminder,
)
from handlers.goals.planning import is_over, plan_next, plan_reminders, set_firing
from handlers.goals.settling import Held, describe_goals, hold_goal, settle_goal, subject_of
from server import texts
from server.context import Context
from server.contract import EVERYONE
from server.errors import Conflict, NotFound, QuotaExceeded
from server.payload import Nothing, Page
from storage import accounts
from storage import goals as kept
from storage.accounts import MAY_SIGN_IN, User
from storage.notifications import NewNotification

MAX_REMINDERS = 5
"""Of one goal."""

LATE = timedelta(hours=12)
"""How long after its time a reminder still makes sense."""

FIRINGS_KEPT = timedelta(days=3)
"""Whoever moves to another zone may live through a day twice, and no more than one."""


@goals.on("reminder:set", roles=EVERYONE, rate=CHANGE_RATE)
async def set_reminder(ctx: Context, request: SetReminder) -> Reminder:
    """Remind of a goal at these times, in the zone of the profile, on every so many days.

    It goes on until the goal is reached or archived, or its last day is over. A goal has up to 5.

    Raises: not_found, quota_exceeded.
    """
    held = await hold_goal(ctx, ctx.user.id, request.goal_id)
    reminders = {row.id: row for row in await kept.list_goal_reminders(ctx.db, held.goal.id)}
    times = " ".join(request.times)
    if request.reminder_id is not None:
        row = reminders.get(request.reminder_id)
        if row is None:
            raise NotFound
        row.times, row.every_days = times, request.every_days
        row.starts_on = request.starts_on or row.starts_on
    elif len(reminders) >= MAX_REMINDERS:
        raise QuotaExceeded
    else:
        row = await kept.add_reminder(
            ctx.db,
            held.goal.id,
            times=times,
            every_days=request.every_days,
            starts_on=request.starts_on or local_day(ctx.now, held.person.time_zone),
            zone=held.person.time_zone,
        )
    plan_next(ctx, held.goal, row)
    await settle_goal(ctx, held)
    return Reminder.of(row)


@goals.on("reminder:list", roles=EVERYONE, rate=READ_RATE, reads=True)
async def list_reminders(ctx: Context, request: ListReminders) -> Page[Reminder]:
    """The person's reminders, of one goal or all, newest first."""
    rows, total = await kept.list_reminders(
        ctx.db,
        ctx.user.id,
        goal_id=request.goal_id,
        skip=request.skip,
        limit=request.limit,
    )
    return Page[Reminder].of(request, [Reminder.of(row) for row in rows], total)


@goals.on("reminder:delete", roles=EVERYONE, rate=CHANGE_RATE)
async def delete_reminder(ctx: Context, request: ChangeReminder) -> Nothing:
    """Remind no more.

    Raises: not_found.
    """
    held, row = await _hold_reminder(ctx, ctx.user.id, request.reminder_id)
    set_firing(ctx, row, None)
    await kept.delete_reminder(ctx.db, row)
    await settle_goal(ctx, held)
    return Nothing()


@goals.on("reminder:snooze", roles=EVERYONE, rate=CHANGE_RATE)
async def snooze_reminder(ctx: Context, request: SnoozeReminder) -> Reminder:
    """Remind in so many minutes, and not before; then as usual. A completed stage ends it.

    It is a conflict when there is nothing to remind of then.

    Raises: not_found, conflict.
    """
    held, row = await _hold_reminder(ctx, ctx.user.id, request.reminder_id)
    again = put_off(ctx.now + timedelta(minutes=request.minutes), row.zone)
    last_day = held.goal.deadline
    if is_over(held.goal) or (last_day is not None and again.day > last_day):
        raise Conflict
    set_firing(ctx, row, again, snoozed=True)
    await notifications.read_subjects(ctx, [(held.person.id, subject_of(held.goal.id))])
    await settle_goal(ctx, held)
    return Reminder.of(row)


async def fire_reminder(ctx: Context, reminder_id: int) -> None:
    """Remind, if it is time, and plan the next time; once for each slot of a day.

    The reminder knows what it waits for: a call that comes too early, twice or after an end finds
    nothing to do.
    """
    owner_id = await kept.find_owner(ctx.db, reminder_id)
    if owner_id is None:
        return
    try:
        held, row = await _hold_reminder(ctx, owner_id, reminder_id)
    except NotFound:
        return
    if row.due_at is None or row.day is None or row.slot is None:
        return
    if row.due_at > ctx.now:
        about = Remind(reminder_id=row.id)
        ctx.enqueue(remind, about, key=str(row.id), delay=row.due_at - ctx.now, move=True)
        return
    today = local_day(ctx.now, row.zone)
    is_wanted = (
        ctx.now - row.due_at <= LATE
        and (held.goal.deadline is None or today <= held.goal.deadline)
        and held.person.status in MAY_SIGN_IN
    )
    is_new = await kept.mark_fired(ctx.db, row.id, row.day, row.slot)
    await kept.forget_firings(ctx.db, row.id, min(row.day, today) - FIRINGS_KEPT)
    plan_next(ctx, held.goal, row)
    if is_wanted and is_new:
        await _tell_due(ctx, held, row)
    else:
        await settle_goal(ctx, held)


async def _tell_due(ctx: Context, held: Held, row: kept.Reminder) -> None:
    goal, person = held.goal, held.person
    due = ReminderDue(title=goal.title, reminder=Reminder.of(row))
    ctx.push(reminder_due, due, to=[person.id])
    # What was not read from the last time is the same thing: it must not keep this one quiet.
    await notifications.read_subjects(ctx, [(person.id, subject_of(goal.id))])
    await notifications.notify(
        ctx,
        [
            NewNotification(
                user_id=person.id,
                type=REMINDER.name,
                subject=subject_of(goal.id),
                title=goal.title,
                text=texts.get("notification.reminder_text", person.locale),
                link=f"/goals/{goal.id}",
                data={"goal_id": goal.id, "reminder_id": row.id},
            )
        ],
    )


@on_zone_changed
async def follow_zone(ctx: Context, person: User) -> None:
    """The same wall times elsewhere: what is to come is planned anew, what was stays."""
    rows = await kept.list_reminded_goals(ctx.db, person.id)
    parts = await kept.list_parts(ctx.db, [row.id for row in rows])
    for row in rows:
        for reminder in parts[row.id].reminders:
            reminder.zone = person.time_zone
        plan_reminders(ctx, row, parts[row.id].reminders, anew=True)
    for goal in await describe_goals(ctx, rows):
        ctx.push(goal_updated, goal, to=[person.id])


async def _hold_reminder(
    ctx: Context, user_id: int, reminder_id: int
) -> tuple[Held, kept.Reminder]:
    """Raises: NotFound."""
    await accounts.lock_user(ctx.db, user_id)
    found = await kept.get_reminder(ctx.db, user_id, reminder_id)
    if found is None:
        raise NotFound
    row, goal = found
    return await hold_goal(ctx, user_id, goal.id), row

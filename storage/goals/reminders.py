"""Reminders, and which of their times have come already."""

from datetime import date

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import insert
from storage.goals.tables import Firing, Goal, Reminder


async def get_reminder(
    db: AsyncSession, user_id: int, reminder_id: int
) -> tuple[Reminder, Goal] | None:
    """A reminder of this person, with its goal."""
    row = (
        await db.execute(
            select(Reminder, Goal)
            .join(Goal, Goal.id == Reminder.goal_id)
            .where(Reminder.id == reminder_id, Goal.user_id == user_id)
            .execution_options(populate_existing=True)
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def find_owner(db: AsyncSession, reminder_id: int) -> int | None:
    """Whose reminder it is; None when it is gone."""
    found: int | None = await db.scalar(
        select(Goal.user_id)
        .join(Reminder, Reminder.goal_id == Goal.id)
        .where(Reminder.id == reminder_id)
    )
    return found


async def list_reminders(
    db: AsyncSession, user_id: int, *, goal_id: int | None, skip: int, limit: int
) -> tuple[list[Reminder], int]:
    """Of all goals or one, newest first."""
    mine = [Goal.user_id == user_id]
    if goal_id is not None:
        mine.append(Goal.id == goal_id)
    joined = select(Reminder).join(Goal, Goal.id == Reminder.goal_id).where(*mine)
    total = (
        await db.execute(joined.with_only_columns(func.count(), maintain_column_froms=True))
    ).scalar_one()
    rows = await db.scalars(joined.order_by(Reminder.id.desc()).offset(skip).limit(limit))
    return list(rows), total


async def list_goal_reminders(db: AsyncSession, goal_id: int) -> list[Reminder]:
    rows = await db.scalars(
        select(Reminder)
        .where(Reminder.goal_id == goal_id)
        .order_by(Reminder.id)
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def list_reminded_goals(db: AsyncSession, user_id: int) -> list[Goal]:
    """The person's goals that have a reminder."""
    rows = await db.scalars(
        select(Goal)
        .where(
            Goal.user_id == user_id,
            Goal.id.in_(select(Reminder.goal_id).where(Reminder.goal_id == Goal.id)),
        )
        .order_by(Goal.id)
    )
    return list(rows)


async def add_reminder(
    db: AsyncSession, goal_id: int, *, times: str, every_days: int, starts_on: date, zone: str
) -> Reminder:
    reminder = Reminder(
        goal_id=goal_id,
        times=times,
        every_days=every_days,
        starts_on=starts_on,
        zone=zone,
        snoozed=False,
    )
    db.add(reminder)
    await db.flush()
    return reminder


async def delete_reminder(db: AsyncSession, reminder: Reminder) -> None:
    await db.delete(reminder)
    await db.flush()


async def mark_fired(db: AsyncSession, reminder_id: int, day: date, slot: str) -> bool:
    """False when this slot of this day has fired before."""
    statement = insert(db, Firing).values(reminder_id=reminder_id, day=day, slot=slot)
    marked = await db.execute(statement.on_conflict_do_nothing().returning(Firing.day))
    return marked.first() is not None


async def forget_firings(db: AsyncSession, reminder_id: int, before: date) -> None:
    """Forget those of days that can never come again, in whatever zone."""
    await db.execute(delete(Firing).where(Firing.reminder_id == reminder_id, Firing.day < before))

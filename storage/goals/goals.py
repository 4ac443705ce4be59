"""Goals with their stages and files."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.goals.splits import Proposal, list_proposals
from storage.goals.tables import File, Goal, Reminder, Stage
from storage.uploads import Upload


@dataclass(frozen=True, slots=True)
class Parts:
    """What belongs to a goal, each in its order; of its splits the last one."""

    stages: list[Stage]
    files: list[Upload]
    reminders: list[Reminder]
    proposals: list[Proposal]


async def add_goal(
    db: AsyncSession,
    user_id: int,
    *,
    title: str,
    description: str,
    deadline: date | None,
    now: datetime,
) -> Goal:
    goal = Goal(
        user_id=user_id,
        title=title,
        description=description,
        deadline=deadline,
        progress=0,
        created_at=now,
    )
    db.add(goal)
    await db.flush()
    return goal


async def count_goals(db: AsyncSession, user_id: int) -> int:
    """The archived ones too."""
    wanted = select(func.count()).select_from(Goal).where(Goal.user_id == user_id)
    return (await db.execute(wanted)).scalar_one()


async def get_goal(db: AsyncSession, user_id: int, goal_id: int) -> Goal | None:
    return (
        await db.scalars(select(Goal).where(Goal.id == goal_id, Goal.user_id == user_id))
    ).one_or_none()


async def lock_goal(db: AsyncSession, user_id: int, goal_id: int) -> Goal | None:
    """The goal, which nobody else changes before this transaction ends."""
    return (
        await db.scalars(
            select(Goal)
            .where(Goal.id == goal_id, Goal.user_id == user_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one_or_none()


async def list_goals(
    db: AsyncSession, user_id: int, *, archived: bool, skip: int, limit: int
) -> tuple[list[Goal], int]:
    """Newest first."""
    mine = [
        Goal.user_id == user_id,
        Goal.archived_at.is_not(None) if archived else Goal.archived_at.is_(None),
    ]
    total = (await db.execute(select(func.count()).select_from(Goal).where(*mine))).scalar_one()
    rows = await db.scalars(
        select(Goal).where(*mine).order_by(Goal.id.desc()).offset(skip).limit(limit)
    )
    return list(rows), total


async def list_parts(db: AsyncSession, goal_ids: Collection[int]) -> dict[int, Parts]:
    """What belongs to each of these goals."""
    parts: dict[int, Parts] = defaultdict(lambda: Parts([], [], [], []))
    if not goal_ids:
        return parts
    for stage in await db.scalars(
        select(Stage).where(Stage.goal_id.in_(goal_ids)).order_by(Stage.goal_id, Stage.place)
    ):
        parts[stage.goal_id].stages.append(stage)
    files = await db.execute(
        select(File.goal_id, Upload)
        .join(Upload, Upload.id == File.upload_id)
        .where(File.goal_id.in_(goal_ids))
        .order_by(File.goal_id, File.id)
    )
    for goal_id, upload in files:
        parts[goal_id].files.append(upload)
    for reminder in await db.scalars(
        select(Reminder)
        .where(Reminder.goal_id.in_(goal_ids))
        .order_by(Reminder.goal_id, Reminder.id)
    ):
        parts[reminder.goal_id].reminders.append(reminder)
    for goal_id, proposal in (await list_proposals(db, goal_ids)).items():
        parts[goal_id].proposals.append(proposal)
    return parts


async def delete_goal(db: AsyncSession, goal_id: int) -> None:
    """With everything under it but the uploads, which have bytes to be forgotten."""
    await db.execute(delete(Goal).where(Goal.id == goal_id))


async def find_goal_of_stage(db: AsyncSession, user_id: int, stage_id: int) -> int | None:
    """The id of the goal that a stage belongs to, if both are this person's."""
    found: int | None = await db.scalar(
        select(Goal.id)
        .join(Stage, Stage.goal_id == Goal.id)
        .where(Stage.id == stage_id, Goal.user_id == user_id)
    )
    return found


async def list_stages(db: AsyncSession, goal_id: int) -> list[Stage]:
    """In their order."""
    rows = await db.scalars(
        select(Stage)
        .where(Stage.goal_id == goal_id)
        .order_by(Stage.place)
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def add_stage(
    db: AsyncSession, goal_id: int, *, place: int, title: str, weight: int
) -> Stage:
    stage = Stage(goal_id=goal_id, place=place, title=title, weight=weight)
    db.add(stage)
    await db.flush()
    return stage


async def delete_stage(db: AsyncSession, stage: Stage) -> None:
    await db.delete(stage)
    await db.flush()


async def count_files(db: AsyncSession, goal_id: int) -> int:
    wanted = select(func.count()).select_from(File).where(File.goal_id == goal_id)
    return (await db.execute(wanted)).scalar_one()


async def add_file(db: AsyncSession, goal_id: int, upload_id: int) -> None:
    db.add(File(goal_id=goal_id, upload_id=upload_id))
    await db.flush()


async def has_file(db: AsyncSession, goal_id: int, upload_id: int) -> bool:
    wanted = select(File.id).where(File.goal_id == goal_id, File.upload_id == upload_id)
    return await db.scalar(wanted) is not None

"""Departures: noted, taken back, found."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import insert
from storage.leaving.tables import Departure


async def add_departure(db: AsyncSession, user_id: int, status: str, now: datetime) -> None:
    """Note that a person of this status leaves; what was noted before is forgotten."""
    changes = {"status": status, "at": now}
    statement = insert(db, Departure).values(user_id=user_id, **changes)
    await db.execute(
        statement.on_conflict_do_update(index_elements=[Departure.user_id], set_=changes)
    )


async def take_departure(db: AsyncSession, user_id: int, after: datetime) -> str | None:
    """Take a departure later than that back; the status from before, or None if there is none."""
    return await db.scalar(
        delete(Departure)
        .where(Departure.user_id == user_id, Departure.at > after)
        .returning(Departure.status)
    )


async def get_departure(db: AsyncSession, user_id: int) -> Departure | None:
    return (await db.scalars(select(Departure).where(Departure.user_id == user_id))).one_or_none()

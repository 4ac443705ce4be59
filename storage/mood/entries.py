"""Entries of diaries: added, found, listed, removed."""

import secrets
from datetime import date, datetime
from typing import Any

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import insert
from storage.mood.tables import Diary, Entry


async def change_diary(db: AsyncSession, user_id: int) -> None:
    """Say that a person's entries change in this transaction, and let nobody else change them.

    Whoever changes an entry calls this first: what is kept of the old ones is good no more.
    """
    revision = secrets.randbits(53)
    statement = insert(db, Diary).values(user_id=user_id, revision=revision)
    await db.execute(
        statement.on_conflict_do_update(index_elements=[Diary.user_id], set_={"revision": revision})
    )


async def get_revision(db: AsyncSession, user_id: int) -> int:
    """Another number after every change of a person's entries; 0 before there is any."""
    return (await db.scalar(select(Diary.revision).where(Diary.user_id == user_id))) or 0


async def add_entry(db: AsyncSession, **values: Any) -> Entry:
    entry = Entry(**values)
    db.add(entry)
    await db.flush()
    return entry


async def find_entry(db: AsyncSession, user_id: int, entry_id: int) -> Entry | None:
    """An entry of this person."""
    found = await db.scalars(select(Entry).where(Entry.id == entry_id, Entry.user_id == user_id))
    return found.one_or_none()


async def remove_entry(db: AsyncSession, user_id: int, entry_id: int) -> date | None:
    """Remove an entry of this person; the day it was on, or None when there is none."""
    removed = await db.scalars(
        delete(Entry)
        .where(Entry.id == entry_id, Entry.user_id == user_id)
        .returning(Entry.local_date)
    )
    return removed.one_or_none()


async def count_entries(db: AsyncSession, user_id: int, day: date) -> int:
    """How many entries a person has on one local date."""
    counted = select(func.count()).where(Entry.user_id == user_id, Entry.local_date == day)
    return (await db.execute(counted)).scalar_one()


async def list_entries(
    db: AsyncSession,
    user_id: int,
    *,
    start: date | None,
    end: date | None,
    skip: int,
    limit: int,
) -> tuple[list[Entry], int]:
    """Entries from one local date to another, both included: the latest day and moment first."""
    wanted = [Entry.user_id == user_id]
    if start is not None:
        wanted.append(Entry.local_date >= start)
    if end is not None:
        wanted.append(Entry.local_date <= end)
    total = (await db.execute(select(func.count()).where(*wanted))).scalar_one()
    rows = await db.scalars(
        select(Entry)
        .where(*wanted)
        .order_by(Entry.local_date.desc(), Entry.at.desc(), Entry.id.desc())
        .offset(skip)
        .limit(limit)
    )
    return list(rows), total


async def list_entries_after(
    db: AsyncSession, user_id: int, *, after: tuple[date, datetime, int] | None, limit: int
) -> list[Entry]:
    """A person's entries by (local_date, at, id)."""
    place = tuple_(Entry.local_date, Entry.at, Entry.id)
    wanted = select(Entry).where(Entry.user_id == user_id)
    if after is not None:
        wanted = wanted.where(place > after)
    rows = await db.scalars(wanted.order_by(Entry.local_date, Entry.at, Entry.id).limit(limit))
    return list(rows)

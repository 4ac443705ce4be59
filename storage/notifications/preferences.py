"""What people want to be told, and how."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import FromClause, and_, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import insert
from storage.many import INT, TEXT, Many, core, load
from storage.notifications.tables import Preference, Subscription

PREFERENCES = core(Preference)


def _find(asked: FromClause) -> Any:
    return select(PREFERENCES).join(
        asked,
        and_(PREFERENCES.c.user_id == asked.c.user_id, PREFERENCES.c.type == asked.c.type),
    )


_FIND = Many(_find, user_id=INT, type=TEXT)


async def list_preferences(db: AsyncSession, user_id: int) -> dict[str, Preference]:
    """What a person said, by type."""
    rows = await db.scalars(select(Preference).where(Preference.user_id == user_id))
    return {row.type: row for row in rows}


async def get_preferences(
    db: AsyncSession, wanted: Collection[tuple[int, str]]
) -> dict[tuple[int, str], Preference]:
    """What people said of types, by (user_id, type)."""
    rows = await _FIND.run(db, wanted)
    return {(row.user_id, row.type): load(Preference, row) for row in rows}


async def set_preference(
    db: AsyncSession, user_id: int, type: str, *, in_app: bool, push: bool, email: bool
) -> None:
    switches = {"in_app": in_app, "push": push, "email": email}
    statement = insert(db, Preference).values(user_id=user_id, type=type, **switches)
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=[Preference.user_id, Preference.type], set_=switches
        )
    )


async def list_subscriptions(db: AsyncSession, user_id: int) -> list[str]:
    rows = await db.scalars(
        select(Subscription.category)
        .where(Subscription.user_id == user_id)
        .order_by(Subscription.category)
    )
    return list(rows)


async def set_subscriptions(db: AsyncSession, user_id: int, categories: Collection[str]) -> None:
    """These categories and no others."""
    await db.execute(
        delete(Subscription).where(
            Subscription.user_id == user_id, Subscription.category.not_in(categories)
        )
    )
    if categories:
        rows = [{"user_id": user_id, "category": category} for category in sorted(categories)]
        await db.execute(insert(db, Subscription).values(rows).on_conflict_do_nothing())

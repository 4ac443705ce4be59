"""What people want to be told, and how."""

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import insert
from storage.given import is_any
from storage.notifications.tables import Preference, Subscription


async def list_preferences(db: AsyncSession, user_id: int) -> dict[str, Preference]:
    """What a person said, by type."""
    rows = await db.scalars(select(Preference).where(Preference.user_id == user_id))
    return {row.type: row for row in rows}


async def get_preferences(
    db: AsyncSession, user_ids: Collection[int], types: Collection[str]
) -> dict[tuple[int, str], Preference]:
    """What these people said of these types, by (user_id, type)."""
    rows = await db.scalars(
        select(Preference).where(
            is_any(db, Preference.user_id, user_ids), is_any(db, Preference.type, types)
        )
    )
    return {(row.user_id, row.type): row for row in rows}


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

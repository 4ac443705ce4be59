"""People: found, added, changed."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import FromClause, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.accounts.tables import Role, Status, User
from storage.database import insert
from storage.many import INT, Many, core
from storage.schema import Moment

USERS = core(User)


def _find_names(asked: FromClause) -> Any:
    return select(USERS.c.id, USERS.c.name, USERS.c.locale).join(asked, USERS.c.id == asked.c.id)


def _touch(seen: FromClause) -> Any:
    now = bindparam("now", type_=Moment())
    return update(USERS).where(USERS.c.id == seen.c.id).values(last_seen_at=now)


_NAMES = Many(_find_names, id=INT)
_TOUCH = Many(_touch, id=INT)


class Named(NamedTuple):
    """What a person is called, and the language they read."""

    name: str
    locale: str


async def get_user(db: AsyncSession, user_id: int) -> User | None:
    """A person; whoever is erased is none any more, though others' rows refer to theirs."""
    user = await db.get(User, user_id)
    return None if user is None or user.status == Status.ERASED else user


async def find_user(db: AsyncSession, email: str) -> User | None:
    return (
        await db.scalars(select(User).where(User.email == email, User.status != Status.ERASED))
    ).one_or_none()


async def find_named(db: AsyncSession, user_ids: Collection[int]) -> dict[int, Named]:
    rows = await _NAMES.run(db, [(user_id,) for user_id in user_ids])
    return {user_id: Named(name, locale) for user_id, name, locale in rows}


async def find_oauth_user(db: AsyncSession, provider: str, subject: str) -> User | None:
    return (
        await db.scalars(
            select(User).where(User.oauth_provider == provider, User.oauth_subject == subject)
        )
    ).one_or_none()


async def add_user(
    db: AsyncSession,
    *,
    email: str,
    name: str,
    role: Role,
    status: Status,
    locale: str,
    now: datetime,
    **credentials: Any,
) -> User | None:
    """The new user, or None when the address or the provider's subject is taken."""
    values = {
        "email": email,
        "name": name,
        "role": role,
        "status": status,
        "locale": locale,
        "time_zone": "UTC",
        "contacts": {},
        "created_at": now,
        **credentials,
    }
    return (
        await db.scalars(insert(db, User).values(**values).on_conflict_do_nothing().returning(User))
    ).one_or_none()


async def update_user(db: AsyncSession, user_id: int, **values: Any) -> User:
    return (
        await db.scalars(
            update(User)
            .where(User.id == user_id)
            .values(**values)
            .returning(User)
            .execution_options(populate_existing=True)
        )
    ).one()


async def lock_user(db: AsyncSession, user_id: int) -> User:
    """The user's row, which nobody else changes before this transaction ends."""
    return (
        await db.scalars(
            select(User)
            .where(User.id == user_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
    ).one()


async def has_psychologist(db: AsyncSession, user_ids: Collection[int]) -> bool:
    """Whether one of these people works here as a psychologist now."""
    found = select(User.id).where(
        User.id.in_(user_ids), User.role == Role.PSYCHOLOGIST, User.status == Status.ACTIVE
    )
    return await db.scalar(found.limit(1)) is not None


async def list_admins(db: AsyncSession, statuses: Collection[Status]) -> list[int]:
    """The admins who are in one of these states."""
    return list(
        await db.scalars(
            select(User.id)
            .where(User.role == Role.ADMIN, User.status.in_(statuses))
            .order_by(User.id)
            .limit(100)
        )
    )


async def touch_users(db: AsyncSession, user_ids: Collection[int], now: datetime) -> None:
    await _TOUCH.run(db, [(user_id,) for user_id in user_ids], now=now)

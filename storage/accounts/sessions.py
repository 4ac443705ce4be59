"""Sessions: sign-ins, their refresh tokens, and their end."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, FromClause, bindparam, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.accounts.tables import MAY_SIGN_IN, Device, RefreshToken, ResetToken, Session, User
from storage.database import insert
from storage.many import INT, Many, core
from storage.schema import DatabaseClock, Moment

SESSIONS, USERS = core(Session), core(User)


def _find_live(asked: FromClause) -> Any:
    return (
        select(SESSIONS.c.id, USERS.c.id, USERS.c.role, USERS.c.locale, USERS.c.status)
        .join(asked, SESSIONS.c.id == asked.c.id)
        .join(USERS, USERS.c.id == SESSIONS.c.user_id)
        .where(
            SESSIONS.c.ended_at.is_(None),
            SESSIONS.c.expires_at > bindparam("now", type_=Moment()),
            or_(*(USERS.c.status == status for status in MAY_SIGN_IN)),
        )
    )


_FIND_LIVE = Many(_find_live, id=INT)


@dataclass(frozen=True, slots=True)
class Signed:
    """A session, and what must be known of its user with every request."""

    session_id: int
    user_id: int
    role: str
    locale: str
    status: str


async def add_session(
    db: AsyncSession,
    user_id: int,
    *,
    user_agent: str,
    address: str,
    now: datetime,
    lifetime: timedelta,
) -> Session:
    session: Session = (
        await db.scalars(
            insert(db, Session)
            .values(
                user_id=user_id,
                user_agent=user_agent[:200],
                address=address[:45],
                created_at=now,
                last_used_at=now,
                expires_at=now + lifetime,
            )
            .returning(Session)
        )
    ).one()
    return session


async def get_live_session(
    db: AsyncSession, session_id: int, now: datetime
) -> tuple[Session, User] | None:
    """The session with its user, unless it ended, ran out, or the user may not sign in."""
    row = (
        await db.execute(
            select(Session, User)
            .join(User, User.id == Session.user_id)
            .where(Session.id == session_id, *_live(now), User.status.in_(MAY_SIGN_IN))
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def find_live_sessions(
    db: AsyncSession, session_ids: Collection[int], now: datetime
) -> list[Signed]:
    """Those of these sessions that live, and whose they are."""
    rows = await _FIND_LIVE.run(db, [(session_id,) for session_id in session_ids], now=now)
    return [Signed(*row) for row in rows]


async def list_live_sessions(
    db: AsyncSession, user_id: int, now: datetime, *, skip: int, limit: int
) -> tuple[list[Session], int]:
    mine = (Session.user_id == user_id, *_live(now))
    total = (await db.execute(select(func.count()).where(*mine))).scalar_one()
    page = await db.scalars(
        select(Session).where(*mine).order_by(Session.id.desc()).offset(skip).limit(limit)
    )
    return list(page), total


async def list_sessions_after(
    db: AsyncSession, user_id: int, *, after: int, limit: int
) -> list[Session]:
    """A person's sessions, also those that ended and are still kept, by id."""
    rows = await db.scalars(
        select(Session)
        .where(Session.user_id == user_id, Session.id > after)
        .order_by(Session.id)
        .limit(limit)
    )
    return list(rows)


async def end_sessions(
    db: AsyncSession, user_id: int, *, only: int | None = None, but: int | None = None
) -> list[int]:
    """End a user's sessions (only this one, or all but this one) and forget their devices.

    The ids of those that ended.
    """
    statement = update(Session).where(Session.user_id == user_id, Session.ended_at.is_(None))
    if only is not None:
        statement = statement.where(Session.id == only)
    if but is not None:
        statement = statement.where(Session.id != but)
    ended = list(await db.scalars(statement.values(ended_at=DatabaseClock()).returning(Session.id)))
    await db.execute(delete(Device).where(Device.session_id.in_(ended)))
    return ended


async def list_ended_sessions(
    db: AsyncSession, since: datetime | None
) -> tuple[datetime, list[int]]:
    """The database's time, and the sessions ended since then (without `since`: none)."""
    now = (await db.execute(select(DatabaseClock()))).scalar_one()
    if since is None:
        return now, []
    return now, list(await db.scalars(select(Session.id).where(Session.ended_at > since)))


async def add_refresh_token(
    db: AsyncSession, token_hash: str, session_id: int, now: datetime, lifetime: timedelta
) -> None:
    """Add the session's newest refresh token, whose life is the session's from now on."""
    expires_at = now + lifetime
    await db.execute(
        insert(db, RefreshToken).values(
            token_hash=token_hash, session_id=session_id, created_at=now, expires_at=expires_at
        )
    )
    await db.execute(
        update(Session)
        .where(Session.id == session_id)
        .values(last_used_at=now, expires_at=expires_at)
    )


async def use_refresh_token(
    db: AsyncSession, token_hash: str, client_ref: str | None, now: datetime
) -> bool:
    """Spend an unspent token; False when it was spent before, ran out or never was."""
    spent = await db.execute(
        update(RefreshToken)
        .where(
            RefreshToken.token_hash == token_hash,
            RefreshToken.used_at.is_(None),
            RefreshToken.expires_at > now,
        )
        .values(used_at=now, client_ref=client_ref)
        .returning(RefreshToken.session_id)
    )
    return spent.first() is not None


async def spend_refresh_tokens(db: AsyncSession, session_id: int, now: datetime) -> None:
    await db.execute(
        update(RefreshToken)
        .where(RefreshToken.session_id == session_id, RefreshToken.used_at.is_(None))
        .values(used_at=now)
    )


async def get_refresh_token(db: AsyncSession, token_hash: str) -> RefreshToken | None:
    return await db.get(RefreshToken, token_hash, populate_existing=True)


async def prune_tokens(db: AsyncSession, before: datetime) -> None:
    """Forget tokens and sessions that ran out before then."""
    await db.execute(delete(Session).where(Session.expires_at < before))
    await db.execute(delete(RefreshToken).where(RefreshToken.expires_at < before))
    await db.execute(delete(ResetToken).where(ResetToken.expires_at < before))


def _live(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (Session.ended_at.is_(None), Session.expires_at > now)

"""Accounts: people, their sessions, and the secrets they sign in with."""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from storage.database import insert
from storage.schema import NEVER_REUSED, DatabaseClock, Key, Table, UserId, big_integer


class Role(StrEnum):
    PATIENT = "patient"
    PSYCHOLOGIST = "psychologist"
    ADMIN = "admin"
    MERCHANT = "merchant"
    TRADER = "trader"
    TEAM_LEAD = "team_lead"
    SUPPORT = "support"


class Status(StrEnum):
    ACTIVE = "active"
    PENDING = "pending"
    BLOCKED = "blocked"
    DEACTIVATED = "deactivated"


MAY_SIGN_IN = (Status.ACTIVE, Status.PENDING)


class User(Table):
    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("oauth_provider", "oauth_subject"), NEVER_REUSED)

    id: Mapped[Key]
    email: Mapped[str] = mapped_column(String(254), unique=True)
    email_verified_at: Mapped[datetime | None]
    password_hash: Mapped[str | None] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    locale: Mapped[str] = mapped_column(String(10))
    time_zone: Mapped[str] = mapped_column(String(64))
    contacts: Mapped[dict[str, str]] = mapped_column(JSON)
    push_enabled: Mapped[bool] = mapped_column(default=True, server_default="1")
    oauth_provider: Mapped[str | None] = mapped_column(String(40))
    oauth_subject: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime | None]


class Session(Table):
    """One sign-in. Ending it ends its tokens and its sockets."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index(None, "user_id", "id"),
        Index(None, "ended_at"),
        Index(None, "expires_at"),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    user_id: Mapped[UserId]
    user_agent: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(String(45))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class RefreshToken(Table):
    __tablename__ = "refresh_tokens"
    __table_args__ = (Index(None, "session_id"),)

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("sessions.id", ondelete="CASCADE")
    )
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    client_ref: Mapped[str | None] = mapped_column(String(36))


class ResetToken(Table):
    __tablename__ = "reset_tokens"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[UserId] = mapped_column(index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class ApiKey(Table):
    """A partner server's credentials: a public id and the hash of a long random secret."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[UserId] = mapped_column(index=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


async def get_user(db: AsyncSession, user_id: int) -> User | None:
    return await db.get(User, user_id)


async def find_user(db: AsyncSession, email: str) -> User | None:
    return (await db.scalars(select(User).where(User.email == email))).one_or_none()


async def list_users(db: AsyncSession, user_ids: Collection[int]) -> dict[int, User]:
    rows = await db.scalars(select(User).where(User.id.in_(user_ids)))
    return {row.id: row for row in rows}


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


async def touch_user(db: AsyncSession, user_id: int, now: datetime) -> None:
    await db.execute(update(User).where(User.id == user_id).values(last_seen_at=now))


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


async def list_live_sessions(
    db: AsyncSession, user_id: int, now: datetime, *, skip: int, limit: int
) -> tuple[list[Session], int]:
    mine = (Session.user_id == user_id, *_live(now))
    total = (await db.execute(select(func.count()).where(*mine))).scalar_one()
    page = await db.scalars(
        select(Session).where(*mine).order_by(Session.id.desc()).offset(skip).limit(limit)
    )
    return list(page), total


async def end_sessions(
    db: AsyncSession, user_id: int, *, only: int | None = None, but: int | None = None
) -> list[int]:
    """End a user's sessions (only this one, or all but this one); the ids of those that ended."""
    statement = update(Session).where(Session.user_id == user_id, Session.ended_at.is_(None))
    if only is not None:
        statement = statement.where(Session.id == only)
    if but is not None:
        statement = statement.where(Session.id != but)
    return list(await db.scalars(statement.values(ended_at=DatabaseClock()).returning(Session.id)))


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


async def add_reset_token(
    db: AsyncSession, token_hash: str, user_id: int, expires_at: datetime
) -> None:
    """Add a token; one whose letter is late and sent again is good for as long as a new one."""
    statement = insert(db, ResetToken).values(
        token_hash=token_hash, user_id=user_id, expires_at=expires_at
    )
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=[ResetToken.token_hash], set_={"expires_at": expires_at}
        )
    )


async def find_reset_owner(db: AsyncSession, token_hash: str, now: datetime) -> User | None:
    """Whose reset token this is, if it is still good."""
    return (
        await db.scalars(
            select(User)
            .join(ResetToken, ResetToken.user_id == User.id)
            .where(
                ResetToken.token_hash == token_hash,
                ResetToken.used_at.is_(None),
                ResetToken.expires_at > now,
            )
        )
    ).one_or_none()


async def use_reset_token(db: AsyncSession, token_hash: str, now: datetime) -> int | None:
    """Spend a reset token; whose it was, or None when it is not good."""
    return await db.scalar(
        update(ResetToken)
        .where(
            ResetToken.token_hash == token_hash,
            ResetToken.used_at.is_(None),
            ResetToken.expires_at > now,
        )
        .values(used_at=now)
        .returning(ResetToken.user_id)
    )


async def spend_reset_tokens(db: AsyncSession, user_id: int, now: datetime) -> None:
    await db.execute(
        update(ResetToken)
        .where(ResetToken.user_id == user_id, ResetToken.used_at.is_(None))
        .values(used_at=now)
    )


async def add_api_key(
    db: AsyncSession, key_id: str, secret_hash: str, user_id: int, now: datetime
) -> None:
    await db.execute(
        insert(db, ApiKey).values(
            id=key_id, user_id=user_id, secret_hash=secret_hash, created_at=now
        )
    )


async def find_api_key_owner(db: AsyncSession, key_id: str, secret_hash: str) -> User | None:
    return (
        await db.scalars(
            select(User)
            .join(ApiKey, ApiKey.user_id == User.id)
            .where(
                ApiKey.id == key_id,
                ApiKey.secret_hash == secret_hash,
                ApiKey.revoked_at.is_(None),
                User.status == Status.ACTIVE,
            )
        )
    ).one_or_none()


async def prune_tokens(db: AsyncSession, before: datetime) -> None:
    """Forget tokens and sessions that ran out before then."""
    await db.execute(delete(Session).where(Session.expires_at < before))
    await db.execute(delete(RefreshToken).where(RefreshToken.expires_at < before))
    await db.execute(delete(ResetToken).where(ResetToken.expires_at < before))


def _live(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (Session.ended_at.is_(None), Session.expires_at > now)

"""The tables of accounts: people, their sessions, and the secrets they sign in with."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.schema import NEVER_REUSED, Key, Table, UserId, big_integer


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
    ERASED = "erased"


MAY_SIGN_IN = (Status.ACTIVE, Status.PENDING)


class User(Table):
    """A person. Of one who is erased the row stays, blank, for what others have of them."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("oauth_provider", "oauth_subject"),
        Index(
            "ix_users_admins",
            "id",
            postgresql_where=text("role = 'admin'"),
            sqlite_where=text("role = 'admin'"),
        ),
        NEVER_REUSED,
    )

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
    avatar_upload_id: Mapped[int | None] = mapped_column(big_integer)
    digest_times: Mapped[str] = mapped_column(String(80), default="", server_default=text("''"))
    digest_frequency: Mapped[str] = mapped_column(String(10), default="off", server_default="off")
    digest_weekday: Mapped[int | None]
    quiet_starts: Mapped[str | None] = mapped_column(String(5))
    quiet_ends: Mapped[str | None] = mapped_column(String(5))


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


class Device(Table):
    """Where push messages of a session go. A token is one app on one phone."""

    __tablename__ = "devices"
    __table_args__ = (Index(None, "user_id", "id"), Index(None, "session_id"), NEVER_REUSED)

    id: Mapped[Key]
    user_id: Mapped[UserId]
    session_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("sessions.id", ondelete="CASCADE")
    )
    token: Mapped[str] = mapped_column(String(1000), unique=True)
    platform: Mapped[str] = mapped_column(String(10))
    registered_at: Mapped[datetime]


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

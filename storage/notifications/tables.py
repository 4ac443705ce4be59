"""The tables of notifications: the feed, and what each person wants of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from storage.schema import NEVER_REUSED, Key, Number, Table, UserId, UserKey

_UNREAD = "read_at IS NULL"
_GOING_ON = "version > 0"


class Notification(Table):
    """`subject` names what it is about; there is one unread notification about a thing.

    `version` grows when there is more to tell of it, as with every message of a chat, until there
    is nothing more; 0 for what has only one thing to tell.
    One that its person does not want in the feed is there for the other channels.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        Index(None, "user_id", "id"),
        Index(
            "ix_notifications_going_on",
            "user_id",
            "subject",
            postgresql_where=sql(_GOING_ON),
            sqlite_where=sql(_GOING_ON),
        ),
        Index(
            "uq_notifications_unread_subject",
            "user_id",
            "subject",
            unique=True,
            postgresql_where=sql(_UNREAD),
            sqlite_where=sql(_UNREAD),
        ),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    user_id: Mapped[UserId]
    type: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(80))
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(String(500))
    link: Mapped[str] = mapped_column(String(200))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    in_app: Mapped[bool] = mapped_column(default=True, server_default="1")
    version: Mapped[Number] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]


class Preference(Table):
    """By which channels a person wants one type, where they said so."""

    __tablename__ = "preferences"

    user_id: Mapped[UserKey]
    type: Mapped[str] = mapped_column(String(40), primary_key=True)
    in_app: Mapped[bool]
    push: Mapped[bool]
    email: Mapped[bool]


class Subscription(Table):
    """A category of resources that a person wants to hear of."""

    __tablename__ = "subscriptions"
    __table_args__ = (Index(None, "category", "user_id"),)

    user_id: Mapped[UserKey]
    category: Mapped[str] = mapped_column(String(100), primary_key=True)

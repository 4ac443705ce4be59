"""The tables of moods: a diary for each person, and its entries."""

from datetime import date, datetime

from sqlalchemy import JSON, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from storage.schema import NEVER_REUSED, Key, Number, Table, UserId, UserKey


class Diary(Table):
    """All entries of one person together; the row exists once there was one.

    `revision` is another one after every change, in the transaction that makes it. It is random:
    a counter would come by the same numbers again after a backup is restored.
    """

    __tablename__ = "diaries"

    user_id: Mapped[UserKey]
    revision: Mapped[Number]


class Entry(Table):
    """`at` is when it was; `local_date` the day that was for the person, in `time_zone`."""

    __tablename__ = "mood_entries"
    __table_args__ = (Index(None, "user_id", "local_date", "at", "id"), NEVER_REUSED)

    id: Mapped[Key]
    user_id: Mapped[UserId]
    score: Mapped[int]
    note: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(JSON)
    activities: Mapped[list[str]] = mapped_column(JSON)
    at: Mapped[datetime]
    time_zone: Mapped[str] = mapped_column(String(64))
    local_date: Mapped[date]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime | None]

"""The tables of goals: stages, files, reminders, and what people have to show for them."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.schema import NEVER_REUSED, Key, Table, UserId, UserKey, big_integer

GoalId = Annotated[int, mapped_column(big_integer, ForeignKey("goals.id", ondelete="CASCADE"))]


POSITIONS = 100
"""Of suggestions in one split, at most."""


class FeatKind(StrEnum):
    STAGE = "stage"
    GOAL = "goal"


class Goal(Table):
    """What somebody wants to reach. `progress` follows from the stages."""

    __tablename__ = "goals"
    __table_args__ = (Index(None, "user_id", "id"), NEVER_REUSED)

    id: Mapped[Key]
    user_id: Mapped[UserId]
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    deadline: Mapped[date | None]
    progress: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]


class Stage(Table):
    """A step towards a goal. Stages are ordered by place; a place may be empty, none is shared."""

    __tablename__ = "goal_stages"
    __table_args__ = (Index(None, "goal_id", "place"), NEVER_REUSED)

    id: Mapped[Key]
    goal_id: Mapped[GoalId]
    place: Mapped[int]
    title: Mapped[str] = mapped_column(String(200))
    weight: Mapped[int]
    completed_at: Mapped[datetime | None]


class File(Table):
    """A file that shows what was reached."""

    __tablename__ = "goal_files"
    __table_args__ = (UniqueConstraint("upload_id"), Index(None, "goal_id", "id"), NEVER_REUSED)

    id: Mapped[Key]
    goal_id: Mapped[GoalId]
    upload_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("uploads.id", ondelete="CASCADE")
    )


class Reminder(Table):
    """Wall times in a zone, every so many days; `due_at`, `day` and `slot` are the next firing."""

    __tablename__ = "goal_reminders"
    __table_args__ = (Index(None, "goal_id", "id"), NEVER_REUSED)

    id: Mapped[Key]
    goal_id: Mapped[GoalId]
    times: Mapped[str] = mapped_column(String(80))
    every_days: Mapped[int]
    starts_on: Mapped[date]
    zone: Mapped[str] = mapped_column(String(64))
    due_at: Mapped[datetime | None]
    day: Mapped[date | None]
    slot: Mapped[str | None] = mapped_column(String(8))
    snoozed: Mapped[bool] = mapped_column(default=False, server_default="0")


class Firing(Table):
    """That a reminder has fired: once for each slot of a local day, whatever happens."""

    __tablename__ = "goal_firings"

    reminder_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("goal_reminders.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    slot: Mapped[str] = mapped_column(String(8), primary_key=True)


class Feat(Table):
    """A stage completed or a goal finished, on a day of its person. It outlives the goal."""

    __tablename__ = "goal_feats"
    __table_args__ = (Index(None, "user_id", "kind", "day"),)

    user_id: Mapped[UserKey]
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    subject_id: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    day: Mapped[date]
    at: Mapped[datetime]


class Unlock(Table):
    """An achievement that somebody holds; one that repeats has a row for each time."""

    __tablename__ = "unlocks"
    __table_args__ = (Index(None, "achievement", "ordinal", "user_id"),)

    user_id: Mapped[UserKey]
    achievement: Mapped[str] = mapped_column(String(40), primary_key=True)
    ordinal: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    earned_at: Mapped[datetime]


class Share(Table):
    """How many of so many active people hold an achievement, as it was counted."""

    __tablename__ = "achievement_shares"

    achievement: Mapped[str] = mapped_column(String(40), primary_key=True)
    holders: Mapped[int]
    people: Mapped[int]
    computed_at: Mapped[datetime]


class SplitStatus(StrEnum):
    GENERATING = "generating"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELED = "canceled"


class SuggestionState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Split(Table):
    """That somebody asked for a goal to be split. It outlives the goal: what it cost counts.

    `digest` is the hash of the question, `answer` that of the last answer as far as it came.
    `attempts` tells workers apart: only the last one may add anything.
    """

    __tablename__ = "goal_splits"
    __table_args__ = (
        Index(None, "goal_id", "id"),
        Index(None, "user_id", "started_at"),
        Index(None, "user_id", "digest"),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    user_id: Mapped[UserId]
    goal_id: Mapped[int | None] = mapped_column(
        big_integer, ForeignKey("goals.id", ondelete="SET NULL")
    )
    status: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str | None] = mapped_column(String(20))
    digest: Mapped[str] = mapped_column(String(64))
    answer: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(100))
    tokens: Mapped[int] = mapped_column(default=0, server_default="0")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Suggestion(Table):
    """A stage that a model suggested: nothing, until somebody accepts it."""

    __tablename__ = "goal_suggestions"
    __table_args__ = (Index(None, "goal_id"),)

    split_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("goal_splits.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    goal_id: Mapped[GoalId]
    title: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(10))

    @property
    def id(self) -> int:
        """Made of its place, so that who repeats a dead worker's work makes the same one."""
        return self.split_id * POSITIONS + self.position

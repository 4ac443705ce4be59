"""What goals look like on the wire."""

import re
from datetime import date
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Strict, StringConstraints, field_validator
from pydantic import Field as Bounds
from pydantic_core import PydanticCustomError

from handlers.accounts.payloads import WallTime
from handlers.uploads import Link, Upload
from server.payload import Change, Id, Instant, PageRequest, Payload
from storage import goals
from storage.goals import Parts, Proposal, SplitStatus

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _only_text(value: Any) -> Any:
    """Lax parsing takes numbers for dates too."""
    if not isinstance(value, date) and not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise PydanticCustomError("date_parsing", "A date like 2026-11-21")
    return value


Day = Annotated[
    date,
    Strict(False),
    BeforeValidator(_only_text),
    Bounds(ge=date(2000, 1, 1), le=date(2199, 12, 31), examples=["2026-11-21"]),
]
"""A day of the calendar, wherever its person is."""

Title = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
    Bounds(examples=["Run five kilometres"]),
]
Description = Annotated[
    str, StringConstraints(max_length=2000), Bounds(examples=["Without stopping, by summer."])
]
Weight = Annotated[int, Bounds(ge=1, le=100, examples=[1])]
Times = Annotated[list[WallTime], Bounds(min_length=1, max_length=6, examples=[["08:00", "20:30"]])]
EveryDays = Annotated[int, Bounds(ge=1, le=365, examples=[1])]
Minutes = Annotated[int, Bounds(ge=1, le=24 * 60, examples=[10])]


Reason = Literal["blank", "broken", "busy", "unavailable", "refused", "interrupted"]


class Stage(Payload):
    id: Id
    title: str
    weight: int
    completed_at: Instant | None


class Reminder(Payload):
    """Wall times in the zone of the person's profile, on every so many days from `starts_on` on.

    `next_at` is null when there is nothing to remind of any more: the goal is reached or
    archived, or its last day is over.
    """

    id: Id
    goal_id: Id
    times: list[str]
    every_days: int
    starts_on: date
    time_zone: str
    next_at: Instant | None
    snoozed: bool

    @classmethod
    def of(cls, row: goals.Reminder) -> "Reminder":
        return cls(
            id=row.id,
            goal_id=row.goal_id,
            times=row.times.split(),
            every_days=row.every_days,
            starts_on=row.starts_on,
            time_zone=row.zone,
            next_at=row.due_at,
            snoozed=row.snoozed,
        )


class Suggestion(Payload):
    """A stage that a model suggests; it counts for nothing until it is accepted."""

    id: Id
    title: str


class Split(Payload):
    """How far a model has come with a goal, and what it suggested that nobody decided on.

    `model` is who wrote the suggestions; "local" is none, but examples. `reason` says why it
    failed: the model wrote nothing (`blank`) or nonsense (`broken`), has too much to do (`busy`),
    cannot be reached (`unavailable`), would not (`refused`), or our workers ended over it
    (`interrupted`).
    """

    status: SplitStatus
    reason: Reason | None
    model: str
    started_at: Instant
    ended_at: Instant | None
    suggestions: list[Suggestion]

    @classmethod
    def of(cls, proposal: Proposal) -> "Split":
        split = proposal.split
        return cls(
            status=SplitStatus(split.status),
            reason=cast("Reason | None", split.reason),
            model=split.model,
            started_at=split.started_at,
            ended_at=split.ended_at,
            suggestions=[Suggestion.model_validate(one) for one in proposal.suggestions],
        )


class Goal(Payload):
    """A goal with everything under it. The deadline is its last day.

    `progress` is the weight of the completed stages in percent of all, rounded down.
    """

    id: Id
    title: str
    description: str
    deadline: date | None
    progress: int
    created_at: Instant
    archived_at: Instant | None
    stages: list[Stage]
    attachments: list[Upload]
    reminders: list[Reminder]
    split: Split | None

    @classmethod
    def of(cls, row: goals.Goal, parts: Parts, link: Link) -> "Goal":
        return cls(
            id=row.id,
            title=row.title,
            description=row.description,
            deadline=row.deadline,
            progress=row.progress,
            created_at=row.created_at,
            archived_at=row.archived_at,
            stages=[Stage.model_validate(stage) for stage in parts.stages],
            attachments=[Upload.of(file, link) for file in parts.files],
            reminders=[Reminder.of(reminder) for reminder in parts.reminders],
            split=Split.of(parts.proposals[0]) if parts.proposals else None,
        )


class CreateGoal(Change):
    title: Title
    description: Description = ""
    deadline: Day | None = None


class UpdateGoal(Change):
    """Only what is given is changed; `deadline: null` takes the deadline away."""

    goal_id: Id
    title: Title | None = None
    description: Description | None = None
    deadline: Day | None = None


class GetGoal(Payload):
    goal_id: Id


class ListGoals(PageRequest):
    """Goals come whole, so there are fewer on a page."""

    limit: Annotated[int, Bounds(ge=1, le=50)] = 20


class ChangeGoal(Change):
    goal_id: Id


class GoalDeleted(Payload):
    """With everything under it."""

    goal_id: Id


class AddStage(Change):
    """Behind all others, or behind the stage that is named."""

    goal_id: Id
    title: Title
    weight: Weight = 1
    after_stage_id: Id | None = None


class UpdateStage(Change):
    """Only what is given is changed."""

    stage_id: Id
    title: Title | None = None
    weight: Weight | None = None


class ChangeStage(Change):
    stage_id: Id


class ReorderStage(Change):
    """Put a stage right behind another one of its goal; behind null it is the first."""

    stage_id: Id
    after_stage_id: Id | None


class ChangeAttachment(Change):
    goal_id: Id
    upload_id: Id


class SetReminder(Change):
    """A new reminder, or with `reminder_id` new times for one.

    Without `starts_on` a new one starts today, and an old one keeps its days.
    """

    goal_id: Id
    reminder_id: Id | None = None
    times: Times
    every_days: EveryDays = 1
    starts_on: Day | None = None

    @field_validator("times")
    @classmethod
    def sort_times(cls, times: list[str]) -> list[str]:
        return sorted(set(times))


class ListReminders(PageRequest):
    goal_id: Id | None = None


class ChangeReminder(Change):
    reminder_id: Id


class SnoozeReminder(Change):
    """The next firing is in so many minutes; what would come before is left out."""

    reminder_id: Id
    minutes: Minutes


class ReminderDue(Payload):
    """It is time for a goal; the reminder tells when it will be next."""

    title: str
    reminder: Reminder


class Achievement(Payload):
    """Something to be earned. `count` is how often it was, `progress` how much of `target` is there.

    A hidden one that is not earned has no progress, nor words that give it away. `percent` is the
    share of active people who hold it, null while these are few.
    """

    code: str
    title: str
    description: str
    icon: str
    hidden: bool
    repeats: bool
    target: int | None
    progress: int | None
    count: int
    earned_at: Instant | None
    percent: float | None


class Achievements(Payload):
    """All there are, in their order. The percentages are as of `computed_at`."""

    items: list[Achievement]
    computed_at: Instant | None


class AchievementsProgressed(Payload):
    """Those that somebody has come nearer to, or gone away from."""

    items: list[Achievement]


class Remind(Payload):
    """The job: the next firing of a reminder."""

    reminder_id: Id


class CountHolders(Payload):
    """The job: how many people hold each achievement."""

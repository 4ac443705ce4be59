"""What diaries look like on the wire."""

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Strict,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic import Field as Bounds
from pydantic_core import PydanticCustomError

from handlers.mood.calendar import Span
from handlers.mood.correlation import MAX_LAG
from server.payload import Change, Id, Instant, PageRequest, Payload
from storage.mood import Figures, PeriodName

MAX_LABELS = 20
FIRST_YEAR, LAST_YEAR = 1900, 2199

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _read_date(value: Any) -> date:
    try:
        day = date.fromisoformat(value if _DATE.fullmatch(value) else "")
    except (TypeError, ValueError):
        raise PydanticCustomError("date", "A date is like 2026-11-21") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise PydanticCustomError("date", "No date that far away")
    return day


def _read_moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise PydanticCustomError("moment", "A moment is like 2026-11-21T09:30:00Z") from None


def _drop_repeats(labels: list[str]) -> list[str]:
    return list(dict.fromkeys(labels))


def _check_order(end: date | None, info: ValidationInfo) -> date | None:
    start = info.data.get("start")
    if start is not None and end is not None and end < start:
        raise PydanticCustomError("before_from", "The end is before the beginning")
    return end


Date = Annotated[date, BeforeValidator(_read_date)]
First = Annotated[Date, Bounds(alias="from", examples=["2026-11-01"])]
Last = Annotated[Date, Bounds(alias="to", examples=["2026-11-30"])]
"""A local date of the person whose diary it is; both ends of a span belong to it."""

Moment = Annotated[
    AwareDatetime, BeforeValidator(_read_moment), Bounds(examples=["2026-11-21T09:30:00Z"])
]
Score = Annotated[int, Bounds(ge=1, le=10, examples=[7])]
Note = Annotated[
    str, StringConstraints(min_length=1, max_length=5000), Bounds(examples=["Slept well."])
]
Label = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
    Bounds(examples=["sleep"]),
]
Tags = Annotated[
    list[Label],
    Bounds(max_length=MAX_LABELS, examples=[["calm", "family"]]),
    AfterValidator(_drop_repeats),
]
Activities = Annotated[
    list[Label],
    Bounds(max_length=MAX_LABELS, examples=[["running"]]),
    AfterValidator(_drop_repeats),
]
VariableName = Annotated[
    str,
    StringConstraints(
        pattern=r"^(score|count|(tag|activity):[^\x00-\x1f\x7f]{1,40})$", max_length=60
    ),
]
"""`score` (the mean of the day), `count` (of its entries), or 1 for a day with an entry that has a
tag (`tag:calm`) or an activity (`activity:running`), 0 for one without."""


class Entry(Payload):
    """How somebody felt (10 is best). `local_date` is the day `at` was on in `time_zone`."""

    id: Id
    user_id: Id
    score: int
    note: str | None
    tags: list[str]
    activities: list[str]
    at: Instant
    time_zone: str
    local_date: date
    created_at: Instant
    updated_at: Instant | None


class EntryDeleted(Payload):
    entry_id: Id
    user_id: Id


class AddEntry(Change):
    """Without `at` it is about now."""

    score: Score
    note: Note | None = None
    tags: Tags = Bounds(default_factory=list)
    activities: Activities = Bounds(default_factory=list)
    at: Moment | None = None


class UpdateEntry(Change):
    """Only what is given is changed; `note: null` takes the note away."""

    entry_id: Id
    score: Score | None = None
    note: Note | None = None
    tags: Tags | None = None
    activities: Activities | None = None
    at: Moment | None = None


class DeleteEntry(Change):
    entry_id: Id


class ListEntries(PageRequest):
    """Without `patient_id` one's own; from one local date to another, both included."""

    start: Annotated[Date | None, Bounds(alias="from", examples=["2026-11-01"])] = None
    end: Annotated[Date | None, Bounds(alias="to", examples=["2026-11-30"])] = None
    patient_id: Id | None = None

    _check_order = field_validator("end")(_check_order)


class Period(Payload, serialize_by_alias=True):
    """From one local date to another, both included."""

    start: First
    end: Last

    _check_order = field_validator("end")(_check_order)

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


class GetSeries(Period):
    period: Annotated[PeriodName, Strict(False), Bounds(examples=["week"])]
    patient_id: Id | None = None


class Bucket(Payload):
    """A whole day, ISO week (Monday to Sunday) or month. Without entries all but `n` is null.

    The mean is that of its entries, whatever days they are on.
    """

    start: date
    end: date
    n: int
    min: int | None
    max: int | None
    mean: float | None

    @classmethod
    def of(cls, span: Span, figures: Figures) -> "Bucket":
        return cls(start=span.start, end=span.end, **figures._asdict())


class Series(Payload):
    period: PeriodName
    buckets: list[Bucket]


class GetComparison(Payload):
    a: Period
    b: Period
    patient_id: Id | None = None


class Statistics(Payload):
    """Of a period; the mean is that of its entries, whatever days they are on."""

    period: Period
    n: int
    min: int | None
    max: int | None
    mean: float | None

    @classmethod
    def of(cls, period: Period, figures: Figures) -> "Statistics":
        return cls(period=period, **figures._asdict())


class Comparison(Payload):
    """`difference` is the mean of `b` less that of `a`; null where one of them has no entries."""

    a: Statistics
    b: Statistics
    difference: float | None


class GetCorrelation(Period):
    """Each day's `x` goes with the `y` of `lag` days later."""

    x: Annotated[VariableName, Bounds(examples=["activity:running"])]
    y: Annotated[VariableName, Bounds(examples=["score"])]
    lag: Annotated[int, Bounds(ge=0, le=MAX_LAG)] = 0
    patient_id: Id | None = None


class Correlation(Payload):
    """Spearman's rho over `n` pairs of days, and its two-sided p; null where it says nothing.

    It tells what goes together, not what causes what.
    """

    x: str
    y: str
    lag: int
    n: int
    rho: float | None
    p: float | None

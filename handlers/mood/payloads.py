"""What diaries look like on the wire."""

from datetime import date
from typing import Annotated

from pydantic import (
    AfterValidator,
    Strict,
    StringConstraints,
    field_validator,
)
from pydantic import Field as Bounds

from handlers.accounts.periods import Days, check_order
from handlers.mood.calendar import Span
from handlers.mood.correlation import MAX_LAG
from server.payload import Change, Date, Id, Instant, Moment, PageRequest, Payload
from storage.mood import Figures, PeriodName

MAX_LABELS = 20


def _drop_repeats(labels: list[str]) -> list[str]:
    return list(dict.fromkeys(labels))


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

    _check_order = field_validator("end")(check_order)


class GetSeries(Days):
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
    a: Days
    b: Days
    patient_id: Id | None = None


class Statistics(Payload):
    """Of a period; the mean is that of its entries, whatever days they are on."""

    period: Days
    n: int
    min: int | None
    max: int | None
    mean: float | None

    @classmethod
    def of(cls, period: Days, figures: Figures) -> "Statistics":
        return cls(period=period, **figures._asdict())


class Comparison(Payload):
    """`difference` is the mean of `b` less that of `a`; null where one of them has no entries."""

    a: Statistics
    b: Statistics
    difference: float | None


class GetCorrelation(Days):
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

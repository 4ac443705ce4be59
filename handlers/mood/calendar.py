"""Days as people live them: pure rules over local dates.

An entry belongs to the date its author's clock showed. All else follows from dates, so that a day
of 23 or 25 hours is one day, and a week with one is one week.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from storage.mood import PeriodName

MAX_BUCKETS = 400
"""More than a year of days, more than seven years of weeks."""

MAX_DAYS = 3660
"""Of a period that is reckoned as a whole: ten years."""

MAX_CORRELATED = 1100
"""Days, each of which is a pair: three years."""

SKEW = timedelta(minutes=5)
"""By which a client's clock may be ahead of ours."""

OLDEST = timedelta(days=3660)

DAY = timedelta(days=1)


class Span(NamedTuple):
    """From one date to another, both included."""

    start: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1


def find_local_date(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


def is_believable(at: datetime, now: datetime) -> bool:
    """Whether somebody may say now how they felt then: not in the future, nor ten years ago."""
    return now - OLDEST <= at <= now + SKEW


def count_buckets(span: Span, period: PeriodName) -> int:
    first, last = find_bucket(span.start, period), find_bucket(span.end, period)
    match period:
        case PeriodName.DAY:
            return span.days
        case PeriodName.WEEK:
            return (last.start - first.start).days // 7 + 1
        case PeriodName.MONTH:
            years = last.start.year - first.start.year
            return 12 * years + last.start.month - first.start.month + 1


def list_buckets(span: Span, period: PeriodName) -> Iterator[Span]:
    """The whole days, ISO weeks or months that a span touches, in order."""
    bucket = find_bucket(span.start, period)
    while bucket.start <= span.end:
        yield bucket
        bucket = find_bucket(bucket.end + DAY, period)


def find_bucket(day: date, period: PeriodName) -> Span:
    """The day, ISO week (Monday to Sunday) or month that a date is in."""
    match period:
        case PeriodName.DAY:
            return Span(day, day)
        case PeriodName.WEEK:
            monday = day - day.weekday() * DAY
            return Span(monday, monday + 6 * DAY)
        case PeriodName.MONTH:
            # The 28th is in every month, and four days later one is in the next.
            following = (day.replace(day=28) + 4 * DAY).replace(day=1)
            return Span(day.replace(day=1), following - DAY)

"""When a person wants to hear: pure rules over wall time in their zone.

A wall time that a day lacks is taken with the offset before the gap, one that a day has twice is
the first (RFC 5545 §3.3.5), which is what `fold=0` gives.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS_AHEAD = 15
"""The next of a weekly time is at most eight days away, and a zone may skip that day once."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Wall times of every day, or of one weekday (Monday is 1)."""

    times: tuple[time, ...]
    weekday: int | None
    zone: str


def find_next(schedule: Schedule, after: datetime) -> datetime | None:
    """The first time strictly after a moment; None when there are no times."""
    zone = ZoneInfo(schedule.zone)
    first = after.astimezone(zone).date() - timedelta(days=1)
    days = (first + timedelta(days=number) for number in range(DAYS_AHEAD + 1))
    moments = (
        _moment(day, at, zone)
        for day in days
        if schedule.weekday in (None, day.isoweekday())
        for at in schedule.times
    )
    return min((moment for moment in moments if moment > after), default=None)


def find_quiet_end(starts: time, ends: time, zone: str, now: datetime) -> datetime | None:
    """When the quiet hours end that it is in; None outside of them. They may span midnight."""
    place = ZoneInfo(zone)
    today = now.astimezone(place).date()
    for day in (today - timedelta(days=1), today):
        last = day if ends > starts else day + timedelta(days=1)
        begin, end = _moment(day, starts, place), _moment(last, ends, place)
        if begin <= now < end:
            return end
    return None


def _moment(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)

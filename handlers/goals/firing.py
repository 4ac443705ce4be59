"""When a reminder fires: pure rules over wall time in its zone.

A wall time that a day lacks is taken with the offset before the gap, one that a day has twice is
the first (RFC 5545 §3.3.5), which is what `fold=0` gives.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

BACK = timedelta(days=2)
"""How far before a moment's own day a wall time may lie that is still to come: zones skip days."""

DAYS_TRIED = 5


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Wall times of every so many days, counted from a day, until the last one."""

    times: tuple[time, ...]
    every_days: int
    starts_on: date
    last_day: date | None
    zone: str


@dataclass(frozen=True, slots=True)
class Firing:
    """A moment, and its name: one firing for each slot of a local day."""

    at: datetime
    day: date
    slot: str


def find_firing(rhythm: Rhythm, after: datetime) -> Firing | None:
    """The first firing strictly after a moment; None when there are no more.

    Slots that a gap brings to the same moment are one firing.
    """
    zone = ZoneInfo(rhythm.zone)
    first = _find_due_day(rhythm, after.astimezone(zone).date() - BACK)
    days = [first + timedelta(days=n * rhythm.every_days) for n in range(DAYS_TRIED)]
    firings = [
        Firing(datetime.combine(day, at, tzinfo=zone).astimezone(UTC), day, f"{at:%H:%M}")
        for day in days
        if rhythm.last_day is None or day <= rhythm.last_day
        for at in rhythm.times
    ]
    to_come = [firing for firing in firings if firing.at > after]
    return min(to_come, key=lambda firing: (firing.at, firing.day, firing.slot), default=None)


def put_off(until: datetime, zone: str) -> Firing:
    """A firing of its own at a moment. Its slot has seconds, so that it is no other's."""
    local = until.astimezone(ZoneInfo(zone))
    return Firing(until, local.date(), f"{local:%H:%M:%S}")


def local_day(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date()


def _find_due_day(rhythm: Rhythm, earliest: date) -> date:
    """The first day of the rhythm that is not before this one."""
    behind = max((earliest - rhythm.starts_on).days, 0)
    periods = -(-behind // rhythm.every_days)
    return rhythm.starts_on + timedelta(days=periods * rhythm.every_days)

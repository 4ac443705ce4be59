"""Times of reminders, over years with daylight saving in many places."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.goals.firing import Firing, Rhythm, find_firing, put_off
from tests.test_accounts_schedule import TIMES, YEARS, ZONES

ZONE = st.sampled_from(ZONES)


def list_firings(rhythm: Rhythm, year: int) -> list[Firing]:
    """Every firing of a local year, one after the other."""
    zone = ZoneInfo(rhythm.zone)
    now = datetime(year, 1, 1, tzinfo=zone).astimezone(UTC) - timedelta(seconds=1)
    end = datetime(year + 1, 1, 1, tzinfo=zone).astimezone(UTC)
    firings = []
    while (firing := find_firing(rhythm, now)) is not None and firing.at < end:
        firings.append(firing)
        now = firing.at
    return firings


def list_days(year: int, every: int, starts_on: date) -> list[date]:
    days = (date(year, 1, 1) + timedelta(days=n) for n in range(366))
    return [
        day
        for day in days
        if day.year == year and day >= starts_on and (day - starts_on).days % every == 0
    ]


@settings(max_examples=40, deadline=None)
@given(zone=ZONE, year=YEARS, at=TIMES, every=st.integers(1, 40), start=st.integers(-400, 400))
def test_a_reminder_fires_once_on_each_of_its_days(
    zone: str, year: int, at: time, every: int, start: int
) -> None:
    starts_on = date(year, 1, 1) + timedelta(days=start)

    firings = list_firings(Rhythm((at,), every, starts_on, None, zone), year)

    assert [firing.day for firing in firings] == list_days(year, every, starts_on)
    for firing in firings:
        local = firing.at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        # A time that the day lacks comes as much later as the clock was put forward.
        assert timedelta(0) <= local - datetime.combine(firing.day, at) <= timedelta(hours=1)
        assert firing.slot == f"{at:%H:%M}"


@settings(max_examples=20, deadline=None)
@given(zone=ZONE, year=YEARS, times=st.lists(TIMES, min_size=2, max_size=6, unique=True))
def test_each_slot_of_a_day_fires_once(zone: str, year: int, times: list[time]) -> None:
    firings = list_firings(Rhythm(tuple(times), 1, date(year, 1, 1), None, zone), year)

    names = {(firing.day, firing.slot) for firing in firings}
    assert len(names) == len(firings)
    assert [firing.at for firing in firings] == sorted({firing.at for firing in firings})
    # Slots can only meet where the clock was put forward over one.
    days = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    assert len(times) * days - len(times) <= len(firings) <= len(times) * days


@settings(max_examples=40, deadline=None)
@given(zone=ZONE, year=YEARS, at=TIMES, every=st.integers(1, 9), days=st.integers(-5, 60))
def test_nothing_fires_after_the_last_day(
    zone: str, year: int, at: time, every: int, days: int
) -> None:
    first, last = date(year, 1, 1), date(year, 1, 1) + timedelta(days=days)

    firings = list_firings(Rhythm((at,), every, first, last, zone), year)

    wanted = [day for day in list_days(year, every, first) if day <= last]
    assert [firing.day for firing in firings] == wanted


@pytest.mark.parametrize(
    ("zone", "at", "day", "utc"),
    [
        ("America/New_York", "02:30", "2007-03-11", "2007-03-11T07:30"),
        ("America/New_York", "01:30", "2007-11-04", "2007-11-04T05:30"),
        ("Asia/Kathmandu", "05:00", "2026-11-21", "2026-11-20T23:15"),
        # A day that Samoa did not have: it comes with the next one.
        ("Pacific/Apia", "08:00", "2011-12-30", "2011-12-30T18:00"),
    ],
)
def test_known_moments(zone: str, at: str, day: str, utc: str) -> None:
    only = date.fromisoformat(day)
    rhythm = Rhythm((time.fromisoformat(at),), 1, only, only, zone)
    before = datetime.combine(only, time(), UTC) - timedelta(days=2)
    moment = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert find_firing(rhythm, before) == Firing(moment, only, at)
    assert find_firing(rhythm, moment) is None


@given(ZONE, st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - the zone comes with the last argument
def test_one_that_is_put_off_has_a_name_of_its_own(zone: str, until: datetime) -> None:
    firing = put_off(until, zone)
    assert firing.at == until
    assert len(firing.slot) > len("08:00")

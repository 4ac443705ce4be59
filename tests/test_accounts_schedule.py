"""Summaries and quiet hours by wall time, over years with daylight saving in many places."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from handlers.accounts.schedule import Schedule, find_next, find_quiet_end

ZONES = (
    "America/New_York",
    "America/St_Johns",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Europe/Moscow",
    "Pacific/Chatham",
    "UTC",
)
YEARS = st.integers(2024, 2031)
TIMES = st.times().map(lambda at: at.replace(second=0, microsecond=0, fold=0))
MOMENTS = st.datetimes(
    datetime(2024, 1, 1),  # noqa: DTZ001 - the zone comes with the next argument but one
    datetime(2031, 1, 1),  # noqa: DTZ001 - the same
    timezones=st.just(UTC),
)
WEEK = 7


def list_firings(schedule: Schedule, year: int) -> list[datetime]:
    """Every firing of a local year, one after the other."""
    zone = ZoneInfo(schedule.zone)
    now = datetime(year, 1, 1, tzinfo=zone).astimezone(UTC) - timedelta(seconds=1)
    end = datetime(year + 1, 1, 1, tzinfo=zone).astimezone(UTC)
    firings = []
    while (following := find_next(schedule, now)) is not None and following < end:
        firings.append(now := following)
    return firings


def count_days(year: int) -> int:
    return (date(year + 1, 1, 1) - date(year, 1, 1)).days


@settings(max_examples=60, deadline=None)
@given(zone=st.sampled_from(ZONES), year=YEARS, at=TIMES)
def test_a_daily_time_comes_once_on_every_day_of_a_year(zone: str, year: int, at: time) -> None:
    firings = list_firings(Schedule((at,), None, zone), year)

    days = [firing.astimezone(ZoneInfo(zone)).date() for firing in firings]
    assert days == [date(year, 1, 1) + timedelta(days=n) for n in range(count_days(year))]
    for firing in firings:
        local = firing.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        # A time that the day lacks comes as much later as the clock was put forward.
        assert timedelta(0) <= local - datetime.combine(local.date(), at) <= timedelta(hours=1)


@settings(max_examples=20, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    year=YEARS,
    times=st.lists(TIMES, min_size=2, max_size=4, unique=True),
)
def test_several_times_come_each_once_a_day(zone: str, year: int, times: list[time]) -> None:
    firings = list_firings(Schedule(tuple(times), None, zone), year)

    apart = {f for at in times for f in list_firings(Schedule((at,), None, zone), year)}
    assert firings == sorted(apart)
    # Two of them can only meet where the clock was put forward over one.
    assert len(firings) >= len(times) * count_days(year) - 2


@settings(max_examples=20, deadline=None)
@given(zone=st.sampled_from(ZONES), year=YEARS, at=TIMES, weekday=st.integers(1, WEEK))
def test_a_weekly_time_comes_every_seven_days(zone: str, year: int, at: time, weekday: int) -> None:
    firings = list_firings(Schedule((at,), weekday, zone), year)

    days = [firing.astimezone(ZoneInfo(zone)).date() for firing in firings]
    assert {day.isoweekday() for day in days} == {weekday}
    assert {(later - day).days for day, later in pairwise(days)} == {WEEK}
    assert len(days) in (52, 53)


@settings(max_examples=50, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    at=TIMES,
    late=st.timedeltas(timedelta(0), timedelta(days=3)),
    now=MOMENTS,
)
def test_who_was_late_goes_on_with_the_next_time(
    zone: str, at: time, late: timedelta, now: datetime
) -> None:
    schedule = Schedule((at,), None, zone)
    following = find_next(schedule, now)
    assert following is not None
    after = find_next(schedule, following + late)
    assert after is not None
    assert following + late < after <= following + late + timedelta(hours=25)


@pytest.mark.parametrize(
    ("zone", "at", "day", "utc"),
    [
        # RFC 5545 §3.3.5: the gap of 2007-03-11 and the repeated hour of 2007-11-04.
        ("America/New_York", "02:30", "2007-03-11", "2007-03-11T07:30"),
        ("America/New_York", "01:30", "2007-11-04", "2007-11-04T05:30"),
        ("Asia/Kathmandu", "05:00", "2026-11-21", "2026-11-20T23:15"),
        ("Pacific/Chatham", "02:50", "2026-09-27", "2026-09-26T14:05"),
        ("Europe/Moscow", "21:00", "2026-06-01", "2026-06-01T18:00"),
    ],
)
def test_known_moments(zone: str, at: str, day: str, utc: str) -> None:
    expected = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    schedule = Schedule((time.fromisoformat(at),), None, zone)
    assert find_next(schedule, midnight - timedelta(seconds=1)) == expected


def test_no_times_never_come() -> None:
    assert find_next(Schedule((), None, "UTC"), datetime(2026, 1, 1, tzinfo=UTC)) is None


@settings(max_examples=100, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    starts=TIMES,
    ends=TIMES,
    now=MOMENTS,
)
def test_quiet_hours_end_when_the_clock_says_so(
    zone: str, starts: time, ends: time, now: datetime
) -> None:
    assume(starts != ends)
    end = find_quiet_end(starts, ends, zone, now)

    local = now.astimezone(ZoneInfo(zone))
    wall = local.time()
    spans_midnight = ends <= starts
    is_inside = (wall >= starts or wall < ends) if spans_midnight else starts <= wall < ends
    around = [now + timedelta(hours=hours) for hours in (-26, 26)]
    if len({moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in around}) == 1:
        # Far from a change of the clock the wall tells all there is.
        assert (end is not None) == is_inside
        assert end is None or end.astimezone(ZoneInfo(zone)).time() == ends
    assert end is None or now < end <= now + timedelta(hours=25)

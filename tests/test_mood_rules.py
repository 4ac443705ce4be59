"""The rules of moods: calendars, correlations and the function behind their p."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import atan2, comb, exp, isclose, lgamma, pi, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.mood.beta import incomplete_beta
from handlers.mood.calendar import (
    OLDEST,
    SKEW,
    Span,
    count_buckets,
    find_bucket,
    find_local_date,
    is_believable,
    list_buckets,
)
from handlers.mood.correlation import LEAST_PAIRS, correlate, pair_days
from storage.mood import PeriodName

# No database is in play: once is enough.
pytestmark = pytest.mark.embedded

DAY = timedelta(days=1)
spans = st.builds(
    lambda start, days: Span(start, start + days * DAY),
    st.dates(date(1900, 1, 1), date(2190, 1, 1)),
    st.integers(0, 2000),
)
scores = st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=10, max_size=60)


# -- Calendars --


@given(spans, st.sampled_from(PeriodName))
def test_buckets_follow_each_other_and_cover_the_span(span: Span, period: PeriodName) -> None:
    buckets = list(list_buckets(span, period))

    assert len(buckets) == count_buckets(span, period)
    assert buckets[0].start <= span.start <= buckets[0].end
    assert buckets[-1].start <= span.end <= buckets[-1].end
    for bucket, following in pairwise(buckets):
        assert following.start == bucket.end + DAY


@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)))
def test_buckets_are_whole(day: date) -> None:
    week = find_bucket(day, PeriodName.WEEK)
    assert week.start.isocalendar()[:2] == day.isocalendar()[:2] == week.end.isocalendar()[:2]
    assert (week.start.isoweekday(), week.end.isoweekday()) == (1, 7)
    month = find_bucket(day, PeriodName.MONTH)
    assert (month.start.year, month.start.month, month.start.day) == (day.year, day.month, 1)
    assert month.end.month == day.month
    assert (month.end + DAY).day == 1
    assert find_bucket(day, PeriodName.DAY) == Span(day, day)


@pytest.mark.parametrize(
    ("at", "zone", "day"),
    [
        ("2026-03-08T04:59:59+00:00", "America/New_York", "2026-03-07"),
        ("2026-03-08T05:00:00+00:00", "America/New_York", "2026-03-08"),  # a day of 23 hours
        ("2026-03-09T03:59:59+00:00", "America/New_York", "2026-03-08"),
        ("2026-03-09T04:00:00+00:00", "America/New_York", "2026-03-09"),
        ("2026-10-24T22:00:00+00:00", "Europe/Berlin", "2026-10-25"),  # of 25
        ("2026-10-25T22:59:59+00:00", "Europe/Berlin", "2026-10-25"),
        ("2026-10-25T23:00:00+00:00", "Europe/Berlin", "2026-10-26"),
        ("2026-05-01T18:14:59+00:00", "Asia/Kathmandu", "2026-05-01"),
        ("2026-05-01T18:15:00+00:00", "Asia/Kathmandu", "2026-05-02"),
    ],
)
def test_the_local_date_is_what_a_calendar_on_the_wall_shows(at: str, zone: str, day: str) -> None:
    assert f"{find_local_date(datetime.fromisoformat(at), zone)}" == day


def test_what_is_to_come_or_long_past_is_not_believed() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert is_believable(now + SKEW, now)
    assert not is_believable(now + SKEW + second, now)
    assert is_believable(now - OLDEST, now)
    assert not is_believable(now - OLDEST - second, now)
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert not is_believable(datetime.fromisoformat(text), now)


# -- The incomplete beta function --

sizes = st.floats(0.5, 600)
chances = st.floats(0, 1)


@given(sizes, sizes, chances)
def test_it_is_a_chance_and_its_opposite(a: float, b: float, x: float) -> None:
    value = incomplete_beta(a, b, x)
    assert 0 <= value <= 1
    if 1 - (1 - x) == x:
        assert isclose(value, 1 - incomplete_beta(b, a, 1 - x), abs_tol=1e-11)


@given(sizes, chances)
def test_it_is_a_power_where_it_must_be(a: float, x: float) -> None:
    assert isclose(incomplete_beta(a, 1, x), x**a, rel_tol=1e-10, abs_tol=1e-290)
    assert isclose(incomplete_beta(1, a, x), 1 - (1 - x) ** a, rel_tol=1e-10, abs_tol=1e-13)


@given(chances)
def test_it_is_the_arcsine_where_it_must_be(x: float) -> None:
    # asin(sqrt(x)), which is exact near 1 too.
    expected = 2 / pi * atan2(sqrt(x), sqrt(1 - x))
    assert isclose(incomplete_beta(0.5, 0.5, x), expected, rel_tol=1e-10, abs_tol=1e-13)


@given(st.integers(1, 40), st.integers(1, 40), st.fractions(0, 1, max_denominator=1000))
def test_it_is_a_binomial_sum_for_whole_numbers(a: int, b: int, x: Fraction) -> None:
    # DLMF 8.17.5, reckoned without rounding.
    n = a + b - 1
    expected = sum(comb(n, j) * x**j * (1 - x) ** (n - j) for j in range(a, n + 1))
    found = incomplete_beta(a, b, float(x))
    assert isclose(found, float(expected), rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("df", "t", "p"),
    # The printed table of Student's t (two-sided): any textbook has it.
    [
        (8, 2.306, 0.05),
        (8, 3.355, 0.01),
        (10, 2.228, 0.05),
        (20, 2.086, 0.05),
        (20, 2.845, 0.01),
        (30, 2.042, 0.05),
        (60, 2.660, 0.01),
        (120, 1.980, 0.05),
    ],
)
def test_it_gives_the_table_of_students_t(df: int, t: float, p: float) -> None:
    assert incomplete_beta(df / 2, 0.5, df / (df + t * t)) == pytest.approx(p, rel=2e-3)


@pytest.mark.parametrize("arguments", [(0, 1, 0.5), (1, -1, 0.5), (1, 1, -0.1), (1, 1, 1.1)])
def test_it_is_not_defined_everywhere(arguments: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="not defined"):
        incomplete_beta(*arguments)


# -- Correlations --


def test_the_textbook_example_has_its_published_values() -> None:
    # Hours of television and IQ: en.wikipedia.org/wiki/Spearman's_rank_correlation_coefficient,
    # which gives rho = -29/165 and p = 0.627188.
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]

    found = correlate([*zip(iq, hours, strict=True)])

    assert found.n == 10
    assert found.rho == pytest.approx(-29 / 165, rel=1e-14)
    assert found.p == pytest.approx(0.627188, abs=1e-6)


def rank(values: list[int]) -> list[Fraction]:
    """The mean of the places that a value has among the sorted ones."""
    ordered = sorted(values)
    places: dict[int, list[int]] = {}
    for place, value in enumerate(ordered, 1):
        places.setdefault(value, []).append(place)
    return [Fraction(sum(places[value]), len(places[value])) for value in values]


def reckon_rho(xs: list[Fraction], ys: list[Fraction]) -> float | None:
    """By Kendall's sums with a correction for ties: without any mean of products."""
    n = len(xs)
    apart = sum((x - y) ** 2 for x, y in zip(xs, ys, strict=True))
    a, b = [Fraction(n**3 - n, 12) - count_ties(ranks) for ranks in (xs, ys)]
    return float((a + b - apart) / 2) / sqrt(a * b) if a * b else None


def count_ties(ranks: list[Fraction]) -> Fraction:
    return sum(
        (Fraction(ranks.count(one) ** 3 - ranks.count(one), 12) for one in set(ranks)), Fraction(0)
    )


def integrate_t(df: int, t: float, steps: int = 4000) -> float:
    """Two tails of Student's t, by Simpson's rule over its density."""
    scale = exp(lgamma((df + 1) / 2) - lgamma(df / 2)) / sqrt(df * pi)
    width = t / steps
    weights = [1, *([4, 2] * (steps // 2))[:-1], 1]
    middle: float = sum(
        weight * (1 + (width * place) ** 2 / df) ** (-(df + 1) / 2)
        for place, weight in enumerate(weights)
    )
    return 1 - 2 * scale * middle * width / 3


@given(scores)
def test_rho_is_what_another_reckoning_finds(pairs: list[tuple[int, int]]) -> None:
    expected = reckon_rho(*(rank(list(values)) for values in zip(*pairs, strict=True)))

    found = correlate(pairs)

    assert found.n == len(pairs)
    if expected is None:
        assert (found.rho, found.p) == (None, None)
    else:
        assert found.rho == pytest.approx(expected, abs=1e-12)
        assert found.p is not None
        assert 0 <= found.p <= 1


@pytest.mark.parametrize("rest", [2, 3, 5, 7])
def test_p_is_the_two_tails_of_students_t(rest: int) -> None:
    pairs = [(n, n % rest + n / 30) for n in range(12 + rest)]
    found = correlate(pairs)
    assert found.rho is not None
    df = found.n - 2
    t = abs(found.rho) * sqrt(df / (1 - found.rho**2))
    assert found.p == pytest.approx(integrate_t(df, t), rel=1e-8)


@given(scores)
def test_it_asks_only_for_the_order(pairs: list[tuple[int, int]]) -> None:
    found = correlate(pairs)
    assert correlate([(x**3, y) for x, y in pairs]) == found
    assert correlate([(y, x) for x, y in pairs]) == found
    assert correlate(pairs[::-1]) == found
    turned = correlate([(-x, y) for x, y in pairs])
    assert turned.rho == (None if found.rho is None else -found.rho)
    assert turned.p == found.p


def test_it_says_nothing_of_too_little() -> None:
    rising = [(n, n) for n in range(LEAST_PAIRS)]
    assert correlate(rising) == (LEAST_PAIRS, 1.0, 0.0)
    assert correlate([(x, -y) for x, y in rising]) == (LEAST_PAIRS, -1.0, 0.0)
    assert correlate(rising[1:]) == (LEAST_PAIRS - 1, None, None)
    assert correlate([(5, y) for _, y in rising]) == (LEAST_PAIRS, None, None)
    assert correlate([]) == (0, None, None)


def test_days_are_paired_with_later_ones() -> None:
    first = date(2026, 2, 27)
    x = {first + n * DAY: float(n) for n in (0, 1, 3)}
    y = {first + n * DAY: 10.0 + n for n in (0, 2, 3)}
    assert pair_days(x, y, 0) == [(0, 10), (3, 13)]
    assert pair_days(x, y, 2) == [(0, 12), (1, 13)]

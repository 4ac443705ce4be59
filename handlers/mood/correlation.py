"""Whether two daily numbers rise and fall together: pure rules.

Spearman's rho is Pearson's correlation of ranks, where equal values share the mean of their ranks
(C. Spearman, Am. J. Psychol. 15, 1904; M. G. Kendall, Rank Correlation Methods, ch. 3, for ties).
Its p is Student's: t = rho * sqrt((n - 2) / (1 - rho^2)) with n - 2 degrees of freedom (Kendall,
ch. 4; Numerical Recipes, 14.6.1). Two-sided that is I_{df / (df + t^2)}(df / 2, 1 / 2) (DLMF 8.17;
Abramowitz & Stegun 26.7.1), and df / (df + t^2) is 1 - rho^2.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from math import sqrt
from typing import NamedTuple

from handlers.mood.beta import incomplete_beta

LEAST_PAIRS = 10
"""With fewer, rho and p are said to be nothing."""

MAX_LAG = 14

Pair = tuple[float, float]


class Found(NamedTuple):
    n: int
    rho: float | None
    p: float | None


def pair_days(x: Mapping[date, float], y: Mapping[date, float], lag: int) -> list[Pair]:
    """Each day's x with the y of `lag` days later, where there are both."""
    later = timedelta(days=lag)
    return [(value, y[day + later]) for day, value in x.items() if day + later in y]


def correlate(pairs: Sequence[Pair]) -> Found:
    """Spearman's rho and its two-sided p.

    Both are null with fewer than ten pairs, and where one of the two never changes.
    """
    n = len(pairs)
    if n < LEAST_PAIRS:
        return Found(n, None, None)
    rho = _correlate_ranks(*(_rank(values) for values in zip(*pairs, strict=True)))
    if rho is None:
        return Found(n, None, None)
    return Found(n, rho, incomplete_beta((n - 2) / 2, 0.5, 1 - rho * rho))


def _rank(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value, from 1 on: so the mean of equal ones is a whole number."""
    ranks = [0] * len(values)
    below = 0
    for _, group in groupby(sorted(range(len(values)), key=values.__getitem__), values.__getitem__):
        places = list(group)
        for place in places:
            ranks[place] = 2 * below + len(places) + 1
        below += len(places)
    return ranks


def _correlate_ranks(xs: Sequence[int], ys: Sequence[int]) -> float | None:
    """Pearson's correlation, exact up to the root."""
    n = len(xs)
    mean_twice = n + 1
    left, right = [x - mean_twice for x in xs], [y - mean_twice for y in ys]
    spread = sum(x * x for x in left) * sum(y * y for y in right)
    if spread == 0:
        return None
    together = sum(x * y for x, y in zip(left, right, strict=True))
    return max(-1.0, min(1.0, together / sqrt(spread)))

"""The regularized incomplete beta function: a pure rule.

By its continued fraction (DLMF 8.17.22), reckoned with Lentz's method as Thompson and Barnett
changed it (J. Comput. Phys. 64, 1986; Numerical Recipes 6.4).
"""

from math import exp, lgamma, log, log1p

PRECISION = 1e-15
TINY = 1e-300
MAX_STEPS = 10_000
"""It takes some sqrt(max(a, b)) of them."""


def incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b) for a, b > 0 and 0 <= x <= 1: the chance of a beta variable to be at most x.

    Raises: ValueError outside of that.
    """
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        raise ValueError("not defined there")
    if x in (0, 1):
        return float(x)
    # The fraction converges quickly below the mean, and I_x(a, b) = 1 - I_{1 - x}(b, a).
    if x > (a + 1) / (a + b + 2):
        return 1 - _below(b, a, 1 - x)
    return _below(a, b, x)


def _below(a: float, b: float, x: float) -> float:
    scale = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    return min(1.0, scale * _fraction(a, b, x) / a)


def _fraction(a: float, b: float, x: float) -> float:
    """1 / (1 + d1 / (1 + d2 / (1 + ...)))."""
    up, down = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = down
    for m in range(1, MAX_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for d in (even, odd):
            up = _nonzero(1 + d / up)
            down = 1 / _nonzero(1 + d * down)
            value *= up * down
        if abs(up * down - 1) < PRECISION:
            return value
    raise ArithmeticError("the fraction does not converge")


def _nonzero(value: float) -> float:
    return value if abs(value) > TINY else TINY

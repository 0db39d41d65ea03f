"""What a sample says about a rate: exact one-sided confidence limits of a binomial proportion (Clopper and Pearson, 1934)."""

import math
from collections.abc import Callable

CONFIDENCE = 0.95
_STEPS = 200
_TINY = 1e-300
_CLOSE = 1e-15


def upper(hits: int, of: int, *, confidence: float = CONFIDENCE) -> float:
    """The greatest rate at which so few hits are still as likely as 1 - `confidence`. 1 without a sample."""
    if of <= 0 or hits >= of:
        return 1.0
    # P(X <= hits | p) falls as p rises.
    return _where(lambda p: _beta(of - hits, hits + 1, 1 - p) <= 1 - confidence)


def lower(hits: int, of: int, *, confidence: float = CONFIDENCE) -> float:
    """The smallest rate at which so many hits are still as likely as 1 - `confidence`. 0 without a sample."""
    if of <= 0 or hits <= 0:
        return 0.0
    # P(X >= hits | p) rises with p.
    return _where(lambda p: _beta(hits, of - hits + 1, p) >= 1 - confidence)


def _where(holds: Callable[[float], bool]) -> float:
    """The smallest p in [0, 1] from which on it holds."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def _beta(a: int, b: int, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b) (DLMF 8.17), by its continued fraction."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_left(b, a, 1 - x)
    return _beta_left(a, b, x)


def _beta_left(a: int, b: int, x: float) -> float:
    """Where the fraction converges fast: x below the mean. Lentz's way of evaluating DLMF 8.17.22."""
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    c, d = 1.0, _away(1 - (a + b) * x / (a + 1))
    d = 1 / d
    found = d
    for m in range(1, _STEPS + int(10 * math.sqrt(max(a, b)))):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _away(1 + even * d), _away(1 + even / c)
        found *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _away(1 + odd * d), _away(1 + odd / c)
        step = d * c
        found *= step
        if abs(step - 1) < _CLOSE:
            break
    return front * found / a


def _away(value: float) -> float:
    """Not zero: the fraction divides by it."""
    return value if abs(value) > _TINY else _TINY

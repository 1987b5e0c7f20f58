"""The zero of a function between two numbers at which it has different signs."""

from __future__ import annotations

from collections.abc import Callable

#: Evaluations after which the interval is taken as it is: bisection alone needs fewer.
MOST = 100


def zero_between(function: Callable[[float], float], low: float, high: float, width: float) -> float:
    """A zero to within ``width``, by inverse quadratic interpolation with bisection (Chandrupatla 1997).

    Raises:
        ValueError: the function has one sign at both ends.
    """
    a, b = high, low
    at_a, at_b = function(a), function(b)
    if at_a * at_b > 0:
        raise ValueError("the function has the same sign at both ends")
    c, at_c, share = a, at_a, 0.5
    for _ in range(MOST):
        if at_b == 0.0 or at_a == 0.0:
            return b if at_b == 0.0 else a
        if abs(a - b) <= width:
            break
        # no closer to an end than what counts as zero, so that the interval closes from both sides
        nearest = 0.4 * width / abs(a - b)
        t = a + min(1.0 - nearest, max(nearest, share)) * (b - a)
        if t in (a, b):
            break
        at_t = function(t)
        if (at_t > 0) == (at_a > 0):
            c, at_c = a, at_a
        else:
            c, b, at_c, at_b = b, a, at_b, at_a
        a, at_a = t, at_t
        share = _share(a, b, c, at_a, at_b, at_c)
    return a if abs(at_a) < abs(at_b) else b


def _share(a: float, b: float, c: float, at_a: float, at_b: float, at_c: float) -> float:
    """Where to look between a and b: by the inverse parabola through three points where it is monotonic, else half."""
    xi, phi = (a - b) / (c - b), (at_a - at_b) / (at_c - at_b)
    if not (phi**2 < xi and (1.0 - phi) ** 2 < 1.0 - xi):
        return 0.5
    quadratic = at_a / (at_b - at_a) * at_c / (at_b - at_c)
    return quadratic + (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b)

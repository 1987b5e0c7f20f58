"""A real root between a point where a function is negative and one where it is positive, to any precision (mpmath)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mpmath import mp

#: A bracket halves at least every second step: enough for ten thousand digits.
STEPS = 100_000


def bracketed_root(function: Callable[[Any], tuple[Any, Any]], negative: Any, positive: Any) -> Any:
    """The root of f between two points to nearly the working precision, by Newton's method kept inside the bracket.

    Args:
        function: x ↦ ``(f(x), f'(x))``.
        negative, positive: points on either side of the root where f is known to be negative and positive, in either
            order. f is not evaluated there: it may be zero up to rounding, or infinite.

    Raises:
        ArithmeticError: if the bracket does not close.
    """
    x, width = (negative + positive) / 2, abs(positive - negative)
    # the last step squares the error; f is not known well enough to make a still smaller one come out
    close = mp.eps ** (mp.mpf(2) / 3)
    for _ in range(STEPS):
        value, slope = function(x)
        if value == 0:
            return x
        if value < 0:
            negative = x
        else:
            positive = x
        step = -value / slope if slope != 0 else width
        if abs(step) <= abs(x) * close:
            return x + step
        if abs(positive - negative) <= abs(x) * mp.eps:
            return x
        # a Newton step that does not halve the last one is slower than bisection
        inside = min(negative, positive) < x + step < max(negative, positive)
        if inside and abs(step) <= width / 2:
            x, width = x + step, abs(step)
        else:
            x, width = (negative + positive) / 2, abs(positive - negative) / 2
    raise ArithmeticError("the bracket has not closed")

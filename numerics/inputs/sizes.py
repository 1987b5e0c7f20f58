"""What sizes a problem's numbers may have: those that double precision carries."""

from __future__ import annotations

import math

from numerics.errors import InputError
from numerics.inputs.scalars import integer, real

#: Largest and smallest size of anything squared (prior kernels, labels², v, κ): products of a few of these, as in an
#: alignment of kernels, still are double-precision numbers.
LARGEST_SIZE, SMALLEST_SIZE = 1e60, 1e-60
#: Largest signal y²/(v H_0): beyond it, gradients that cancel leave nothing of a double's 16 digits.
LARGEST_SIGNAL = 1e15
#: Most rows nP of a kernel, a matrix of 8 (nP)² bytes: 800 MB here.
LARGEST_KERNEL = 10_000


def require(condition: bool, argument: str, wrong: str, accepted: str) -> None:
    """Refuse an argument in one line unless a condition holds."""
    if not condition:
        raise InputError(f"{argument}: {wrong}; accepted: {accepted}")


def positive_size(value: float, argument: str, *, zero: bool = False, largest: float = LARGEST_SIZE) -> float:
    """A finite number > 0, or ≥ 0, of a size that double precision carries."""
    bound = "a finite number ≥ 0" if zero else "a finite number > 0"
    number = real(value, argument, bound)
    require(math.isfinite(number) and (number > 0 or (zero and number == 0)), argument, f"is {number:g}", bound)
    require(number <= largest, argument, f"is {number:g}", f"at most {largest:g}, for double precision")
    require(zero or number >= SMALLEST_SIZE, argument, f"is {number:g}", f"at least {SMALLEST_SIZE:g}")
    return number


def horizon(value: int, patterns: int) -> int:
    """T of a task: an integer, small enough for a kernel of so many patterns."""
    longest = LARGEST_KERNEL // patterns + 1
    accepted = f"an integer ≥ 3, at most {longest}"
    return integer(value, "T", 3, longest, accepted)


def require_representable(start: float, growth: float, times: int, argument: str) -> None:
    """Refuse a scale ``start · growth^(t-1)``, t = 1 … times, outside the range of double precision."""
    last = math.log10(start) + (times - 1) * math.log10(growth)
    require(
        math.log10(SMALLEST_SIZE) - 1e-9 <= last <= math.log10(LARGEST_SIZE) + 1e-9,
        argument,
        f"gives the scale 1e{last:+.0f} at t = {times}",
        f"scales from {SMALLEST_SIZE:g} to {LARGEST_SIZE:g}",
    )

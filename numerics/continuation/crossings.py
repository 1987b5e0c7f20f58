"""Where the free energies of two stretches of minima cross."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from numerics.continuation.on_grid import states_at
from numerics.continuation.pieces import Piece
from numerics.continuation.roots import zero_between
from numerics.errors import LostError
from numerics.linear.functional import KernelPoint
from numerics.linear.images import distance_up_to_symmetry

#: Times that more points are taken where free energies come close.
REFINEMENTS = 6
#: Half the relative width of the bracket in which two free energies are seen to cross, at first and at most.
NARROWEST, WIDEST = 1e-13, 1e-5


@dataclass(frozen=True, eq=False)
class Crossing:
    """Equal free energies of two pieces' minima at a value of θ, within an interval of it."""

    theta: float
    interval: tuple[float, float]
    pieces: tuple[Piece, Piece]


def equal_free_energy(pieces: Sequence[Piece]) -> Iterator[Crossing]:
    """Every crossing of the free energies of two pieces."""
    for first, second in combinations(pieces, 2):
        low = max(first.bounds[0], second.bounds[0])
        high = min(first.bounds[1], second.bounds[1])
        if high - low > first.branch.track.family.options.same_value:
            yield from _crossings(first, second, low, high)


def _crossings(first: Piece, second: Piece, low: float, high: float) -> Iterator[Crossing]:
    options = first.branch.track.family.options

    def between(one: KernelPoint | None, other: KernelPoint | None) -> float:
        """The difference of F; NaN where both are one state."""
        if one is None or other is None or distance_up_to_symmetry(one, other) < options.same_state:
            return math.nan
        return one.free_energy - other.free_energy

    def difference(theta: float) -> float:
        return between(first.state(theta), second.state(theta))

    def sure(value: float) -> float:
        """As `between`; NaN also where the difference is rounding, as between states that a symmetry relates."""
        return value if abs(value) > options.same_free_energy else math.nan

    # closer together towards the ends, where pieces begin and end in critical points
    places = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.linspace(0.0, math.pi, options.compared))
    values = map(between, states_at(first, places), states_at(second, places))
    seen = [(float(theta), sure(value)) for theta, value in zip(places, values, strict=True)]
    for _ in range(REFINEMENTS):
        closer = _doubtful([pair for pair in seen if math.isfinite(pair[1])])
        if not closer:
            break
        seen = sorted([*seen, *((theta, sure(difference(theta))) for theta in closer)])
    finite = [pair for pair in seen if math.isfinite(pair[1])]
    for (a, gap_a), (b, gap_b) in pairwise(finite):
        if gap_a * gap_b < 0:
            found = _crossing(difference, a, b)
            if found is not None:
                yield Crossing(*found, (first, second))


def _doubtful(seen: list[tuple[float, float]]) -> list[float]:
    """Values at which a cubic through differences of one sign touches or crosses zero all the same."""
    if len(seen) < 4:
        return []
    theta, gaps = (np.array(column) for column in zip(*seen, strict=True))
    slopes = np.gradient(gaps, theta)
    # a cubic Hermite spline: SciPy's takes 0.3 s to load, as long as a small scan
    inner = np.linspace(0.0, 1.0, 17)[1:-1]
    rest, closer = 1.0 - inner, []
    for k in range(len(theta) - 1):
        width = theta[k + 1] - theta[k]
        if gaps[k] * gaps[k + 1] > 0 and width > 1e-6:
            values = rest**2 * ((1 + 2 * inner) * gaps[k] + width * inner * slopes[k])
            values += inner**2 * ((1 + 2 * rest) * gaps[k + 1] - width * rest * slopes[k + 1])
            sized = values * np.sign(gaps[k])
            if sized.min() < 0.3 * min(abs(gaps[k]), abs(gaps[k + 1])):
                closer.append(float(theta[k] + width * inner[sized.argmin()]))
    return closer


def _crossing(
    difference: Callable[[float], float], low: float, high: float
) -> tuple[float, tuple[float, float]] | None:
    """The zero, and an interval over which the sign changes; None where a state is lost on the way."""

    def there(theta: float) -> float:
        value = difference(theta)
        if not math.isfinite(value):
            raise LostError("one of the states is lost")
        return value

    try:
        root = zero_between(there, low, high, 0.5 * NARROWEST)
        width = NARROWEST * max(1.0, abs(root))
        while width < WIDEST:
            if there(root - width) * there(root + width) < 0:
                return root, (root - width, root + width)
            width *= 4.0
    except LostError:
        return None
    return None

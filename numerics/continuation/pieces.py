"""Stretches of branches on which states are minima, and where the free energies of two of them cross."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from numerics.continuation.branch import Branch, monotonic_pieces
from numerics.continuation.roots import zero_between
from numerics.errors import LostError
from numerics.linear.functional import KernelPoint
from numerics.symmetry.states import distance_up_to_symmetry

#: Times that more points are taken where free energies come close.
REFINEMENTS = 6
#: Half the relative width of the bracket in which two free energies are seen to cross, at first and at most.
NARROWEST, WIDEST = 1e-13, 1e-5


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of a branch, points ``first`` to ``last``, on which the parameter is monotonic."""

    number: int
    branch: Branch
    first: int
    last: int

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest θ."""
        ends = self.branch.theta[[self.first, self.last]]
        return float(ends.min()), float(ends.max())

    def state(self, theta: float) -> KernelPoint | None:
        """Its state at a value of the parameter within the bounds."""
        order = self.branch.theta[self.first : self.last + 1]
        rising = order[-1] > order[0]
        place = int(np.searchsorted(order if rising else order[::-1], theta))
        inner = min(max(place, 1), len(order) - 1)
        return self.branch.state_at(self.first + (inner - 1 if rising else len(order) - 1 - inner), theta)

    def end_state(self, theta: float) -> KernelPoint:
        """Its state at the end closest to a value of the parameter."""
        ends = (self.branch.points[k] for k in (self.first, self.last))
        return min(ends, key=lambda point: abs(point.theta - theta)).state


@dataclass(frozen=True, eq=False)
class Crossing:
    """Equal free energies of two pieces' minima at a value of θ, within an interval of it."""

    theta: float
    interval: tuple[float, float]
    pieces: tuple[Piece, Piece]


def stable_pieces(number: int, branch: Branch) -> Iterator[Piece]:
    """Those of one branch."""
    for first, last in monotonic_pieces(branch):
        inside = np.array([branch.stable_step(k) for k in range(first, last)])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            yield Piece(number, branch, first + int(start), first + int(stop))


def equal_free_energy(pieces: Sequence[Piece]) -> Iterator[Crossing]:
    """Every crossing of the free energies of two pieces."""
    for first, second in combinations(pieces, 2):
        low = max(first.bounds[0], second.bounds[0])
        high = min(first.bounds[1], second.bounds[1])
        if high - low > 1e-9:
            yield from _crossings(first, second, low, high)


def _crossings(first: Piece, second: Piece, low: float, high: float) -> Iterator[Crossing]:
    options = first.branch.track.family.options

    def difference(theta: float) -> float:
        """That of F; NaN where both are one state."""
        states = [piece.state(theta) for piece in (first, second)]
        if states[0] is None or states[1] is None or distance_up_to_symmetry(states[0], states[1]) < options.same_state:
            return math.nan
        return states[0].free_energy - states[1].free_energy

    def gap(theta: float) -> float:
        """The difference; NaN also where it is rounding, as where a symmetry relates the states."""
        value = difference(theta)
        return value if abs(value) > options.same_free_energy else math.nan

    # closer together towards the ends, where pieces begin and end in critical points
    places = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.linspace(0.0, math.pi, options.compared))
    seen = [(float(theta), gap(float(theta))) for theta in places]
    for _ in range(REFINEMENTS):
        closer = _doubtful([pair for pair in seen if math.isfinite(pair[1])])
        if not closer:
            break
        seen = sorted([*seen, *((theta, gap(theta)) for theta in closer)])
    finite = [pair for pair in seen if math.isfinite(pair[1])]
    for (a, gap_a), (b, gap_b) in pairwise(finite):
        if gap_a * gap_b < 0:
            found = _crossing(difference, a, b)
            if found is not None:
                yield Crossing(*found, (first, second))


def _doubtful(seen: list[tuple[float, float]]) -> list[float]:
    """Values at which a cubic through the differences comes to zero, or changes sign, where these have one sign."""
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
    """The zero, and an interval over which the sign is seen to change; None where it is lost on the way."""

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

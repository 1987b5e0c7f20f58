"""Stretches of branches on which states are minima."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from numerics.continuation.branch import Branch, monotonic_pieces
from numerics.linear.functional import KernelPoint


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


def stable_pieces(number: int, branch: Branch) -> Iterator[Piece]:
    """The stretches of one branch on which states are minima and the parameter is monotonic."""
    for first, last in monotonic_pieces(branch):
        inside = np.array([branch.stable_step(k) for k in range(first, last)])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            yield Piece(number, branch, first + int(start), first + int(stop))

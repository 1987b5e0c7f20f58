"""Points of a branch near one or two that are known, at any length or parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from numerics.continuation.path import PathPoint, Track
from numerics.errors import LostError

#: A parameter is met to within this in arclength, or in θ relative to ``1 + |θ|``.
CLOSE_LENGTH, CLOSE_THETA = 1e-14, 1e-15
#: Places at which a parameter is sought at first, and points after which it counts as met.
PLACES, MOST = 5, 100


@dataclass(frozen=True, eq=False)
class Stretch:
    """Corrected points of a branch by arclength, each reached from the nearest one.

    Attributes:
        track: of the branch.
        known: by length; one at length 0 at least.
    """

    track: Track
    known: dict[float, PathPoint]

    def at(self, length: float) -> PathPoint:
        """The point at a length.

        Raises:
            LostError: the corrector does not find it.
        """
        if length not in self.known:
            nearest = min(self.known, key=lambda other: abs(other - length))
            back, start = length < nearest, self.known[nearest]
            found = self.track.step(start.reversed() if back else start, abs(length - nearest))
            if found is None:
                raise LostError(f"the branch is lost at p = {self.track.family.parameter.value_at(start.theta):.6g}")
            self.known[length] = found.reversed() if back else found
        return self.known[length]

    def first_at(self, theta: float, longest: float) -> tuple[PathPoint, float]:
        """The first point with a value of θ, and its length.

        Raises:
            LostError: the branch is lost before, or does not have it within the longest length.
        """
        for place in np.linspace(0.0, longest, PLACES).tolist():
            self.at(place)
            for low, high in pairwise(sorted(length for length in self.known if length <= place)):
                if (self.known[low].theta - theta) * (self.known[high].theta - theta) <= 0:
                    return self.between(theta, low, high)
        raise LostError("the branch does not have this parameter between two of its points")

    def between(self, theta: float, low: float, high: float) -> tuple[PathPoint, float]:
        """The point with a value of θ between two lengths whose points are below and above it, by Newton's method.

        Raises:
            LostError: the branch is lost between them.
        """
        rising = self.known[high].theta > self.known[low].theta
        length = low if abs(self.known[low].theta - theta) < abs(self.known[high].theta - theta) else high
        for _ in range(MOST):
            point = self.at(length)
            excess = point.theta - theta
            low, high = (low, length) if (excess > 0) == rising else (length, high)
            onward = length - excess / point.rate if point.rate else math.inf
            if not low < onward < high:
                onward = 0.5 * (low + high)
            met = abs(excess) <= CLOSE_THETA * (1.0 + abs(theta))
            if met or min(abs(onward - length), high - low) <= CLOSE_LENGTH:
                break
            length = onward
        return self.at(length), length

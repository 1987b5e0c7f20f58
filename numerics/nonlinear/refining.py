"""The fixed point of the map of moments on other samples, through the map's derivative on a small one.

On a larger sample it takes few maps: the small sample's derivative takes their residuals to steps, and Anderson's
acceleration of these makes up for what the two samples' derivatives differ by. Its changes on parts of its own sample,
to first order, are its error. The equations' directions are kept, so that what one costs serves all others; for odd φ
they are those of a normal law's derivative (``response``), of which few are needed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.acceleration import accelerated
from numerics.nonlinear.frames import Moments
from numerics.nonlinear.groups import Group
from numerics.nonlinear.iteration import GROWN, KEPT_BY_STEP, LONGEST_CHANGE, Iterate, MapNear, MomentMap, possible
from numerics.nonlinear.response import NormalResponse
from numerics.nonlinear.sample import Sample
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.symmetries import Classes

#: Share of a right-hand side that is left open, which in soft directions leaves more of the change;
#: directions, at most.
LEFT, DIRECTIONS = 0.03, 300
#: The same share in a step towards a fixed point, and where the derivative of normal laws takes soft directions (of
#: fifty digits the error is the same to 5 %, with a third of the directions).
ROUGH = 0.1
#: Relative residuals to which the derivative of normal laws leads, in so many maps, and the map's own where that ends.
NEAR, WAY, NEARER = 0.006, 40, 0.001
#: Shift of the equation of normal laws on the way there; steps that are accelerated together; factor by which one of
#: these may make the residual larger.
SHIFT, HISTORY, STEADY = 0.3, 8, 1.2
#: Maps of a fixed point on a larger sample, at most.
MAPS = 30


class Inverse:
    """``A⁻¹b`` by generalised conjugate residuals, for one b after the other; `nearly` solves a simpler equation."""

    def __init__(self, apply: Callable[[FloatArray], FloatArray], nearly: Callable[[FloatArray], FloatArray]) -> None:
        self._apply, self._nearly = apply, nearly
        self._directions: list[FloatArray] = []
        self._images: list[FloatArray] = []

    def __call__(self, right: FloatArray, open_: float = LEFT) -> FloatArray | None:
        """The solution but for a share that stays open, or None if it takes too many directions."""
        x, left = np.zeros_like(right), right.copy()
        for direction, image in zip(self._directions, self._images, strict=True):
            share = float(image @ left)
            x, left = x + share * direction, left - share * image
        while np.linalg.norm(left) > open_ * np.linalg.norm(right):
            if len(self._images) >= DIRECTIONS:
                return None
            share = float(self._extend(self._nearly(left / np.linalg.norm(left))) @ left)
            x, left = x + share * self._directions[-1], left - share * self._images[-1]
        return x

    def _extend(self, direction: FloatArray) -> FloatArray:
        """Another direction, and its image, which is returned, orthogonal to all others."""
        image = self._apply(direction)
        for _ in range(2):
            for one, other in zip(self._directions, self._images, strict=True):
                share = float(other @ image)
                direction, image = direction - share * one, image - share * other
        size = float(np.linalg.norm(image))
        if not size > 0:
            raise np.linalg.LinAlgError("the map's derivative is singular")
        self._directions.append(direction / size)
        self._images.append(image / size)
        return self._images[-1]


class Refining:
    """A fixed point, with the derivative of the map there on a rough sample of the same groups."""

    def __init__(
        self,
        space: TrajectorySpace,
        phi: Activation,
        groups: tuple[Group, ...],
        start: Moments,
        rough: tuple[Sample, ...],
        classes: Classes | None = None,
    ) -> None:
        """Raises numpy.linalg.LinAlgError: a covariance of the start is not positive-definite."""
        self._space, self._phi, self._groups, self._start, self._classes = space, phi, groups, start, classes
        there = self.map(rough).near(start)
        self._x = there.frame.coordinates(*start)
        base = there(self._x)[1]
        nearly = NormalResponse(phi, there.frame, self._x).solved if phi.odd else lambda right: right
        self._inverse = Inverse(lambda direction: -there.change(self._x, base, direction), nearly)

    def serves(self, groups: tuple[Group, ...], classes: Classes | None) -> bool:
        """Whether it is of these groups, and held to classes if they are."""
        of = [group.coordinates.tolist() for group in self._groups]
        return (self._classes is None) == (classes is None) and of == [group.coordinates.tolist() for group in groups]

    def map(self, samples: tuple[Sample, ...]) -> MomentMap:
        """The map of moments on a sample."""
        return MomentMap(samples, self._groups, self._space, self._phi, self._classes)

    def fixed_point(
        self, samples: tuple[Sample, ...], start: Moments, tolerance: float
    ) -> tuple[Iterate, int, bool] | None:
        """The fixed point on another sample, as that of `MomentMap`; None where it is not reached from a start."""
        try:
            at = self.map(samples).near(self._start)
            return _stepped(at, start, lambda residual: self._inverse(residual, ROUGH), tolerance)
        except np.linalg.LinAlgError:
            return None

    def changes(self, parts: list[tuple[Sample, ...]], moments: Moments) -> list[FloatArray] | None:
        """Changes of Φ, to first order, from the fixed point on a sample, of given moments, to those on parts of it.

        Within groups; None where they are not found.
        """
        found = []
        try:
            for part in parts:
                at = self.map(part).near(self._start)
                x = at.frame.coordinates(*moments)
                change = self._inverse(at(x)[1], ROUGH if self._phi.odd else LEFT)
                if change is None:
                    return None
                found.append(at.frame.kernel(x + change) - at.frame.kernel(x))
        except np.linalg.LinAlgError:
            return None
        return found


def settled(map_: MomentMap, start: Moments, tolerance: float) -> tuple[Iterate, int, Refining] | None:
    """The fixed point near that of normal laws, by few maps, which it takes; None where it is not reached. For odd φ.

    The derivative of normal laws leads near it, and the map's own from there.

    Raises:
        numpy.linalg.LinAlgError: a covariance is not positive-definite.
    """
    near, maps = _neared(map_, start)
    for end in (NEARER, tolerance):  # the derivative changes much on the first part of the way
        refining = Refining(map_.space, map_.phi, map_.groups, near, map_.samples, map_.classes)
        found = refining.fixed_point(map_.samples, near, end)
        if found is None:
            return None
        last, more, _ = found
        near, maps = (last.kernel, *last.after[1:]), maps + more
    return last, maps, refining


def _neared(map_: MomentMap, start: Moments) -> tuple[Moments, int]:
    """The moments nearest the fixed point, of those that steps of normal laws lead to, and the maps that these took.

    Steps solve the equation of normal laws with a shift, as implicit steps along the map's flow do: soft directions, in
    which the way is long and the derivative may change its sign, are not overshot. Those before are accelerated, in
    units of where each step starts.

    Raises:
        numpy.linalg.LinAlgError: a covariance is not positive-definite.
    """
    moments, longest = start, LONGEST_CHANGE * np.sqrt(map_.space.m + map_.space.d)
    nearest, least, maps = start, np.inf, 0
    now: Iterate | None = None
    steps: list[Moments] = []
    changes: list[Moments] = []
    while maps < WAY:
        at = map_.near(moments)
        x = at.frame.coordinates(*moments)
        now = now or at(x)[0]
        residual = at.frame.coordinates(*now.after) - x
        size = float(np.linalg.norm(residual))
        if size < least:
            nearest, least = moments, size
        if size <= NEAR * np.linalg.norm(x):
            break
        response = NormalResponse(map_.phi, at.frame, x)
        towards = response.solved(residual, SHIFT)
        gone = [at.frame.coordinates(*step) for step in steps]
        turned = [response.solved(at.frame.coordinates(*change), SHIFT) for change in changes]
        moved, counting = None, KEPT_BY_STEP * now.counting
        if steps:
            step = _within(accelerated(towards, gone, turned), longest)
            moved = possible(at, x, step, counting, STEADY * size, tries=1)
        if moved is None:
            moved = possible(at, x, _within(towards, longest), counting, GROWN * size)
        if moved is None:
            break
        step, (new, _) = moved
        reached = at.frame.state(x + step)
        steps = [*steps, _less(reached, moments)][-HISTORY:]
        changes = [*changes, _less(_less(new.after, reached), _less(now.after, moments))][-HISTORY:]
        moments, now, maps = reached, new, maps + 1
    return nearest, maps


def _less(one: Moments, other: Moments) -> Moments:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2]


def _within(step: FloatArray, longest: float) -> FloatArray:
    return step * min(1.0, longest / float(np.linalg.norm(step)))


def _stepped(
    at: MapNear, start: Moments, solved: Callable[[FloatArray], FloatArray | None], tolerance: float
) -> tuple[Iterate, int, bool] | None:
    """The fixed point from a start, by accelerated steps that solve an equation; None where it is not reached.

    Raises:
        numpy.linalg.LinAlgError: a covariance is not positive-definite.
    """
    x = at.frame.coordinates(*start)
    now, residual = at(x)
    longest = LONGEST_CHANGE * np.sqrt(at.map.space.m + at.map.space.d)
    steps: list[FloatArray] = []
    changes: list[FloatArray] = []
    before = None
    for maps in range(MAPS):
        if np.linalg.norm(residual) <= tolerance * np.linalg.norm(x):
            return now, maps, True
        towards = solved(residual)
        if towards is None:
            return None
        if before is not None:
            changes.append(towards - before)
        step = accelerated(towards, steps, changes) if changes else towards
        step = _within(step, longest)
        moved = possible(at, x, step, KEPT_BY_STEP * now.counting, GROWN * float(np.linalg.norm(residual)))
        if moved is None:
            return None
        step, (now, residual) = moved
        steps.append(step)
        x, before = x + step, towards
    return None

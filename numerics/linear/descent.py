"""Descent in F along relative factors (``numerics.linear.relative_factors``), from several kernels at once.

Far from a minimum a kernel has to grow over many times at once. Steps in H follow a narrow curved valley there, steps
in relative factors go straight: tens of evaluations where the trust region takes hundreds. Each kernel has an iteration
and a line search of its own; they share the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from numerics.linalg import BoolArray, FloatArray
from numerics.linear.functional import KernelFunctional
from numerics.linear.relative_factors import RelativeFactors

#: Free energies that differ by less, over 1 + |F|, are one where the lowest state is looked for; and the largest
#: derivative of a descent that levels off.
SAME_FREE_ENERGY, LEVEL = 1e-7, 1e-3
#: Longest step in any coordinate, and steps that are remembered where the inverse Hessian is not kept whole.
LONGEST_STEP, MEMORY = 1.0, 30
#: Most coordinates for which the inverse Hessian is kept whole.
LARGEST_WHOLE = 120
#: Largest derivative at an end, over 1 + |F|; steps of one descent; evaluations of one line search.
TOLERANCE, MOST_STEPS, MOST_TRIALS = 1e-6, 1000, 25


def descend(
    functional: KernelFunctional, kernels: Sequence[FloatArray], *, known: Sequence[float] = ()
) -> list[tuple[FloatArray, float]]:
    """Where BFGS from each kernel ends: the kernel (m, m), close to a stationary one or the last reached, and its F.

    Args:
        functional: F, on a space whose coordinates are ordered in time.
        kernels: starts; one that double precision does not factorise is its own end, of infinite F.
        known: free energies of minima; a descent that levels off at one ends there.
    """
    coordinates = RelativeFactors.of(functional)
    ends: list[tuple[FloatArray, float]] = [(H, np.inf) for H in kernels]
    place, vectors = [], []
    for k, H in enumerate(kernels):
        try:
            vectors.append(coordinates.vector(H))
            place.append(k)
        except np.linalg.LinAlgError:
            continue
    if vectors:
        reached, values = _minimise(coordinates, np.array(vectors), np.array(known))
        for k, H, value in zip(place, coordinates.kernels(reached), values, strict=True):
            if np.isfinite(H).all():
                ends[k] = H, float(value)
    return ends


def _minimise(coordinates: RelativeFactors, z: FloatArray, known: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The ends of BFGS from each row of z, (k, d), and F there; rows that have ended are left out of what follows."""
    ends, lowest, place = z.copy(), np.empty(len(z)), np.arange(len(z))
    inverse: _InverseHessians = _Whole(z.shape) if z.shape[1] <= LARGEST_WHOLE else _Limited(z.shape)
    value, g = coordinates.values_and_gradients(z)
    stalled, steps, trials = np.zeros(len(z), dtype=bool), np.zeros(len(z), dtype=int), np.zeros(len(z), dtype=int)
    d, slope, length = _directions(inverse, g)
    while True:
        scale = 1.0 + np.abs(value)
        largest = np.abs(g).max(axis=1) / scale
        met = (np.abs(value[:, None] - known) < SAME_FREE_ENERGY * scale[:, None]).any(axis=1)
        small = largest <= np.where(met, LEVEL, TOLERANCE)
        going = ~(small | stalled) & (steps < MOST_STEPS) & (trials < MOST_TRIALS)
        if not going.all():
            ends[place[~going]], lowest[place[~going]] = z[~going], value[~going]
            if not going.any():
                return ends, lowest
            inverse.keep(going)
            parts = (place, z, value, g, steps, trials, d, slope, length)
            place, z, value, g, steps, trials, d, slope, length = (part[going] for part in parts)
        step = length[:, None] * d
        new_value, new_g = coordinates.values_and_gradients(z + step)
        lower = new_value <= value + 1e-4 * length * slope
        trials += 1
        stalled = lower & (value - new_value < 1e-13 * (1.0 + np.abs(value)))
        if not lower.all():
            # to the minimum of the parabola through what is known, within bounds
            bend = new_value - value - length * slope
            share = np.where(np.isfinite(bend) & (bend > 0), -0.5 * length * slope / np.where(bend > 0, bend, 1.0), 0.1)
            length = np.where(lower, length, length * np.clip(share, 0.1, 0.5))
        if lower.any():
            inverse.update(lower, step, new_g - g)
            z[lower] += step[lower]
            value[lower], g[lower] = new_value[lower], new_g[lower]
            steps[lower] += 1
            trials[lower] = 0
            onward = _directions(inverse, g)
            if lower.all():
                d, slope, length = onward
            else:
                for part, new in zip((d, slope, length), onward, strict=True):
                    part[lower] = new[lower]


def _directions(inverse: _InverseHessians, g: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Directions down, the slopes along them and the lengths of the first steps."""
    d = -inverse.times(g)
    slope = np.einsum("kd,kd->k", d, g)
    up = slope >= 0
    if up.any():
        inverse.forget(up)
        d[up] = -g[up]
        slope[up] = -np.einsum("kd,kd->k", g[up], g[up])
    return d, slope, np.minimum(1.0, LONGEST_STEP / np.maximum(np.abs(d).max(axis=1), 1e-300))


class _InverseHessians(Protocol):
    """Estimates of the inverse Hessian of each row; to begin with 1, about that of the entropy."""

    def times(self, g: FloatArray) -> FloatArray:
        """Each times its row of g."""

    def update(self, which: BoolArray, step: FloatArray, change: FloatArray) -> None:
        """Learn from the steps of some rows and the changes of their gradients."""

    def forget(self, which: BoolArray) -> None:
        """Back to 1 for some rows."""

    def keep(self, which: BoolArray) -> None:
        """Only these rows go on."""


def _pairs(
    which: BoolArray, step: FloatArray, change: FloatArray
) -> tuple[BoolArray, FloatArray, FloatArray, FloatArray]:
    """Rows whose step s and change y of the gradient show a positive curvature; s, y and 1/(s·y), zero elsewhere."""
    sy = np.einsum("kd,kd->k", step, change)
    sizes = np.einsum("kd,kd->k", step, step) * np.einsum("kd,kd->k", change, change)
    curved = which & (sy > 1e-10 * np.sqrt(sizes))
    rows = curved[:, None]
    weight = np.where(curved, 1.0 / np.where(curved, sy, 1.0), 0.0)
    return curved, np.where(rows, step, 0.0), np.where(rows, change, 0.0), weight


def _first_scale(y: FloatArray, weight: FloatArray) -> FloatArray:
    """``s·y/|y|²``, the inverse of the curvature along y."""
    return np.asarray(1.0 / (weight * np.einsum("kd,kd->k", y, y)))


class _Whole:
    """The BFGS update of matrices, (k, d, d)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._B = np.tile(np.eye(shape[1]), (shape[0], 1, 1))
        self._new = np.ones(shape[0], dtype=bool)

    def times(self, g: FloatArray) -> FloatArray:
        return np.asarray((self._B @ g[..., None])[..., 0])

    def update(self, which: BoolArray, step: FloatArray, change: FloatArray) -> None:
        curved, s, y, weight = _pairs(which, step, change)
        first = curved & self._new
        if first.any():
            self._B[first] *= _first_scale(y[first], weight[first])[:, None, None]
            self._new[first] = False
        By = self.times(y)
        along = 0.5 * (weight * np.einsum("kd,kd->k", y, By) + 1.0)
        one, other = weight[:, None] * s, along[:, None] * s - By
        # one·otherᵀ + other·oneᵀ as one product: outer products and their transposes take ten times as long
        self._B += np.array([one, other]).transpose(1, 2, 0) @ np.array([other, one]).transpose(1, 0, 2)

    def forget(self, which: BoolArray) -> None:
        self._B[which] = np.eye(self._B.shape[1])
        self._new[which] = True

    def keep(self, which: BoolArray) -> None:
        self._B, self._new = self._B[which], self._new[which]


class _Limited:
    """The last pairs, applied by the two-loop recursion (Nocedal 1980)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._pairs: list[tuple[FloatArray, FloatArray, FloatArray]] = []
        self._scale = np.ones(shape[0])

    def times(self, g: FloatArray) -> FloatArray:
        q, along = g.copy(), []
        for step, change, weight in reversed(self._pairs):
            a = weight * np.einsum("kd,kd->k", step, q)
            along.append(a)
            q -= a[:, None] * change
        q *= self._scale[:, None]
        for (step, change, weight), a in zip(self._pairs, reversed(along), strict=True):
            q += (a - weight * np.einsum("kd,kd->k", change, q))[:, None] * step
        return q

    def update(self, which: BoolArray, step: FloatArray, change: FloatArray) -> None:
        curved, s, y, weight = _pairs(which, step, change)
        if curved.any():
            # a pair of weight 0 says nothing: rows that have none this time
            self._pairs = [*self._pairs[1 - MEMORY :], (s, y, weight)]
            self._scale[curved] = _first_scale(y[curved], weight[curved])

    def forget(self, which: BoolArray) -> None:
        for _, _, weight in self._pairs:
            weight[which] = 0.0
        self._scale[which] = 1.0

    def keep(self, which: BoolArray) -> None:
        self._pairs = [(step[which], change[which], weight[which]) for step, change, weight in self._pairs]
        self._scale = self._scale[which]

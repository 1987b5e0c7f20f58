"""Descent of F over centred normal laws of a trajectory of many dimensions: cheap, whatever their number. For odd φ.

Weighted points say little of a law in fifty dimensions. Normal laws N(0, S) need none: ``Φ = ⟨φφᵀ⟩`` and its
derivative by S are known (``normal``). F of these, the energy and the divergence from the prior, bounds the free energy
from above, with the stationary precision

    S*⁻¹ = C⁻¹ - 2 ∂(tr Φ̃Φ)/∂S.

Steps go a share of the way from S⁻¹ to S*⁻¹, as those of ``descent``, of which this is the normal part; or, where F
falls along it, to where Anderson's acceleration of such steps leads: of a hundred digits in four layers alone they end
after hundreds. The engine converges to what is found.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy.linalg as sla

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.acceleration import shares
from numerics.nonlinear.groups import groups_of, inverse
from numerics.nonlinear.iteration import explicit_conjugate
from numerics.nonlinear.journal import recorded
from numerics.nonlinear.laws import Law
from numerics.nonlinear.normal import NormalKernel
from numerics.nonlinear.space import TrajectorySpace
from numerics.progress import Told

#: Share of the way to the stationary precision in the first step; its growth, the most and the least.
FIRST, GROWTH, LARGEST_SHARE, SMALLEST_SHARE = 0.3, 1.5, 1.0, 1e-6
#: Steps that are accelerated together.
HISTORY = 10
#: Relative fall of F in a step below which it is idle; so many idle ones end the way.
IDLE, PATIENCE = 1e-5, 2


class _At(NamedTuple):
    """F at an S, with what it is made of."""

    free_energy: float
    kernel: FloatArray
    prior_precision: FloatArray
    covariance: FloatArray
    precision: FloatArray
    towards: FloatArray


class GaussianDescent:
    """Descent between laws."""

    def __init__(self, space: TrajectorySpace, phi: Activation, told: Told | None = None) -> None:
        self._phi, self._groups, self._told = phi, groups_of(space), told or Told()

    def normal(self, space: TrajectorySpace, covariance: FloatArray) -> Law | None:
        """The centred normal law of a covariance, (d, d); None where it is singular."""
        try:
            return self._law(space, self._at(space, np.asarray(np.linalg.inv(self._within(covariance)))))
        except np.linalg.LinAlgError:
            return None

    @recorded
    def down(self, space: TrajectorySpace, law: Law, steps: int) -> tuple[Law, bool]:
        """Where so many steps down lead, or fewer if F falls no more; and whether that is so."""
        now, share, idle = self._at(space, law.precision), FIRST, 0
        before: list[_At] = []
        for step in range(steps):
            self._told.steps(step, steps)
            gone = 1.0
            new = self._lower(space, now, self._accelerated(before, now)) if before else None
            if new is None:
                gone, new = share, self._lower(space, now, share * (now.towards - now.precision))
                while new is None and gone > SMALLEST_SHARE:
                    gone *= 0.5
                    new = self._lower(space, now, gone * (now.towards - now.precision))
                share = min(LARGEST_SHARE, GROWTH * gone)
            if new is None:
                return self._law(space, now), True
            idle = idle + 1 if now.free_energy - new.free_energy < IDLE * gone * (1 + abs(new.free_energy)) else 0
            before, now = [*before, now][-HISTORY:], new
            if idle == PATIENCE:
                return self._law(space, now), True
        return self._law(space, now), False

    def _lower(self, space: TrajectorySpace, now: _At, step: FloatArray) -> _At | None:
        try:
            new = self._at(space, now.precision + step)
        except np.linalg.LinAlgError:
            return None
        return new if new.free_energy <= now.free_energy else None

    def _accelerated(self, before: list[_At], now: _At) -> FloatArray:
        """The step in S⁻¹ that Anderson's acceleration makes of those before, in units of S⁻¹."""
        factors = [(group, np.linalg.cholesky(group.of_coordinates(now.covariance))) for group in self._groups]

        def relative(matrix: FloatArray) -> FloatArray:
            return np.concatenate([(L.T @ group.of_coordinates(matrix) @ L).ravel() for group, L in factors])

        last = now.towards - now.precision
        moved = [later.precision - at.precision for at, later in pairwise([*before, now])]
        changed = [
            later.towards - at.towards - step for (at, later), step in zip(pairwise([*before, now]), moved, strict=True)
        ]
        columns = np.stack([relative(change) for change in changed], axis=1)
        for part, step, change in zip(shares(columns, relative(last)), moved, changed, strict=True):
            last = last - part * (step + change)
        return last

    def _within(self, matrix: FloatArray) -> FloatArray:
        """Without what groups do not share."""
        kept = np.zeros_like(matrix)
        for group in self._groups:
            kept[np.ix_(group.coordinates, group.coordinates)] = group.of_coordinates(matrix)
        return kept

    def _at(self, space: TrajectorySpace, precision: FloatArray) -> _At:
        """Raises numpy.linalg.LinAlgError: a matrix is not positive-definite."""
        S, kernel, averages = np.zeros_like(precision), np.zeros((space.m,) * 2), []
        log_S = 0.0
        for group in self._groups:
            own = np.ix_(group.coordinates, group.coordinates)
            upper = sla.cholesky(precision[own])
            L = sla.solve_triangular(upper, np.eye(len(upper)))  # LLᵀ = S
            S[own] = L @ L.T
            log_S += 2 * np.log(np.diagonal(L)).sum()
            E = space.embedding[np.ix_(group.rows, group.coordinates)]
            average = NormalKernel(self._phi, E @ S[own] @ E.T)
            kernel[np.ix_(group.rows, group.rows)] = average.kernel
            averages.append((group, E, average))
        C = space.covariance(kernel)
        log_C = 2 * np.log(np.diagonal(sla.cholesky(C, lower=True))).sum()
        Q = inverse(self._groups, C)
        conjugate, towards = explicit_conjugate(space, kernel, S, Q), np.zeros_like(S)
        for group, E, average in averages:
            curved = 2 * E.T @ average.gradient(group.of_rows(conjugate)) @ E
            towards[np.ix_(group.coordinates, group.coordinates)] = group.of_coordinates(Q) - curved
        divergence = 0.5 * (float(np.vdot(S, Q)) - space.d - log_S + log_C)
        F = space.labels.duals(kernel).energy + divergence
        return _At(float(F), kernel, Q, S, precision, towards)

    def _law(self, space: TrajectorySpace, at: _At) -> Law:
        none = np.zeros((1, space.d))
        tilt = np.zeros((space.m,) * 2)
        return Law(
            at.precision,
            tilt,
            at.free_energy,
            at.kernel,
            none[0],
            at.covariance,
            at.prior_precision,
            none,
            np.ones(1),
            1.0,
        )

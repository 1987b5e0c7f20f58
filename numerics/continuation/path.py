"""The pseudo-arclength step on kernels: predict along the tangent, correct by Newton across it.

A point is a kernel ``H = LLᵀ`` and θ (``Parameter``); a direction is ``(S, τ)`` with ``dH = LSLᵀ``, ``dθ = τ`` and
length ``√(‖S‖² + τ²)``. Moves are ``L exp(S) Lᵀ``, geodesics of the natural metric, and tangents are transported along
them, so that a branch on which kernels grow as powers of the parameter is nearly straight. The corrector solves the
bordered system ``[𝓗, ∂G/∂θ; S, τ]`` with the exact Hessian, on the directions that keep the lags of the state
(``numerics.symmetry.phases``): where such a state loses stability to other lags, the system stays regular.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from numerics.continuation.family import Family
from numerics.continuation.linear import Border, lowest_modes, null_direction, solve_bordered
from numerics.errors import NotSolvedError
from numerics.linalg import FloatArray, from_vector, symmetric
from numerics.linear.functional import KernelFunctional, KernelPoint
from numerics.symmetry import phases as symmetry

#: What tells that no state was found where one was looked for.
FAILURES = (NotSolvedError, np.linalg.LinAlgError, ValueError, OverflowError)


@dataclass(frozen=True, eq=False)
class PathPoint:
    """A stationary kernel of a family, with its unit tangent.

    Attributes:
        state: kernel and factorisations at its parameter.
        theta: θ, the coordinate of the parameter (``Parameter.coordinate``).
        tangent: S, (m, m).
        rate: τ, ``dθ/ds``; it changes sign at a fold.
        corrections: Newton steps spent.
    """

    state: KernelPoint
    theta: float
    tangent: FloatArray
    rate: float
    corrections: int

    @cached_property
    def spectra(self) -> tuple[FloatArray, ...]:
        """Eigenvalues, increasing, on each class of directions, the state's own lags first (``lowest_modes``)."""
        return tuple(self.lowest(index)[0] for index in range(len(symmetry.classes_of(self.state)[1])))

    def lowest(self, index: int) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues (k,) and directions S (k, m, m) on one class."""
        positions = symmetry.classes_of(self.state)[1][index]
        return lowest_modes(self.state, mask_of(positions, self.state.functional.dimension))

    @property
    def negative(self) -> int:
        """Number of negative eigenvalues of the Hessian: 0 for a minimum."""
        return int(sum(np.count_nonzero(values < 0) for values in self.spectra))

    def reversed(self) -> PathPoint:
        """The same point, to be left the other way."""
        return PathPoint(self.state, self.theta, -self.tangent, -self.rate, self.corrections)


@dataclass(frozen=True, eq=False)
class Track:
    """The directions along which states of one lag period are followed.

    Attributes:
        family: the free energies.
        period: lags that are multiples of it may be there (0: none).
    """

    family: Family
    period: int

    @cached_property
    def positions(self) -> NDArray[np.intp]:
        """Those of its directions in ``to_vector``."""
        space = self.family.base.space
        if space.pattern_basis is None:
            return np.arange(space.dimension * (space.dimension + 1) // 2)
        return symmetry.lag_classes(space.n, space.block, self.period)[0]

    @cached_property
    def mask(self) -> FloatArray:
        """1 where this track's kernels have entries."""
        return mask_of(self.positions, self.family.base.dimension)

    def put(self, H: FloatArray, theta: float) -> KernelPoint:
        """The state at a kernel of which only this track's lags are kept; the others are rounding."""
        return self.family.functional(theta).at(symmetric(H) * self.mask)

    def start(self, state: KernelPoint, theta: float, direction: FloatArray | None = None) -> PathPoint:
        """A path point from a stationary kernel: along ``direction`` S if given, else along the branch, θ rising."""
        if direction is not None:
            return PathPoint(state, theta, direction / np.linalg.norm(direction), 0.0, 0)
        tangent, rate = null_direction(state, self.mask, self.family.force(state, theta))
        return PathPoint(state, theta, tangent, rate, 0)

    def step(self, point: PathPoint, length: float) -> PathPoint | None:
        """The branch's next point at about ``length`` from this one; None if the corrector does not find it."""
        try:
            return self._corrected(point, length * point.tangent, length * point.rate)
        except FAILURES:
            return None

    def _corrected(self, point: PathPoint, S: FloatArray, change: float) -> PathPoint | None:
        state, theta, options = point.state, point.theta, self.family.options
        tangent, before = point.tangent, math.inf
        for iteration in range(options.corrections):
            theta += change
            state, turn = _moved(self.family.functional(theta), state, S, self.mask)
            tangent = turn.T @ tangent @ turn
            border = Border(self.family.force(state, theta), tangent, point.rate)
            if self._converged(state.residual, before):
                return self._arrived(state, theta, border, iteration)
            before = state.residual
            right = (-state.gradient, 0.0)
            S, change = solve_bordered(state, self.mask, border, right, _forcing(state.residual))
            if not math.hypot(float(np.linalg.norm(S)), change) < options.longest_correction:
                return None
        return None

    def _arrived(self, state: KernelPoint, theta: float, border: Border, corrections: int) -> PathPoint | None:
        tangent, rate = solve_bordered(state, self.mask, border, (np.zeros_like(state.H), 1.0), 0.0)
        size = math.hypot(float(np.linalg.norm(tangent)), rate)
        tangent, rate = tangent / size, rate / size
        length = math.hypot(float(np.linalg.norm(border.tangent)), border.rate)
        cosine = (float(np.vdot(border.tangent, tangent)) + border.rate * rate) / length
        if not cosine > self.family.options.smallest_cosine:
            return None
        return PathPoint(state, theta, tangent, rate, corrections)

    def converge(self, H: FloatArray, theta: float, *, steps: int = 15) -> KernelPoint | None:
        """Newton at a fixed parameter, from a kernel close to a state; None if it does not converge."""
        try:
            state, before = self.put(H, theta), math.inf
            for _ in range(steps):
                if self._converged(state.residual, before):
                    return state
                before = state.residual
                fixed, right = Border.none(state.H), (-state.gradient, 0.0)
                S, _ = solve_bordered(state, self.mask, fixed, right, _forcing(state.residual))
                S *= min(1.0, self.family.options.longest_correction / max(float(np.linalg.norm(S)), 1e-300))
                state, _ = _moved(state.functional, state, S, self.mask)
        except FAILURES:
            return None
        return None

    def _converged(self, residual: float, before: float) -> bool:
        """At the goal, or where rounding lets it fall no further."""
        options = self.family.options
        return residual <= options.goal or (residual <= options.accepted and residual > 0.3 * before)


def mask_of(positions: NDArray[np.intp], m: int) -> FloatArray:
    """1 at positions of ``to_vector``, (m, m)."""
    z = np.zeros(m * (m + 1) // 2)
    z[positions] = 1.0
    return np.where(from_vector(z, m) != 0, 1.0, 0.0)


def _forcing(residual: float) -> float:
    """How closely a correction is solved for: what is left of the residual is not more than Newton itself leaves."""
    return min(1e-2, max(residual, 1e-7))


def _moved(
    functional: KernelFunctional, state: KernelPoint, S: FloatArray, mask: FloatArray
) -> tuple[KernelPoint, FloatArray]:
    """The state at ``L exp(S) Lᵀ``, and the rotation from the frame ``L exp(S/2)``, in which transported directions
    keep their components, to the new Cholesky factor."""
    frame = state.L + 0.5 * state.L @ (S + 0.25 * S @ S)  # to second order: Newton's method corrects it anyway
    rotation, upper = np.linalg.qr(frame.T)
    signs = np.where(np.diagonal(upper) < 0, -1.0, 1.0)
    L = (signs[:, None] * upper).T * mask
    if not np.isfinite(L).all():
        raise ValueError("the kernel is not finite")
    return KernelPoint(functional, L @ L.T, L), (rotation * signs) * mask

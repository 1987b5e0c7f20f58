"""The pseudo-arclength step on kernels: predict along the tangent, correct by Newton across it.

A point is a kernel ``H = LLᵀ`` and ``θ = ln p``; a direction is ``(S, τ)`` with ``dH = LSLᵀ``, ``dθ = τ`` and length
``√(‖S‖² + τ²)``. Moves are ``L exp(S) Lᵀ``, geodesics of the natural metric, and tangents are transported along them,
so that a branch on which kernels grow as powers of the parameter is nearly straight. The corrector solves the bordered
system ``[𝓗, ∂G/∂θ; S, τ]`` with the exact Hessian, on the directions that keep the lags of the state
(``numerics.saddle.symmetry``): where such a state loses stability to other lags, the system stays regular.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from numerics.continuation.family import Family
from numerics.saddle import symmetry
from numerics.saddle.functional import KernelFunctional, KernelPoint
from numerics.saddle.trust_region import dense_hessian, from_vector, to_vector

FloatArray = NDArray[np.float64]

#: Relative residual to which every point is corrected, and the one that rounding may leave in its place.
GOAL, ACCEPTED = 1e-14, 1e-11
#: Corrections before a step counts as failed, and the longest single one.
CORRECTIONS, LONGEST = 10, 0.5
#: A tangent that turns by more than this in one step may belong to another branch.
SMALLEST_COSINE = 0.9


@dataclass(frozen=True, eq=False)
class PathPoint:
    """A stationary kernel of a family, with its unit tangent.

    Attributes:
        state: kernel and factorisations at its parameter.
        theta: ``ln p``.
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
        """Eigenvalues of the Hessian, increasing, on each class of directions; the state's own lags first."""
        return tuple(values for values, _ in self.modes())

    def modes(self) -> list[tuple[FloatArray, FloatArray]]:
        """Eigenvalues (k,) and directions S (k, m, m) on each class."""
        whole, m = dense_hessian(self.state), self.state.functional.dimension
        found = []
        for positions in symmetry.classes_of(self.state)[1]:
            values, vectors = np.linalg.eigh(whole[np.ix_(positions, positions)])
            z = np.zeros((len(values), len(whole)))
            z[:, positions] = vectors.T
            found.append((values, from_vector(z, m)))
        return found

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
    def _positions(self) -> NDArray[np.intp]:
        space = self.family.base.space
        if space.pattern_basis is None:
            return np.arange(space.dimension * (space.dimension + 1) // 2)
        return symmetry.lag_classes(space.n, space.block, self.period)[0]

    @cached_property
    def _basis(self) -> FloatArray:
        m = self.family.base.dimension
        return from_vector(np.eye(m * (m + 1) // 2)[self._positions], m)

    def _vector(self, S: FloatArray) -> FloatArray:
        return np.asarray(to_vector(S)[..., self._positions])

    def _matrix(self, z: FloatArray) -> FloatArray:
        full = np.zeros(self.family.base.dimension * (self.family.base.dimension + 1) // 2)
        full[self._positions] = z
        return from_vector(full, self.family.base.dimension)

    def _jacobian(self, state: KernelPoint) -> FloatArray:
        return self._vector(state.euclidean_hessian_product(self._basis)).T

    def put(self, H: FloatArray, theta: float) -> KernelPoint:
        """The state at a kernel of which only this track's lags are kept; the others are rounding."""
        m = len(H)
        kept = np.zeros(m * (m + 1) // 2)
        kept[self._positions] = to_vector(H)[self._positions]
        return self.family.functional(theta).at(from_vector(kept, m))

    def start(self, state: KernelPoint, theta: float, direction: FloatArray | None = None) -> PathPoint:
        """A path point from a stationary kernel: along ``direction`` S if given, else along the branch, θ rising."""
        if direction is not None:
            return PathPoint(state, theta, direction / np.linalg.norm(direction), 0.0, 0)
        force = self._vector(self.family.force(state, theta))
        null = np.linalg.svd(np.column_stack([self._jacobian(state), force]))[2][-1]
        null *= 1.0 if null[-1] >= 0 else -1.0
        return PathPoint(state, theta, self._matrix(null[:-1]), float(null[-1]), 0)

    def step(self, point: PathPoint, length: float) -> PathPoint | None:
        """The branch's next point at about ``length`` from this one; None if the corrector does not find it."""
        return self._corrected(point, length * point.tangent, length * point.rate)

    def _corrected(self, point: PathPoint, S: FloatArray, change: float) -> PathPoint | None:
        state, theta = point.state, point.theta
        tangent, rate, before = point.tangent, point.rate, math.inf
        try:
            for iteration in range(CORRECTIONS):
                theta += change
                state, turn = _moved(self.family.functional(theta), state, S, self._mask)
                tangent = turn.T @ tangent @ turn
                solved = self._bordered(state, theta, tangent, rate)
                if _settled(state.residual, before):
                    return self._arrived(state, theta, (tangent, rate), solved[:, 1], iteration)
                before = state.residual
                S, change = self._matrix(-solved[:-1, 0]), -float(solved[-1, 0])
                if not math.hypot(float(np.linalg.norm(S)), change) < LONGEST:
                    return None
        except (np.linalg.LinAlgError, ValueError, OverflowError):
            return None
        return None

    @cached_property
    def _mask(self) -> FloatArray:
        """1 where this track's kernels have entries."""
        m = self.family.base.dimension
        z = np.zeros(m * (m + 1) // 2)
        z[self._positions] = 1.0
        return np.where(from_vector(z, m) != 0, 1.0, 0.0)

    def _bordered(self, state: KernelPoint, theta: float, tangent: FloatArray, rate: float) -> FloatArray:
        """Solutions of the bordered system for the gradient and for the tangent, (d + 1, 2)."""
        J, force = self._jacobian(state), self._vector(self.family.force(state, theta))
        size = len(J)
        system, right = np.zeros((size + 1, size + 1)), np.zeros((size + 1, 2))
        system[:size, :size], system[:size, size] = J, force
        system[size, :size], system[size, size] = self._vector(tangent), rate
        right[:size, 0], right[size, 1] = self._vector(state.gradient), 1.0
        return np.asarray(np.linalg.solve(system, right))

    def _arrived(
        self, state: KernelPoint, theta: float, before: tuple[FloatArray, float], z: FloatArray, corrections: int
    ) -> PathPoint | None:
        z = z / np.linalg.norm(z)
        tangent, rate = self._matrix(z[:-1]), float(z[-1])
        length = math.hypot(float(np.linalg.norm(before[0])), before[1])
        if not float(np.vdot(before[0], tangent)) + before[1] * rate > SMALLEST_COSINE * length:
            return None
        return PathPoint(state, theta, tangent, rate, corrections)

    def settle(self, H: FloatArray, theta: float, *, steps: int = 15) -> KernelPoint | None:
        """Newton at a fixed parameter, from a kernel close to a state; None if it does not converge."""
        try:
            state, before = self.put(H, theta), math.inf
            for _ in range(steps):
                if _settled(state.residual, before):
                    return state
                before = state.residual
                z = np.linalg.solve(self._jacobian(state), self._vector(state.gradient))
                z *= min(1.0, LONGEST / max(float(np.linalg.norm(z)), 1e-300))
                state, _ = _moved(state.functional, state, self._matrix(np.asarray(-z)), self._mask)
        except (np.linalg.LinAlgError, ValueError, OverflowError):
            return None
        return None


def _settled(residual: float, before: float) -> bool:
    """At the goal, or where rounding lets it fall no further."""
    return residual <= GOAL or (residual <= ACCEPTED and residual > 0.3 * before)


def _moved(
    functional: KernelFunctional, state: KernelPoint, S: FloatArray, mask: FloatArray
) -> tuple[KernelPoint, FloatArray]:
    """The state at ``L exp(S) Lᵀ``, and the rotation from the frame ``L exp(S/2)``, in which transported directions
    keep their components, to the new Cholesky factor."""
    values, vectors = np.linalg.eigh(S)
    frame = state.L @ (vectors * np.exp(0.5 * values)) @ vectors.T
    rotation, upper = np.linalg.qr(frame.T)
    signs = np.where(np.diagonal(upper) < 0, -1.0, 1.0)
    L = (signs[:, None] * upper).T * mask
    if not np.isfinite(L).all():
        raise ValueError("the kernel is not finite")
    return KernelPoint(functional, L @ L.T, L), (rotation * signs) * mask

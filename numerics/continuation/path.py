"""The pseudo-arclength step on kernels: predict along the tangent, correct by Newton across it.

A point is a kernel ``H = LLᵀ`` and θ (``Parameter``); a direction is ``(S, τ)`` with ``dH = LSLᵀ``, ``dθ = τ`` and
length ``√(‖S‖² + τ²)``. Moves are ``L exp(S) Lᵀ``, geodesics of the natural metric, and tangents are transported along
them, so that a branch on which kernels grow as powers of the parameter is nearly straight. The corrector solves the
bordered system ``[𝓗, ∂G/∂θ; S, τ]`` with the exact Hessian, on the directions that keep the lags of the state
(``numerics.symmetry.phases``): where such a state loses stability to other lags, the system stays regular.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from numerics.continuation.family import Family
from numerics.continuation.linear import Bordered, lowest_modes, mask_of, null_direction, spectra
from numerics.errors import NotSolvedError
from numerics.linalg import FloatArray, IntArray, orthogonal_triangular, symmetric, symmetric_vectors
from numerics.linear.functional import KernelFunctional, KernelPoint
from numerics.symmetry.phases import lag_classes, phase_order

#: What tells that no state was found where one was looked for.
FAILURES = (NotSolvedError, np.linalg.LinAlgError, ValueError, OverflowError)

#: A residual below which the next Newton step changes the tangent by no more than rounding does.
SAME_TANGENT = 1e-11


@dataclass(frozen=True, eq=False)
class PathPoint:
    """A stationary kernel of a family, with its unit tangent.

    Attributes:
        state: kernel and factorisations at its parameter.
        theta: θ, the coordinate of the parameter (``Parameter.coordinate``).
        tangent: S, (m, m).
        rate: τ, ``dθ/ds``; it changes sign at a fold.
        classes: of directions that its track's Hessians do not couple, in ``to_vector``, the track's own first.
        corrections: Newton steps spent.
        bend: how the tangent and its rate change with arclength, as far as the step to this point tells.
    """

    state: KernelPoint
    theta: float
    tangent: FloatArray
    rate: float
    classes: tuple[IntArray, ...]
    corrections: int = 0
    bend: tuple[FloatArray | float, float] = (0.0, 0.0)

    @cached_property
    def spectra(self) -> tuple[FloatArray, ...]:
        """Eigenvalues, increasing, on each class (``lowest_modes``)."""
        return spectra(self.state, self.classes)

    def eigenvalues(self, index: int) -> FloatArray:
        """Those on one class, (k,)."""
        return spectra(self.state, self.classes[index : index + 1])[0]

    def lowest(self, index: int) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues (k,) and directions S (k, m, m) on one class."""
        return lowest_modes(self.state, mask_of(self.classes[index], self.state.functional.dimension))

    @cached_property
    def correlations(self) -> FloatArray:
        """Those of the kernel, by positions of ``to_vector``."""
        size = np.sqrt(np.diagonal(self.state.H))
        vectors = symmetric_vectors(len(size))
        return np.asarray((self.state.H / (size[:, None] * size))[vectors.rows, vectors.columns])

    @property
    def negative(self) -> int:
        """Number of negative eigenvalues of the Hessian: 0 for a minimum."""
        return int(sum(np.count_nonzero(values < 0) for values in self.spectra))

    def reversed(self) -> PathPoint:
        """The same point, to be left the other way."""
        return replace(self, tangent=-self.tangent, rate=-self.rate)


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
    def classes(self) -> tuple[IntArray, ...]:
        """Its directions in ``to_vector``, and classes of others, not coupled to these (``symmetry.phases``)."""
        space = self.family.base.space
        if space.pattern_basis is None:
            return (np.arange(space.dimension * (space.dimension + 1) // 2),)
        return lag_classes(space.n, space.block, self.period)

    @property
    def positions(self) -> IntArray:
        """Its directions in ``to_vector``."""
        return self.classes[0]

    @cached_property
    def mask(self) -> FloatArray:
        """1 where this track's kernels have entries."""
        return mask_of(self.positions, self.family.base.dimension)

    @cached_property
    def wider(self) -> tuple[tuple[int, IntArray], ...]:
        """Longer lag periods at which phases are symmetries, the longest first, with positions of all other lags."""
        base, own = self.family.base, self.period
        if base.space.pattern_basis is None or own == 0:
            return ()
        n, order = base.space.n, phase_order(base)
        periods = [0] * (order == 0) + [k for k in range(n - 1, own, -1) if k % own == order % k == 0]
        classes = [lag_classes(n, base.space.block, period)[1:] for period in periods]
        return tuple((k, np.concatenate(others)) for k, others in zip(periods, classes, strict=True) if others)

    def put(self, H: FloatArray, theta: float) -> KernelPoint:
        """The state at a kernel of which only this track's lags are kept; the others are rounding."""
        return self.family.functional(theta).at(symmetric(H) * self.mask)

    def start(self, state: KernelPoint, theta: float, direction: FloatArray | None = None) -> PathPoint:
        """A path point from a stationary kernel: along ``direction`` S if given, else along the branch, θ rising."""
        if direction is not None:
            return PathPoint(state, theta, direction / np.linalg.norm(direction), 0.0, self.classes)
        tangent, rate = null_direction(state, self.mask, self.family.force(state, theta))
        return PathPoint(state, theta, tangent, rate, self.classes)

    def step(self, point: PathPoint, length: float) -> PathPoint | None:
        """The branch's next point at about ``length`` from this one; None if the corrector does not find it."""
        try:
            return self._corrected(point, length)
        except FAILURES:
            return None

    def _corrected(self, point: PathPoint, length: float) -> PathPoint | None:
        state, theta, options = point.state, point.theta, self.family.options
        tangent, before = point.tangent, math.inf
        bend, rate_bend = point.bend
        S, change = length * (tangent + 0.5 * length * bend), length * (point.rate + 0.5 * length * rate_bend)
        system: Bordered | None = None
        for iteration in range(options.corrections):
            theta += change
            state, turn = _moved(self.family.functional(theta), state, S, self.mask)
            tangent = turn.T @ tangent @ turn
            arrived = self._converged(state.residual, before)
            if system is None or not arrived or before > SAME_TANGENT:
                system = Bordered(state, self.mask, self.family.force(state, theta), tangent, point.rate)
                turn = np.eye(len(turn))
            if arrived:
                ahead, rate = system.solve((np.zeros_like(state.H), 1.0), 0.0)
                there = replace(point, state=state, theta=theta, tangent=tangent, corrections=iteration)
                return self._arrived(there, turn.T @ ahead @ turn, rate, length)
            before = state.residual
            S, change = system.solve((-state.gradient, 0.0), _forcing(state.residual))
            if not math.hypot(float(np.linalg.norm(S)), change) < options.longest_correction:
                return None
        return None

    def _arrived(self, point: PathPoint, tangent: FloatArray, rate: float, length: float) -> PathPoint | None:
        """A corrected point that has the tangent of the point before, with its own, of any length."""
        (tangent, rate), (old, old_rate) = _unit(tangent, rate), _unit(point.tangent, point.rate)
        if not float(np.vdot(old, tangent)) + old_rate * rate > self.family.options.smallest_cosine:
            return None
        bend = (tangent - old) / length, (rate - old_rate) / length
        return replace(point, tangent=tangent, rate=rate, bend=bend)

    def converge(self, H: FloatArray, theta: float, *, steps: int = 15) -> KernelPoint | None:
        """Newton at a fixed parameter, from a kernel close to a state; None if it does not converge."""
        try:
            state, before = self.put(H, theta), math.inf
            for _ in range(steps):
                if self._converged(state.residual, before):
                    return state
                before = state.residual
                S, _ = Bordered.fixed(state, self.mask).solve((-state.gradient, 0.0), _forcing(state.residual))
                S *= min(1.0, self.family.options.longest_correction / max(float(np.linalg.norm(S)), 1e-300))
                state, _ = _moved(state.functional, state, S, self.mask)
        except FAILURES:
            return None
        return None

    def _converged(self, residual: float, before: float) -> bool:
        """At the goal, or where rounding lets it fall no further."""
        options = self.family.options
        return residual <= options.goal or (residual <= options.accepted and residual > 0.3 * before)


def _unit(S: FloatArray, rate: float) -> tuple[FloatArray, float]:
    size = math.hypot(float(np.linalg.norm(S)), rate)
    return S / size, rate / size


def _forcing(residual: float) -> float:
    """How closely a correction is solved for: what is left of the residual is not more than Newton itself leaves."""
    return min(1e-2, max(residual, 1e-7))


def _moved(
    functional: KernelFunctional, state: KernelPoint, S: FloatArray, mask: FloatArray
) -> tuple[KernelPoint, FloatArray]:
    """The state at ``L exp(S) Lᵀ``, and the rotation from the frame ``L exp(S/2)``, in which transported directions
    keep their components, to the new Cholesky factor."""
    frame = state.L + 0.5 * state.L @ (S + 0.25 * S @ S)  # to second order: Newton's method corrects it anyway
    rotation, upper = orthogonal_triangular(frame.T)
    L = upper.T * mask
    if not np.isfinite(L).all():
        raise ValueError("the kernel is not finite")
    return KernelPoint(functional, L @ L.T, L), rotation * mask

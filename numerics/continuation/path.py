"""The pseudo-arclength step on kernels: predict along the tangent, correct by Newton across it.

A point is a kernel ``H = LLᵀ`` and θ (``Parameter``); a direction is ``(S, τ)`` with ``dH = LSLᵀ``, ``dθ = τ`` and
length ``√(‖S‖² + τ²)``. Moves are ``L exp(S) Lᵀ``, geodesics of the natural metric, and tangents are transported along
them, so that a branch on which kernels grow as powers of the parameter is nearly straight. The corrector solves the
bordered system ``[𝓗, ∂G/∂θ; S, τ]`` with the exact Hessian, on the directions that keep the lags of the state
(``numerics.linear.lag_classes``): where such a state loses stability to other lags, the system stays regular.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from numerics.cached import cached_property
from numerics.continuation.family import Family
from numerics.continuation.linear import Bordered, lowest_modes, mask_of, negative_counts, null_direction, spectra
from numerics.errors import NotSolvedError
from numerics.linalg import FloatArray, IntArray, lower_factor, norm, solve_lower, symmetric, symmetric_vectors
from numerics.linear.functional import KernelFunctional, KernelPoint
from numerics.linear.lag_classes import lag_classes, phase_order

#: Errors that mean that no state was found there.
FAILURES = (NotSolvedError, np.linalg.LinAlgError, ValueError, OverflowError)

#: A residual below which the next Newton step changes the tangent by no more than rounding does; and one below which it
#: does so by no more than a step's bend can tell, over the square of its length.
SAME_TANGENT, CLOSE_TANGENT, OF_BEND = 1e-11, 1e-6, 1e-4
#: Steps shorter than this tell nothing of how the tangent bends.
SHORT = 1e-6


#: Of a tangent S and its rate τ.
Change = tuple[FloatArray | float, float]


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
        bend: how the tangent and its rate change with arclength, as far as the steps to this point tell.
        twist: how the bend does.
        stride: arclength from the point before, of which half lies back to where these steps tell the bend itself.
    """

    state: KernelPoint
    theta: float
    tangent: FloatArray
    rate: float
    classes: tuple[IntArray, ...]
    corrections: int = 0
    bend: Change = (0.0, 0.0)
    twist: Change = (0.0, 0.0)
    stride: float = 0.0

    @cached_property
    def spectra(self) -> tuple[FloatArray, ...]:
        """Eigenvalues, increasing, on each class (``lowest_modes``)."""
        return spectra(self.state, self.classes)

    def eigenvalues(self, index: int) -> FloatArray:
        """The eigenvalues on one class, (k,)."""
        return spectra(self.state, self.classes[index : index + 1])[0]

    def lowest(self, index: int) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues (k,) and directions S (k, m, m) on one class."""
        return lowest_modes(self.state, self.classes[index])

    @cached_property
    def correlations(self) -> FloatArray:
        """Correlations of the kernel, by positions of ``to_vector``."""
        size = np.sqrt(np.diagonal(self.state.H))
        vectors = symmetric_vectors(len(size))
        return np.asarray((self.state.H / (size[:, None] * size))[vectors.rows, vectors.columns])

    @cached_property
    def negatives(self) -> tuple[int, ...]:
        """Number of negative eigenvalues of the Hessian on each class."""
        return negative_counts(self.state, self.classes)

    @property
    def negative(self) -> int:
        """Number of negative eigenvalues of the Hessian: 0 for a minimum."""
        return sum(self.negatives)

    def reversed(self) -> PathPoint:
        """The same point with the opposite tangent."""
        twist, twist_rate = self.twist
        return replace(self, tangent=-self.tangent, rate=-self.rate, twist=(-twist, -twist_rate), stride=-self.stride)

    def ahead(self, length: float) -> tuple[FloatArray, float]:
        """The displacement, S and that of θ, to the point at a length, to third order in it."""
        (bend, rate_bend), (twist, rate_twist) = self.bend, self.twist
        second, third = 0.5 * length, length**2 / 6.0
        S = length * (self.tangent + second * bend + third * twist)
        return S, length * (self.rate + second * rate_bend + third * rate_twist)


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
        """Its directions in ``to_vector``, and classes of others, not coupled to these (``linear.lag_classes``)."""
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
        tangent, rate = null_direction(state, self.positions, self.family.force(state, theta))
        return PathPoint(state, theta, tangent, rate, self.classes)

    def step(self, point: PathPoint, length: float) -> PathPoint | None:
        """The branch's next point at about ``length`` from this one; None if the corrector does not find it."""
        try:
            return self._corrected(point, length)
        except FAILURES:
            return None

    def _corrected(self, point: PathPoint, length: float) -> PathPoint | None:
        state, theta, options = point.state, point.theta, self.family.options
        zero = np.zeros_like(state.H)
        carried = np.array([point.tangent, zero + point.bend[0], zero + point.twist[0]])
        S, change = point.ahead(length)
        before = math.inf
        accurate = max(SAME_TANGENT, min(CLOSE_TANGENT, OF_BEND * length**2))
        system = _Taken()
        for iteration in range(options.corrections):
            theta += change
            state, turn = _moved(self.family.functional(theta), state, S, self.mask)
            carried = turn.T @ carried @ turn
            residual = state.residual
            arrived = self._converged(residual, before)
            if not (system.residual <= accurate if arrived else system.suffices(residual, options.goal)):
                force = self.family.force(state, theta)
                system = _Taken(Bordered(state, self.positions, force, carried[0], point.rate), residual)
            else:
                system.turn(turn)
            if arrived:
                ahead, rate = system.solve(zero, 1.0, 0.0)
                there = PathPoint(
                    state,
                    theta,
                    carried[0],
                    point.rate,
                    point.classes,
                    iteration,
                    (carried[1], point.bend[1]),
                    (carried[2], point.twist[1]),
                    point.stride,
                )
                return self._arrived(there, ahead, rate, length)
            before = system.before(residual)
            S, change = system.solve(-state.gradient, 0.0, _forcing(residual))
            if not math.hypot(norm(S), change) < options.longest_correction:
                return None
        return None

    def _arrived(self, point: PathPoint, tangent: FloatArray, rate: float, length: float) -> PathPoint | None:
        """A corrected point that has the tangent, bend and twist of the point before, with its own tangent, of any
        length."""
        (tangent, rate), (old, old_rate) = _unit(tangent, rate), _unit(point.tangent, point.rate)
        if not float(np.vdot(old, tangent)) + old_rate * rate > self.family.options.smallest_cosine:
            return None
        point = replace(point, tangent=tangent, rate=rate)
        if length < SHORT:
            return point
        (bend, bend_rate), (twist, twist_rate), back = point.bend, point.twist, 0.5 * point.stride
        # between the two points, and between those before
        here, here_rate = (tangent - old) / length, (rate - old_rate) / length
        if point.stride > 0:
            apart = back + 0.5 * length
            twist = (here - (bend - back * twist)) / apart
            twist_rate = (here_rate - (bend_rate - back * twist_rate)) / apart
        half = 0.5 * length
        return replace(
            point,
            bend=(here + half * twist, here_rate + half * twist_rate),
            twist=(twist, twist_rate),
            stride=length,
        )

    def converge(self, H: FloatArray, theta: float) -> KernelPoint | None:
        """Newton at a fixed parameter, from a kernel close to a state; None if it does not converge."""
        try:
            state, before = self.put(H, theta), math.inf
            options, system, turn = self.family.options, _Taken(), np.eye(len(H))
            for _ in range(options.most_newton):
                residual = state.residual
                if self._converged(residual, before):
                    return state
                if not system.suffices(residual, options.goal):
                    system = _Taken(Bordered.fixed(state, self.positions), residual)
                else:
                    system.turn(turn)
                before = system.before(residual)
                S, _ = system.solve(-state.gradient, 0.0, _forcing(residual))
                S *= min(1.0, options.longest_correction / max(norm(S), 1e-300))
                state, turn = _moved(state.functional, state, S, self.mask)
        except FAILURES:
            return None
        return None

    def _converged(self, residual: float, before: float) -> bool:
        """Whether the residual is at the goal, or as low as rounding lets it fall."""
        options = self.family.options
        return residual <= options.goal or (residual <= options.accepted and residual > 0.3 * before)


@dataclass
class _Taken:
    """A bordered system at a point passed before.

    Attributes:
        system: the system; None before the first.
        residual: of its point.
        frame: the rotation from its frame to that of the present point; None for 1.
    """

    system: Bordered | None = None
    residual: float = math.inf
    frame: FloatArray | None = None

    def suffices(self, residual: float, goal: float) -> bool:
        """Whether one more step with it will do: where Newton's method took its residual to another, that leaves twice
        the square of this over its own."""
        return self.frame is None and residual < self.residual < 1.0 and 2.0 * residual**2 <= goal * self.residual

    def before(self, residual: float) -> float:
        """What tells whether a residual falls no further after a step: only one of Newton's own does."""
        return residual if self.frame is None else math.inf

    def turn(self, rotation: FloatArray) -> None:
        """Go on to a point in a frame that is turned."""
        self.frame = rotation if self.frame is None else self.frame @ rotation

    def solve(self, R: FloatArray, r: float, tolerance: float) -> tuple[FloatArray, float]:
        """As `Bordered.solve`, of directions in the present frame."""
        assert self.system is not None
        if self.frame is None:
            return self.system.solve((R, r), tolerance)
        S, change = self.system.solve((self.frame @ R @ self.frame.T, r), tolerance)
        return self.frame.T @ S @ self.frame, change


def _unit(S: FloatArray, rate: float) -> tuple[FloatArray, float]:
    size = math.hypot(norm(S), rate)
    return S / size, rate / size


def _forcing(residual: float) -> float:
    """How closely a correction is solved for: what is left of the residual is not more than Newton itself leaves."""
    return min(1e-2, max(residual, 1e-7))


def _moved(
    functional: KernelFunctional, state: KernelPoint, S: FloatArray, mask: FloatArray
) -> tuple[KernelPoint, FloatArray]:
    """The state at ``L exp(S) Lᵀ``, and the rotation from the frame ``L exp(S/2)``, in which transported directions
    keep their components, to the new Cholesky factor."""
    half = 0.5 * S + 0.125 * S @ S  # to second order: Newton's method corrects it anyway
    half.flat[:: len(half) + 1] += 1.0
    if not math.isfinite(norm(half)):
        raise ValueError("the kernel is not finite")
    factor = lower_factor(half @ half)
    L = (state.L @ factor) * mask
    return KernelPoint(functional, L @ L.T, L), solve_lower(factor, half).T * mask

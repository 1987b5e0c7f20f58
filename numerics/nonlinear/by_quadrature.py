"""Quadrature over trajectories of few dimensions: Newton's method on a rule that is placed anew until it stays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from numerics.errors import UnattainableError
from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, SymmetricVectors, positive_solve, symmetric_vectors
from numerics.nonlinear.engine import MOST_MODES, Refined, Say, State, continued, relative_error
from numerics.nonlinear.iteration import explicit_conjugate
from numerics.nonlinear.journal import recorded
from numerics.nonlinear.laws import Law
from numerics.nonlinear.nodes import Nodes, averages, moments_of, tilted_moments
from numerics.nonlinear.quadrature import quadrature_nodes
from numerics.nonlinear.reduced import ReducedPoint, kkt_blocks, natural, natural_hessian, reduced_point
from numerics.nonlinear.solution import EngineName
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.symmetries import Classes, kept_classes, kept_entries, turns
from numerics.progress import Told

#: How Newton's method ends on one set of points.
Ending = Literal["reached", "failed"]
#: Φ, Φ̃ and points.
Start = tuple[FloatArray, FloatArray, Nodes]

#: Newton steps in Φ on one set of points; relative step at which they end.
STEPS, STEP_TOLERANCE = 60, 1e-10
#: Longest step, a relative change of the kernel (natural metric).
LONGEST_STEP = 0.7
#: Times that a rule's points are placed anew at one label scale.
PLACEMENTS = 8
#: Relative change of Φ between placements that is none.
PLACED = 1e-9
#: Length of the first step off an unstable state, natural metric, and eigenvalues that count as unstable.
PERTURBATION, NEGATIVE = 0.15, -1e-7
#: Refinement of the rule with which states are found.
COARSE = 0.65
#: A finer rule that estimates the error; points above which it is not refined further.
FINER = {1: 2.0, 2: 2.0, 3: 1.6, 4: 1.17}
MOST_NODES = 10_000_000


@dataclass(frozen=True, eq=False)
class PlacedState(State):
    """A state on a rule.

    Attributes:
        nodes: of the rule.
    """

    nodes: Nodes

    @classmethod
    def on(cls, nodes: Nodes, point: ReducedPoint, iterations: int, status: str) -> PlacedState:
        """One that was not reached."""
        second = (nodes.points * point.average.probability[:, None]).T @ nodes.points
        return cls(point, iterations, False, status, second, len(nodes.points), nodes)


@dataclass(frozen=True)
class Quadrature:
    """The engine for at most `MOST_DIMENSIONS` dimensions.

    Attributes:
        phi: the activation.
        refinement: points along an axis, as a multiple of the standard rule's.
        told: how far a search is.
    """

    phi: Activation
    refinement: float = COARSE
    told: Told = field(default_factory=Told)
    name: EngineName = "quadrature"
    same: float = 1e-5
    has_walkers: bool = False

    def random_network(self, space: TrajectorySpace, prior: FloatArray) -> Start:
        """The start without labels."""
        none = np.zeros_like(prior)
        return prior, none, self._rule(space, prior, none, (np.zeros(space.d), space.covariance(prior)))

    def near(self, space: TrajectorySpace, trajectories: FloatArray) -> Start:
        """The start that samples of g suggest."""
        kernel, *moments = moments_of(space, self.phi, trajectories)
        conjugate = explicit_conjugate(space, kernel, moments[1] + np.outer(moments[0], moments[0]))
        return kernel, conjugate, self._rule(space, kernel, conjugate, (moments[0], moments[1]))

    def around(self, space: TrajectorySpace, law: Law) -> Start:
        """The start that a law of g suggests."""
        return law.kernel, law.tilt, self._rule(space, law.kernel, law.tilt, (law.mean, law.covariance))

    def at(self, space: TrajectorySpace, start: Start) -> PlacedState:
        """A start in the form of a state, before any iteration."""
        kernel, conjugate, nodes = start
        point = reduced_point(space, symmetric_vectors(space.m), nodes, kernel, conjugate)
        return PlacedState.on(nodes, point, 0, "")

    def start(self, space: TrajectorySpace, state: PlacedState) -> Start:
        """A state as a start."""
        return state.point.kernel, state.point.conjugate, state.nodes

    @recorded
    def converge(
        self, space: TrajectorySpace, start: Start, *, classes: Classes | None = None, relaxed: int = 0
    ) -> PlacedState | None:
        """Stationary point near a start; Newton's method goes down, so that it leaves an unstable state by itself."""
        kernel, conjugate, nodes = start
        vectors = symmetric_vectors(space.m)
        kept = kept_entries(space, vectors, classes)
        iterations = 0
        state: PlacedState | None = None
        falls = self.told.falling(PLACED)
        falls(1.0)
        for placement in range(PLACEMENTS):
            newton = _newton(space, vectors, nodes, kernel, conjugate, kept)
            if newton is None:
                return state
            point, steps, ending = newton
            iterations += steps
            moved = float(np.linalg.norm(point.kernel - kernel) / np.linalg.norm(point.kernel))
            falls(moved)
            kernel, conjugate = point.kernel, point.conjugate
            state = PlacedState.on(nodes, point, iterations, "the points have not converged")
            if ending == "failed":
                return replace(state, status="Newton's method has not converged")
            if moved <= PLACED and placement > 0:
                return replace(state, reached=True, status="converged")
            nodes = self._rule(space, kernel, conjugate, self._moments(state))
        return state

    def perturbed(self, space: TrajectorySpace, state: PlacedState) -> list[Start]:
        """Starts beside an unstable state, both ways along each unstable mode, with Φ̃ to first order in the step.

        Where a symmetry reverses the mode there is one: the other would be its mirror image.
        """
        vectors = symmetric_vectors(space.m)
        size, modes = _modes(space, vectors, state.point)
        _, cross, spread = kkt_blocks(space, vectors, state.point)
        starts = []
        for index in np.flatnonzero(size < NEGATIVE)[:MOST_MODES]:
            turned = turns(space, self.phi, state.point.kernel, vectors.matrix(modes[:, index]))
            for sign in (1.0,) if turned else (1.0, -1.0):
                for length in (PERTURBATION, 0.3 * PERTURBATION):
                    moved = sign * length * modes[:, index]
                    kernel = state.point.kernel + vectors.matrix(moved)
                    if np.linalg.eigvalsh(kernel).min() <= 0:
                        continue
                    follow = vectors.matrix(positive_solve(spread, cross @ moved))
                    starts.append((kernel, state.point.conjugate + follow, state.nodes))
                    break
        return starts

    def refined(self, space: TrajectorySpace, state: PlacedState, limit: float, say: Say) -> Refined:
        """The state under as fine a rule as its tolerance needs and `MOST_NODES` allows."""
        engine, refinement = self, 1.0
        error = engine._error(space, state)
        while state.reached and relative_error(state.point.kernel, error) > limit:
            growth = (refinement / engine.refinement) ** space.d
            if len(state.nodes.points) * growth > MOST_NODES:
                break
            engine = replace(engine, refinement=refinement)
            refinement *= FINER[space.d]
            kernel, conjugate = state.point.kernel, state.point.conjugate
            nodes = engine._rule(space, kernel, conjugate, self._moments(state))
            say(f"{len(nodes.points)} points")
            classes = kept_classes(space, self.phi, kernel)
            new = continued(engine.converge(space, (kernel, conjugate, nodes), classes=classes), state)
            if new is None or not new.reached:
                break
            state, error = new, engine._error(space, new)
        try:
            smallest = float(_modes(space, symmetric_vectors(space.m), state.point)[0].min())
        except np.linalg.LinAlgError:  # a state that was not reached
            smallest = np.nan
        return Refined(state, error, smallest > 0, smallest)

    def _rule(
        self,
        space: TrajectorySpace,
        kernel: FloatArray,
        conjugate: FloatArray,
        moments: tuple[FloatArray, FloatArray],
        finer: float = 1.0,
    ) -> Nodes:
        """The rule for a trajectory of given mean and covariance, as far as these are known."""
        return quadrature_nodes(space, self.phi, kernel, conjugate, moments, finer * self.refinement)

    def _moments(self, state: PlacedState) -> tuple[FloatArray, FloatArray]:
        return tilted_moments(state.nodes.points, state.point.average.probability, odd=self.phi.odd)

    def _error(self, space: TrajectorySpace, state: PlacedState) -> FloatArray:
        """|ΔΦ| under a finer rule, to first order."""
        vectors, point = symmetric_vectors(space.m), state.point
        finer = self._rule(space, point.kernel, point.conjugate, self._moments(state), FINER[space.d])
        other = averages(space, vectors, finer, point.kernel, point.conjugate, covariance=False)
        excess = np.concatenate([other.activity - point.average.activity, other.pull - point.average.pull])
        return np.abs(vectors.matrix(self._to_kernel(space, vectors, point, excess[None])[0]))

    def _to_kernel(
        self, space: TrajectorySpace, vectors: SymmetricVectors, point: ReducedPoint, excess: FloatArray
    ) -> FloatArray:
        """Changes of Φ that changes of ``(⟨φφᵀ⟩, ∂ln Z/∂Φ)`` cause, (k, 2s) → (k, s), through the equations' Jacobian.

        In a symmetric state only changes that keep the symmetry: the points have it too.
        """
        F, cross, spread = kkt_blocks(space, vectors, point)
        s = len(F)
        jacobian = np.block([[F, cross.T], [cross, -spread]])
        right = np.concatenate([excess[:, s:], excess[:, :s]], axis=1)
        kept = kept_entries(space, vectors, kept_classes(space, self.phi, point.kernel))
        both = np.concatenate([kept, kept])
        changes = np.zeros_like(right)
        changes[:, both] = np.linalg.solve(jacobian[np.ix_(both, both)], right[:, both].T).T
        return changes[:, :s]


def _newton(
    space: TrajectorySpace,
    vectors: SymmetricVectors,
    nodes: Nodes,
    kernel: FloatArray,
    conjugate: FloatArray,
    moving: NDArray[np.bool_],
) -> tuple[ReducedPoint, int, Ending] | None:
    """Newton's method for a minimum of F(Φ) in the `moving` entries, with |Hessian| and backtracking."""
    try:
        point = reduced_point(space, vectors, nodes, kernel, conjugate)
    except (UnattainableError, np.linalg.LinAlgError):
        return None
    for steps in range(1, STEPS + 1):
        change = natural(vectors, point.kernel)
        try:
            blocks = kkt_blocks(space, vectors, point)
            curvature = change.T @ (blocks[0] + blocks[1].T @ positive_solve(blocks[2], blocks[1])) @ change
        except np.linalg.LinAlgError:
            return point, steps, "failed"
        gradient = change.T @ point.gradient
        part = np.ix_(moving, moving)
        size, frame = np.linalg.eigh(0.5 * (curvature + curvature.T)[part])
        floor = 1e-8 * np.abs(size).max()
        step = np.zeros_like(gradient)
        step[moving] = -frame @ ((frame.T @ gradient[moving]) / np.maximum(np.abs(size), floor))
        length = float(np.linalg.norm(step))
        if length < STEP_TOLERANCE:
            return point, steps, "reached"
        factor = min(1.0, LONGEST_STEP / length)
        slope = float(gradient @ step)
        for _ in range(25):
            moved = change @ (factor * step)
            trial = point.kernel + vectors.matrix(moved)
            follow = point.conjugate + vectors.matrix(positive_solve(blocks[2], blocks[1] @ moved))
            try:
                np.linalg.cholesky(trial)
                new = reduced_point(space, vectors, nodes, trial, follow)
                rounding = 1e-13 * (1 + abs(point.energy) + abs(point.entropy))
                if new.free_energy <= point.free_energy + 1e-4 * factor * slope + rounding:
                    break
            except (UnattainableError, np.linalg.LinAlgError):
                pass
            factor *= 0.5
        else:
            return point, steps, "reached" if length < 1e-7 else "failed"
        point = new
    return point, STEPS, "failed"


def _modes(space: TrajectorySpace, vectors: SymmetricVectors, point: ReducedPoint) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues of the Hessian in the natural metric, and the eigenvectors as changes of Φ, (s, s)."""
    size, frame = np.linalg.eigh(natural_hessian(space, vectors, point))
    return size, natural(vectors, point.kernel) @ frame

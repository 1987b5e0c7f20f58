"""Sampling of trajectories of many dimensions: the map of moments iterated on a sample that grows with the accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, symmetric_vectors
from numerics.nonlinear import by_walkers, weak
from numerics.nonlinear.by_walkers import WalkedState
from numerics.nonlinear.engine import Refined, Say, State, continued, relative_error
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.iteration import Iterate, MomentMap, Moments
from numerics.nonlinear.laws import Law, law_at, minimised
from numerics.nonlinear.nodes import moments_of, tilted_moments
from numerics.nonlinear.reduced import natural_hessian, stationary_point
from numerics.nonlinear.sample import BATCHES, Mixture, Sample, fitted, placed, sample, standard, with_tails
from numerics.nonlinear.solution import Engine
from numerics.nonlinear.space import TrajectorySpace
from numerics.symmetry.trajectories import Classes, kept_classes, mirror, reversing

#: Points of a batch with which states are found, and the most that they are refined with.
FEWEST, MOST = 512, 32768
#: Points of the whole sample for each entry of Φ, at least: with fewer its map of moments has no fixed point.
FEWEST_PER_ENTRY = 4.4
#: Relative residuals to which states are found, and refined.
FOUND, REFINED = 1e-6, 1e-8
#: Mixtures that are fitted to a law on its way down, one after the other, at most; steps on the points of each; share
#: of these that counts, and relative change of Φ, at which no other is needed.
FITS, STEPS, COUNTING, MOVED = 5, 60, 0.4, 0.03
#: Unstable modes along which a state is left, the most unstable first; points of which they are found.
MOST_MODES, MODE_POINTS = 6, 32768
#: Independent parts of a sample, from whose states the error is estimated.
PARTS, PARTS_TOLERANCE = 8, 1e-6
#: Damped steps towards a minimum whose place another sample has moved too far for acceleration, and at the end of a
#: longer way; steps of such a way after which coordinates and points are placed anew.
RELAXED, ROUND = 60, 10
#: Margin on the size that the error asks for; the most that a sample grows by at once.
MARGIN, GROWTH = 1.5, 16
#: Points that must count for each entry of Φ where the Hessian is computed from covariances: its noise.
POINTS_PER_ENTRY = 200


@dataclass(frozen=True, eq=False)
class Start:
    """Where the iteration starts: moments, and what the points are drawn from."""

    moments: Moments
    mixture: Mixture


@dataclass(frozen=True, eq=False)
class SampledState(State):
    """A state on a sample.

    Attributes:
        sample: the sample.
    """

    sample: Sample


@dataclass(frozen=True)
class Sampling:
    """The engine for many dimensions.

    For odd φ the points are normal. For others, whose trajectories have long tails on one side, they are drawn from a
    mixture that is fitted to the tilted trajectory.

    Attributes:
        phi: the activation.
        size: points of each of 16 batches; None for as many as the tolerance needs.
        seed: of the random numbers.
    """

    phi: Activation
    size: int | None
    seed: int
    name: Engine = "sampling"
    same: float = 1e-2

    @property
    def has_walkers(self) -> bool:
        """For odd φ, unless the number of points is given."""
        return self.phi.odd and self.size is None

    def random_network(self, space: TrajectorySpace, prior: FloatArray) -> Start:
        """The start without labels."""
        moments = (prior, np.zeros(space.d), space.covariance(prior))
        return Start(moments, standard(space.d) if self.phi.odd else with_tails(space.d))

    def near(self, space: TrajectorySpace, trajectories: FloatArray) -> Start:
        """The start that samples of g suggest."""
        moments = moments_of(space, self.phi, trajectories)
        if self.phi.odd:
            return Start(moments, standard(space.d))
        alike = np.full(len(trajectories), 1 / len(trajectories))
        return Start(moments, fitted(trajectories, alike, *moments[1:], self.seed))

    def around(self, space: TrajectorySpace, law: Law) -> Start:
        """The start that a law of g suggests."""
        if self.phi.odd:
            return Start((law.kernel, law.mean, law.covariance), standard(space.d))
        mixture = self._fitted(law)
        for _ in range(FITS):
            chosen = self._sample(space, self._coarse(space), mixture)
            nodes = placed(chosen, space, self.phi, law.mean, law.covariance)
            before = law_at(space, self.phi, nodes, law.precision, law.tilt)
            law, ended = minimised(space, self.phi, nodes, before, steps=STEPS)
            mixture = self._fitted(law)
            moved = np.linalg.norm(law.kernel - before.kernel) / np.linalg.norm(law.kernel)
            if ended and moved <= MOVED and before.counting >= COUNTING:
                break
        return Start((law.kernel, law.mean, law.covariance), mixture)

    def _fitted(self, law: Law) -> Mixture:
        return fitted(law.points, law.probability, law.mean, law.covariance, self.seed)

    def at(self, space: TrajectorySpace, start: Start) -> SampledState:
        """A start as a state that was not reached."""
        chosen = self._sample(space, self._coarse(space), start.mixture)
        last = MomentMap(chosen, space, self.phi).at(start.moments)
        return self._state(space, chosen, last, 0, reached=False)

    def start(self, space: TrajectorySpace, state: SampledState) -> Start:
        """A state as a start."""
        moments = tilted_moments(state.nodes.points, state.point.average.probability, odd=self.phi.odd)
        return Start((state.point.kernel, *moments), state.sample.mixture)

    def converge(
        self, space: TrajectorySpace, start: Start, *, classes: Classes | None = None, relaxed: int = 0
    ) -> SampledState | None:
        """The fixed point near a start, on a small sample; where a mixture is used, on one that is fitted to it."""
        if relaxed > RELAXED:
            try:
                start = self._relaxed_far(space, start, relaxed // ROUND)
            except np.linalg.LinAlgError:
                return None
            relaxed = RELAXED
        chosen = self._sample(space, self._coarse(space), start.mixture)
        state = self._converged(space, chosen, start.moments, classes=classes, relaxed=relaxed)
        if self.phi.odd or state is None or not state.reached:
            return state
        start = self._refitted(space, state)
        chosen = self._sample(space, self._coarse(space), start.mixture)
        new = self._converged(space, chosen, start.moments, classes=classes)
        if relaxed and (new is None or not new.reached):
            new = self._converged(space, chosen, start.moments, classes=classes, relaxed=relaxed)
        return continued(new, state)

    def perturbed(self, space: TrajectorySpace, state: SampledState) -> list[Start]:
        """Starts off an unstable state; one way only where a symmetry turns the mode around."""
        map_, here = self._free(space, state)
        starts = []
        symmetries = reversing(space, self.phi, state.point.kernel)
        for mode in map_.unstable_modes(here, MOST_MODES):
            odd = any(np.linalg.norm(map_.even_part(mode, symmetry)) < 1e-3 for symmetry in symmetries)
            for sign in (1.0,) if odd else (1.0, -1.0):
                moved = map_.off(here, sign * mode)
                if moved is not None:
                    starts.append(Start(moved, state.sample.mixture))
        return starts

    def refined(self, space: TrajectorySpace, state: SampledState | WalkedState, limit: float, say: Say) -> Refined:
        """The state on as large a sample as its tolerance needs and `MOST` allows, or on the one that was asked for."""
        if isinstance(state, WalkedState):
            return by_walkers.refined(space, self.phi, state, limit, self.seed, say)
        changed = self._refined_weak(space, state, limit, say) if state.reached else None
        if changed is not None:
            return changed
        size, most = (self._coarse(space), MOST) if self.size is None else (self.size, self.size)
        classes = kept_classes(space, self.phi, state.point.kernel)
        error = np.full_like(state.point.kernel, np.inf)
        while state.reached:
            start = self.start(space, state)
            say(f"{size * BATCHES} points")
            chosen = self._sample(space, size, start.mixture)
            new = self._converged(space, chosen, start.moments, classes=classes, tolerance=REFINED)
            if (new is None or not new.reached) and self._is_stable(space, state):  # F leads back to it
                new = self._converged(space, chosen, start.moments, classes=classes, tolerance=REFINED, relaxed=RELAXED)
            if new is not None and new.reached:
                state = continued(new, state)
                say(f"{size * BATCHES} points, error")
                error = self._error(space, state, classes)
            elif size == most:
                state = replace(state, reached=False, status="no state on the whole sample")
            ratio = relative_error(state.point.kernel, error) / limit
            if ratio <= 1 or size == most:
                break
            needed = MARGIN * min(ratio, GROWTH) ** 2
            size = min(most, size * 2 ** int(np.ceil(np.log2(min(max(needed, 2.0), GROWTH)))))
        stable = False
        if state.reached:
            say("stability")
            stable = self._is_stable(space, state)
        return Refined(state, error, stable, self._hessian_smallest(space, state), _free_energy_error(state))

    def _refined_weak(self, space: TrajectorySpace, state: SampledState, limit: float, say: Say) -> Refined | None:
        """The state of weak labels from its change on small samples, if its error is within the limit."""
        prior = forward_kernel(space, self.phi)
        if not weak.is_weak(space, prior):
            return None
        start, classes = self.start(space, state), kept_classes(space, self.phi, state.point.kernel)
        pairs = []
        for seed in range(weak.SAMPLES):
            say(f"sample {seed + 1} of {weak.SAMPLES}, with labels and without")
            chosen = replace(self, seed=self.seed + seed)._sample(space, self._coarse(space), start.mixture)
            moments, pair = start.moments, []
            for labels in (space, space.with_labels(0.0)):
                new = self._converged(labels, chosen, moments, classes=classes, tolerance=weak.RESIDUAL)
                if new is None or not new.reached:
                    return None
                pair.append(continued(new, state))
                moments = self.start(space, new).moments
            pairs.append((pair[0], pair[1]))
        found = weak.refined_by_change(space, prior, pairs)
        if found is None or relative_error(found.state.point.kernel, found.kernel_error) > limit:
            return None
        say("stability")
        stable = space.labels.duals(prior).energy < weak.NEGLIGIBLE or self._is_stable(space, pairs[0][0])
        return replace(found, stable=stable, hessian_smallest=self._hessian_smallest(space, pairs[0][0]))

    def _coarse(self, space: TrajectorySpace) -> int:
        """Points of a batch with which states are found."""
        entries = space.m * (space.m + 1) // 2
        enough = max(FEWEST, FEWEST_PER_ENTRY * entries / BATCHES)
        coarse = min(1 << math.ceil(math.log2(enough)), MOST)
        return coarse if self.size is None else min(self.size, coarse)

    def _sample(self, space: TrajectorySpace, size: int, mixture: Mixture) -> Sample:
        """The fixed random numbers."""
        mirrored = mirror(space, self.phi)
        return sample(space, size, self.seed, mixture, mirrored=mirrored, paired=self.phi.odd)

    def _refitted(self, space: TrajectorySpace, state: SampledState) -> Start:
        """A state as a start; for φ that is not odd, with the mixture that fits it."""
        start = self.start(space, state)
        if self.phi.odd:
            return start
        points, probability = state.nodes.points, state.point.average.probability
        return replace(start, mixture=fitted(points, probability, *start.moments[1:], self.seed))

    def _relaxed_far(self, space: TrajectorySpace, start: Start, rounds: int) -> Start:
        """Far from a start: Φ may change by orders of magnitude, and the points follow."""
        for _ in range(rounds):
            chosen = self._sample(space, self._coarse(space), start.mixture)
            last = MomentMap(chosen, space, self.phi).relax(start.moments, ROUND)
            start = self._refitted(space, self._state(space, chosen, last, 0, reached=False))
        return start

    def _free(self, space: TrajectorySpace, state: SampledState) -> tuple[MomentMap, Iterate]:
        """The map at a state without any constraint, on not too many points."""
        start = self.start(space, state)
        size = min(len(state.nodes.points), MODE_POINTS) // BATCHES
        map_ = MomentMap(self._sample(space, size, start.mixture), space, self.phi)
        return map_, map_.at(start.moments)

    def _is_stable(self, space: TrajectorySpace, state: SampledState) -> bool:
        map_, here = self._free(space, state)
        return not map_.unstable_modes(here, 1)

    def _converged(
        self,
        space: TrajectorySpace,
        chosen: Sample,
        moments: Moments,
        *,
        classes: Classes | None,
        relaxed: int = 0,
        tolerance: float = FOUND,
    ) -> SampledState | None:
        try:
            map_ = MomentMap(chosen, space, self.phi, classes)
            last, iterations, reached = map_.fixed_point(moments, relaxed=relaxed, tolerance=tolerance)
            return self._state(space, chosen, last, iterations, reached=reached)
        except np.linalg.LinAlgError:
            return None

    def _state(
        self, space: TrajectorySpace, chosen: Sample, last: Iterate, iterations: int, *, reached: bool
    ) -> SampledState:
        nodes = placed(chosen, space, self.phi, last.mean, last.covariance)
        vectors = symmetric_vectors(space.m)
        point = stationary_point(space, vectors, nodes, last.kernel, last.conjugate, covariance=False)
        status = "converged" if reached else "the iteration has not converged"
        return SampledState(point, nodes, iterations, reached, status, chosen)

    def _error(self, space: TrajectorySpace, state: SampledState, classes: Classes | None) -> FloatArray:
        """Standard error of Φ from its values on independent parts of the sample, with the bias that they show.

        A bias falls as one over the number of points, so that the parts' mean is off by `PARTS` times as much as Φ.
        Where a part, of fewer points, has no state, its value is that to first order; infinite where that is not known.
        """
        moments = self.start(space, state).moments
        parts = [state.sample.part(batches) for batches in np.arange(BATCHES).reshape(PARTS, -1)]
        try:
            changes = self._changes(space, moments, parts, classes)
            if changes is None:
                whole = MomentMap(state.sample, space, self.phi, classes)
                changes = whole.responses(moments, parts)
        except np.linalg.LinAlgError:
            changes = None
        if changes is None:
            return np.full_like(moments[0], np.inf)
        bias = np.mean(changes, axis=0) / (PARTS - 1)
        return np.asarray(np.hypot(np.std(changes, axis=0, ddof=1) / np.sqrt(PARTS), bias))

    def _changes(
        self, space: TrajectorySpace, moments: Moments, parts: list[Sample], classes: Classes | None
    ) -> list[FloatArray] | None:
        """Changes of Φ from a state to those on other samples; None if one has no state."""
        changes = []
        for part in parts:
            try:
                last, _, reached = MomentMap(part, space, self.phi, classes).fixed_point(
                    moments, tolerance=PARTS_TOLERANCE
                )
            except np.linalg.LinAlgError:
                return None
            if not reached:
                return None
            changes.append(last.kernel - moments[0])
        return changes

    def _hessian_smallest(self, space: TrajectorySpace, state: State) -> float:
        """Smallest eigenvalue of the Hessian in the natural metric, where the points are enough for its covariances."""
        vectors, point = symmetric_vectors(space.m), state.point
        if point.average.effective_size < POINTS_PER_ENTRY * len(vectors.rows):
            return np.nan
        try:
            full = stationary_point(space, vectors, state.nodes, point.kernel, point.conjugate, covariance=True)
            return float(np.linalg.eigvalsh(natural_hessian(space, vectors, full))[0])
        except np.linalg.LinAlgError:
            return np.nan


def _free_energy_error(state: SampledState) -> float:
    """Standard error of F, that of ln Z, from the batches: F is stationary in all that follows from them."""
    shares = BATCHES * np.bincount(state.sample.batch, state.point.average.probability, BATCHES)
    return float(np.std(shares, ddof=1) / np.sqrt(BATCHES))

"""Sampling of trajectories of many dimensions: the map of moments iterated on a sample that grows with the accuracy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from numerics.linalg import FloatArray, symmetric_vectors
from numerics.nonlinear import by_walkers, weak
from numerics.nonlinear.averaging import LARGE
from numerics.nonlinear.by_walkers import WalkedState
from numerics.nonlinear.engine import MOST_MODES, Refined, Say, continued, relative_error
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.groups import groups_of, largest
from numerics.nonlinear.iteration import MomentMap
from numerics.nonlinear.journal import recorded
from numerics.nonlinear.laws import Law, law_at, minimised
from numerics.nonlinear.nodes import moments_of
from numerics.nonlinear.reduced import natural_hessian, stationary_point
from numerics.nonlinear.refining import Refining
from numerics.nonlinear.sample import BATCHES, Sample, placed, with_tails
from numerics.nonlinear.sampled import (
    LARGEST_BATCH,
    LARGEST_OF_MANY_ROWS,
    ROUND,
    Sampled,
    SampledState,
    Start,
)
from numerics.nonlinear.solution import EngineName
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.spread import beyond_noise, largest_error, standard_error
from numerics.nonlinear.symmetries import Classes, kept_classes, reversing

#: Mixtures that are fitted to a law on its way down, one after the other, at most; steps on the points of each; share
#: of these that counts, and relative change of Φ, at which no other is needed.
FITS, STEPS, COUNTING, MOVED = 5, 60, 0.4, 0.03
#: Relative residual to which states are refined; of many rows, whose maps cost most, over the error that Φ may have, if
#: that is more.
REFINED, REFINED_SHARE = 1e-8, 0.02
#: Damped steps towards a minimum whose place another sample has moved too far for acceleration, and at the end of a
#: longer way.
RELAXED = 60
#: Independent parts of a sample, from whose states the error is estimated, and to which residual these are found.
PARTS, PARTS_TOLERANCE = 8, 1e-6
#: Margin on the size that the error asks for; the most that a sample grows by at once.
MARGIN, GROWTH = 1.1, 16
#: Points that must count for each entry of Φ where the Hessian is computed from covariances: its noise.
HESSIAN_POINTS = 200


@dataclass(frozen=True)
class Sampling(Sampled):
    """The engine for many dimensions."""

    name: EngineName = "sampling"
    same: float = 1e-2

    @property
    def has_walkers(self) -> bool:
        """For odd φ, unless the number of points is given."""
        return self.phi.odd and self.size is None

    def random_network(self, space: TrajectorySpace, prior: FloatArray) -> Start:
        """The start without labels."""
        moments = (prior, np.zeros(space.d), space.covariance(prior))
        if self.phi.odd:
            return Start(moments)
        return Start(moments, tuple(with_tails(len(group.coordinates)) for group in groups_of(space)))

    def near(self, space: TrajectorySpace, trajectories: FloatArray) -> Start:
        """The start that samples of g suggest."""
        moments = moments_of(space, self.phi, trajectories)
        alike = np.full(len(trajectories), 1 / len(trajectories))
        return Start(moments, self._fitted(space, trajectories, alike, moments[1], moments[2]))

    def around(self, space: TrajectorySpace, law: Law) -> Start:
        """The start that a law of g suggests."""
        moments = law.kernel, law.mean, law.covariance
        groups = groups_of(space)
        if self.phi.odd:
            return Start(moments, settled=largest(groups) > LARGE)
        mixtures = self._fitted(space, law.points, law.probability, law.mean, law.covariance)
        for _ in range(FITS):
            chosen = self._samples(space, self._coarse(groups), groups, mixtures)
            nodes = placed(chosen, groups, space, self.phi, law.mean, law.covariance)
            before = law_at(space, self.phi, nodes, law.precision, law.tilt)
            law, ended = minimised(space, self.phi, nodes, before, steps=STEPS)
            mixtures = self._fitted(space, law.points, law.probability, law.mean, law.covariance)
            moved = np.linalg.norm(law.kernel - before.kernel) / np.linalg.norm(law.kernel)
            if ended and moved <= MOVED and before.counting >= COUNTING:
                break
        return Start((law.kernel, law.mean, law.covariance), mixtures)

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
        size = self._coarse(groups_of(space, classes))
        state = self._settled(space, start, size, classes) if start.settled else None
        state = state or self._converged(space, start, size, classes=classes, relaxed=relaxed)
        if self.phi.odd or state is None or not state.reached:
            return state
        start = self._refitted(space, state)
        new = self._converged(space, start, size, classes=classes)
        if relaxed and (new is None or not new.reached):
            new = self._converged(space, start, size, classes=classes, relaxed=relaxed)
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
                    starts.append(Start(moved, state.mixtures))
        return starts

    def refined(self, space: TrajectorySpace, state: SampledState | WalkedState, limit: float, say: Say) -> Refined:
        """The state on as large a sample as its tolerance needs and a computer holds, or on the one asked for."""
        if isinstance(state, WalkedState):
            return by_walkers.refined(space, self.phi, state, limit, self.seed, say, self.told)
        changed = self._refined_weak(space, state, limit, say) if state.reached else None
        if changed is not None:
            return changed
        classes = kept_classes(space, self.phi, state.point.kernel)
        groups = groups_of(space, classes)
        coarse, refining = self._coarse(groups), state.refining  # of many rows, one on a small sample serves all others
        if refining is not None and not refining.serves(groups, classes):
            refining = None
        allowed = LARGEST_BATCH if space.m <= LARGE else LARGEST_OF_MANY_ROWS
        size, most = (coarse, allowed) if self.size is None else (self.size, self.size)
        tolerance = REFINED if space.m <= LARGE else max(REFINED, REFINED_SHARE * limit)
        error, bound = np.full_like(state.point.kernel, np.inf), np.inf
        first: tuple[int, FloatArray] | None = None
        while state.reached:
            start, has_bias = self.start(space, state), space.m <= LARGE or size == most
            say(f"{size * BATCHES} points")
            new = self._converged(space, start, size, classes=classes, tolerance=tolerance, refining=refining)
            if (new is None or not new.reached) and self._is_stable(space, state):  # F leads back to it
                new = self._converged(space, start, size, classes=classes, tolerance=tolerance, relaxed=RELAXED)
            if new is not None and new.reached:
                state = continued(new, state)
                say(f"{size * BATCHES} points, error")
                if refining is None and space.m > LARGE:
                    refining = self._refining(space, state, min(coarse, size), classes)
                error, bound = self._error(space, state, min(coarse, size), classes, refining, first)
                has_bias, first = has_bias or first is not None, first or (size, state.point.kernel)
            elif size == most:
                state = replace(state, reached=False, status="no state on the whole sample")
            ratio = relative_error(state.point.kernel, bound) / limit
            if (ratio <= 1 and has_bias) or size == most:
                break
            needed = MARGIN * min(ratio, GROWTH) ** 2
            size = min(most, size * 2 ** int(np.ceil(np.log2(min(max(needed, 2.0), GROWTH)))))
        stable = False
        if state.reached:
            say("stability")
            stable = self._is_stable(space, state)
        return Refined(state, error, stable, self._hessian_smallest(space, state), _free_energy_error(state), bound)

    def _refined_weak(self, space: TrajectorySpace, state: SampledState, limit: float, say: Say) -> Refined | None:
        """The state of weak labels from its change on small samples, if its error is within the limit."""
        prior = forward_kernel(space, self.phi)
        if not weak.is_weak(space, prior):
            return None
        if weak.are_negligible(space, prior):
            responded = self._responded(space, prior, limit, say)
            if responded is not None:
                return responded
        classes = kept_classes(space, self.phi, state.point.kernel)
        size = self._coarse(groups_of(space, classes))
        pairs = []
        say("small samples, with labels and without")
        for seed in range(weak.SAMPLES):
            engine, start = replace(self, seed=self.seed + seed), self.start(space, state)
            pair: list[SampledState] = []
            for labels in (space, space.with_labels(0.0)):
                self.told.part(2 * seed + len(pair), 2 * weak.SAMPLES)
                new = engine._converged(labels, start, size, classes=classes, tolerance=weak.RESIDUAL)
                if new is None or not new.reached:
                    return None
                pair.append(continued(new, state))
                start = self.start(space, new)
            pairs.append((pair[0], pair[1]))
        found = weak.refined_by_change(space, prior, pairs)
        if found is None or found.relative_error > limit:
            return None
        say("stability")
        stable = space.labels.duals(prior).energy < weak.NEGLIGIBLY_WEAK or self._is_stable(space, pairs[0][0])
        return replace(found, stable=stable, hessian_smallest=self._hessian_smallest(space, pairs[0][0]))

    def _responded(self, space: TrajectorySpace, prior: FloatArray, limit: float, say: Say) -> Refined | None:
        """The state of negligible labels by its change to first order, if its error is within the limit."""
        start, classes = Start(weak.random_moments(space, prior)), kept_classes(space, self.phi, prior)
        coarse = self._coarse(groups_of(space, classes))
        for size in sorted({min(weak.FEW, coarse), coarse}):
            say(f"the change of the random network on {weak.SAMPLES} samples of {size * BATCHES} points")
            states: list[SampledState] = []
            for number in range(weak.SAMPLES):
                map_ = replace(self, seed=self.seed + number)._map(space, start, size, classes)
                found = weak.response(map_, prior)
                if found is None:
                    break
                states.append(self._state(map_, start, size, *found, reached=True))
            refined = weak.refined_by_response(space, prior, states) if len(states) == weak.SAMPLES else None
            if refined is not None and refined.relative_error <= limit:
                return replace(refined, hessian_smallest=self._hessian_smallest(space, states[0]))
        return None

    def _error(
        self,
        space: TrajectorySpace,
        state: SampledState,
        size: int,
        classes: Classes | None,
        refining: Refining | None = None,
        first: tuple[int, FloatArray] | None = None,
    ) -> tuple[FloatArray, float]:
        """Standard error of Φ from its values on independent parts of the sample, with its bias, and the largest error.

        A bias falls as one over the number of points, so that the parts' mean is off by `PARTS` times as much as Φ.
        Where a part has no state, or rows are many, its value is that to first order, through the map's derivative on
        points of a given size, unless given, and has no bias: of many rows Φ on a first, smaller sample tells it.
        Infinite where that is not known.
        """
        number = BATCHES if space.m > LARGE else PARTS  # to first order the fewest points are enough
        parts = [
            tuple(each.part(batches) for each in state.samples) for batches in np.arange(BATCHES).reshape(number, -1)
        ]
        changes = self._changes(space, state, parts, classes) if space.m <= LARGE else None
        if refining is not None:
            changes = refining.changes(parts, state.moments)
        if changes is None:
            refining = self._refining(space, state, size, classes)
            changes = None if refining is None else refining.changes(parts, state.moments)
        if changes is None:
            return np.full_like(state.point.kernel, np.inf), np.inf
        found, bias = np.array(changes), np.mean(changes, axis=0) / (number - 1)
        noise = standard_error(found)
        if first is not None and space.m > LARGE:
            growth = state.size / first[0] - 1
            bias = beyond_noise((state.point.kernel - first[1]) / growth, noise / np.sqrt(growth))
        return np.hypot(noise, bias), largest_error(found, bias)

    @recorded
    def _changes(
        self, space: TrajectorySpace, state: SampledState, parts: list[tuple[Sample, ...]], classes: Classes | None
    ) -> list[FloatArray] | None:
        """Changes of Φ from a state to those on parts of its sample; None if one has no state."""
        changes = []
        for number, part in enumerate(parts):
            self.told.part(number, len(parts))
            map_ = MomentMap(part, state.groups, space, self.phi, classes, self.told)
            try:
                last, _, reached = map_.fixed_point(state.moments, tolerance=PARTS_TOLERANCE)
            except np.linalg.LinAlgError:
                return None
            if not reached:
                return None
            changes.append(last.kernel - state.moments[0])
        return changes

    @recorded
    def _hessian_smallest(self, space: TrajectorySpace, state: SampledState | WalkedState) -> float:
        """Smallest eigenvalue of the Hessian in the natural metric, where the points are enough for its covariances."""
        vectors, point = symmetric_vectors(space.m), state.point
        needed = HESSIAN_POINTS * len(vectors.rows)
        if point.average.effective_size < needed or isinstance(state, WalkedState):
            return np.nan
        try:
            nodes, p = self._weighted(space, state)
            if 1 / np.vdot(p, p) < needed:  # of all groups together
                return np.nan
            full = stationary_point(space, vectors, nodes, point.kernel, point.conjugate, covariance=True)
            return float(np.linalg.eigvalsh(natural_hessian(space, vectors, full))[0])
        except np.linalg.LinAlgError:
            return np.nan


def _free_energy_error(state: SampledState) -> float:
    """Standard error of F, that of ln Z, from the batches: F is stationary in all that follows from them."""
    return float(np.linalg.norm(np.std(state.batches, axis=1, ddof=1)) / np.sqrt(BATCHES))

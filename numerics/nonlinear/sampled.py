"""States on samples of a given size: the fixed points of the map of moments there, and whether they are stable."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, symmetric_vectors
from numerics.nonlinear.averaging import LARGE
from numerics.nonlinear.engine import State
from numerics.nonlinear.frames import Moments
from numerics.nonlinear.groups import Group, groups_of, largest, whole
from numerics.nonlinear.iteration import Iterate, MomentMap
from numerics.nonlinear.nodes import Averages, Nodes, log_density
from numerics.nonlinear.reduced import point_at
from numerics.nonlinear.refining import Refining, settled
from numerics.nonlinear.sample import BATCHES, Mixture, Sample, fitted, placed, sample, standard
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.symmetries import Classes, mirror
from numerics.progress import Told

#: Points of a batch with which states are found, and the most that they are refined with, of few rows and of many.
FEWEST, LARGEST_BATCH, LARGEST_OF_MANY_ROWS = 512, 32768, 65536
#: Points of the whole sample for each entry of Φ, at least: with fewer its map of moments has no fixed point.
FEWEST_PER_ENTRY = 4.4
#: Relative residual to which states are found; points of which unstable modes are.
FOUND, MODE_POINTS = 1e-6, 32768
#: Steps of a long way after which coordinates and points are placed anew.
ROUND = 10


@dataclass(frozen=True, eq=False)
class Start:
    """Where the iteration starts.

    Attributes:
        moments: Φ, mean and covariance of g.
        mixtures: what the points of each group are drawn from; None for the standard normal.
        settled: whether they are those of a minimum over normal laws.
        axes: along which the normals of each group are drawn; None for those that the moments tell.
    """

    moments: Moments
    mixtures: tuple[Mixture, ...] | None = None
    settled: bool = False
    axes: tuple[FloatArray | None, ...] | None = None


@dataclass(frozen=True, eq=False)
class SampledState(State):
    """A state on a sample.

    Attributes:
        moments: Φ, mean and covariance of g.
        samples, groups: the sample of each group.
        mixtures: what they are drawn from, as of a start.
        batches: mean weights of each group's batches, relative, (groups, BATCHES).
        size: points of a batch.
        refining: the map's derivative there, where it was needed on the way.
    """

    moments: Moments
    samples: tuple[Sample, ...]
    groups: tuple[Group, ...]
    mixtures: tuple[Mixture, ...] | None
    batches: FloatArray
    size: int
    refining: Refining | None = None


@dataclass(frozen=True)
class Sampled:
    """Maps of moments and their fixed points.

    For odd φ the points are normal. For others, whose trajectories have long tails on one side, they are drawn from a
    mixture that is fitted to the tilted trajectory.

    Attributes:
        phi: the activation.
        size: points of each of 16 batches; None for as many as the tolerance needs.
        seed: of the random numbers.
        told: how far a search is.
    """

    phi: Activation
    size: int | None
    seed: int
    told: Told = field(default_factory=Told)

    def at(self, space: TrajectorySpace, start: Start) -> SampledState:
        """A start in the form of a state, before any iteration."""
        size = self._coarse(groups_of(space))
        map_ = self._map(space, start, size)
        return self._state(map_, start, size, map_.at(start.moments), 0, reached=False)

    def start(self, space: TrajectorySpace, state: SampledState) -> Start:
        """A state as a start."""
        return Start(state.moments, state.mixtures, axes=tuple(each.axes for each in state.samples))

    def _coarse(self, groups: tuple[Group, ...]) -> int:
        """Points of a batch with which states are found."""
        m = max(len(group.rows) for group in groups)
        enough = max(FEWEST, FEWEST_PER_ENTRY * m * (m + 1) / 2 / BATCHES)
        coarse = min(1 << math.ceil(math.log2(enough)), LARGEST_BATCH)
        return coarse if self.size is None else min(self.size, coarse)

    def _map(self, space: TrajectorySpace, start: Start, size: int, classes: Classes | None = None) -> MomentMap:
        """The map on fixed random numbers, so many a batch."""
        groups = groups_of(space, classes)
        axes = start.axes
        if self.phi.odd and largest(groups) > LARGE and (axes is None or len(axes) != len(groups)):
            axes = tuple(_pulled(space, group, start.moments) for group in groups)
        samples = self._samples(space, size, groups, start.mixtures, axes)
        return MomentMap(samples, groups, space, self.phi, classes, self.told)

    def _samples(
        self,
        space: TrajectorySpace,
        size: int,
        groups: tuple[Group, ...],
        mixtures: tuple[Mixture, ...] | None,
        axes: tuple[FloatArray | None, ...] | None = None,
    ) -> tuple[Sample, ...]:
        signs = mirror(space, self.phi)
        samples = []
        for number, group in enumerate(groups):
            d, own = len(group.coordinates), None if signs is None else signs[group.coordinates]
            samples.append(
                sample(
                    d,
                    size,
                    (self.seed, number) if number else self.seed,
                    standard(d) if mixtures is None else mixtures[number],
                    mirrored=None if own is None or (own == own[0]).all() else own,
                    paired=self.phi.odd,
                    axes=None if axes is None else axes[number],
                )
            )
        return tuple(samples)

    def _fitted(
        self,
        space: TrajectorySpace,
        points: FloatArray,
        probability: FloatArray,
        mean: FloatArray,
        covariance: FloatArray,
    ) -> tuple[Mixture, ...] | None:
        """The mixture of each group that fits weighted points; none for odd φ."""
        if self.phi.odd:
            return None
        return tuple(
            fitted(
                points[:, group.coordinates],
                probability,
                mean[group.coordinates],
                group.of_coordinates(covariance),
                self.seed,
            )
            for group in groups_of(space)
        )

    def _refitted(self, space: TrajectorySpace, state: SampledState) -> Start:
        """A state as a start; for φ that is not odd, with the mixtures that fit it."""
        start = self.start(space, state)
        if self.phi.odd:
            return start
        nodes, probability = self._weighted(space, state)
        return replace(start, mixtures=self._fitted(space, nodes.points, probability, *start.moments[1:]))

    def _weighted(self, space: TrajectorySpace, state: SampledState) -> tuple[Nodes, FloatArray]:
        """Points of all rows, with their probabilities; those of groups, each evenly spread, are not so together."""
        groups, samples = state.groups, state.samples
        if self.phi.odd and len(groups) > 1:
            groups = whole(space)
            samples = self._samples(space, state.size, groups, None)
        nodes = placed(samples, groups, space, self.phi, *state.moments[1:])
        log_p = nodes.log_weight + log_density(nodes, space.covariance(state.point.kernel), state.point.conjugate)
        p = np.exp(log_p - log_p.max())
        return nodes, p / p.sum()

    def _relaxed_far(self, space: TrajectorySpace, start: Start, rounds: int) -> Start:
        """Far from a start: Φ may change by orders of magnitude, and the points follow."""
        for _ in range(rounds):
            size = self._coarse(groups_of(space))
            map_ = self._map(space, start, size)
            last = map_.relax(start.moments, ROUND)
            start = self._refitted(space, self._state(map_, start, size, last, 0, reached=False))
        return start

    def _free(self, space: TrajectorySpace, state: SampledState) -> tuple[MomentMap, Iterate]:
        """The map at a state without any constraint, on not too many points."""
        start = self.start(space, state)
        size = min(state.size, MODE_POINTS // BATCHES)
        if space.m > LARGE:
            size = min(size, self._coarse(groups_of(space)))
        map_ = self._map(space, start, size)
        return map_, map_.at(start.moments)

    def _is_stable(self, space: TrajectorySpace, state: SampledState) -> bool:
        map_, here = self._free(space, state)
        return not map_.unstable_modes(here, 1)

    def _converged(
        self,
        space: TrajectorySpace,
        start: Start,
        size: int,
        *,
        classes: Classes | None,
        relaxed: int = 0,
        tolerance: float = FOUND,
        refining: Refining | None = None,
    ) -> SampledState | None:
        map_ = self._map(space, start, size, classes)
        try:
            found = None if refining is None else refining.fixed_point(map_.samples, start.moments, tolerance)
            found = found or map_.fixed_point(start.moments, relaxed=relaxed, tolerance=tolerance)
            last, iterations, reached = found
            return self._state(map_, start, size, last, iterations, reached=reached)
        except np.linalg.LinAlgError:
            return None

    def _settled(self, space: TrajectorySpace, start: Start, size: int, classes: Classes | None) -> SampledState | None:
        map_ = self._map(space, start, size, classes)
        try:
            found = settled(map_, start.moments, FOUND)
            if found is None:
                return None
            return replace(self._state(map_, start, size, *found[:2], reached=True), refining=found[2])
        except np.linalg.LinAlgError:
            return None

    def _state(
        self, map_: MomentMap, start: Start, size: int, last: Iterate, iterations: int, *, reached: bool
    ) -> SampledState:
        space, vectors = map_.space, symmetric_vectors(map_.space.m)
        second = last.after[2] + np.outer(last.after[1], last.after[1])
        precision = np.asarray(np.linalg.inv(space.covariance(last.kernel)))
        response, points = precision @ second @ precision, len(map_.samples[0].z)
        average = Averages(
            last.log_Z,
            vectors.vec(last.after[0]),
            vectors.vec(space.pull_back(0.5 * (response - precision))),
            np.ones(1),
            last.counting * points,
            None,
            precision,
            response,
        )
        return SampledState(
            point_at(space, vectors, last.kernel, last.conjugate, average),
            iterations,
            reached,
            "converged" if reached else "the iteration has not converged",
            second,
            points,
            (last.kernel, *last.after[1:]),
            map_.samples,
            map_.groups,
            start.mixtures,
            last.batches,
            size,
        )

    def _refining(
        self, space: TrajectorySpace, state: SampledState, size: int, classes: Classes | None
    ) -> Refining | None:
        rough = self._map(space, self.start(space, state), size, classes).samples
        try:
            return Refining(space, self.phi, state.groups, state.moments, rough, classes)
        except np.linalg.LinAlgError:
            return None


def _pulled(space: TrajectorySpace, group: Group, moments: Moments) -> FloatArray:
    """Axes of standard normals z, of ``g = L z``, as columns: first those along which labels change a law the most.

    Raises:
        numpy.linalg.LinAlgError: a covariance is not positive-definite.
    """
    L = np.linalg.cholesky(group.of_coordinates(moments[2]))
    change, axes = np.linalg.eigh(L.T @ np.linalg.solve(group.of_coordinates(space.covariance(moments[0])), L))
    return np.asarray(axes[:, np.argsort(-np.abs(np.log(change)))])

"""States of many dimensions by walkers (``walkers``): for odd φ, where a fixed sample has too few points that count.

The map of moments of ``iteration`` is repeated in short steps on points that stay in the law, and its moments are
averaged on the way, so that the noise of each step cancels (Polyak & Juditsky, SIAM J. Control Optim. 30, 838 (1992)).
Noise leads away from saddle points. Populations that know nothing of each other give the standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, symmetric_vectors
from numerics.nonlinear.engine import Refined, Say, State, relative_error
from numerics.nonlinear.iteration import explicit_conjugate
from numerics.nonlinear.journal import recorded
from numerics.nonlinear.laws import Law, Pair
from numerics.nonlinear.nodes import Nodes
from numerics.nonlinear.reduced import stationary_point
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.walkers import Walkers, on_other_points
from numerics.progress import Told

#: Walkers of a population; steps after which their paths are scaled anew; updates of the chain in each part of an
#: anneal.
COUNT, SCALED, ANNEALED = 4096, 10, 4
#: Share of the way to the moments that are met in a step.
SHARE = 0.3
#: Steps down from a start, so many of them together, and those after them that are averaged.
DOWN, TOGETHER, AVERAGED = 240, 30, 60
#: Populations of a state; their steps before they are averaged, and in each half of the average; doublings of these.
POPULATIONS, BEFORE, HALF, DOUBLINGS = 8, 100, 50, 2
#: Change between the halves, over its standard error, that says that a state has not converged.
DRIFT = 4.0
#: By how much F over 1 + |F| of a law is larger on other points where its own were too few.
OVERFITTED = 0.05


@dataclass(frozen=True, eq=False)
class WalkedState(State):
    """A state by walkers.

    Attributes:
        free_energy_error: standard error of F at these moments.
    """

    free_energy_error: float


class _Way:
    """A population on its way down F."""

    def __init__(
        self, space: TrajectorySpace, phi: Activation, covariance: FloatArray, rng: np.random.Generator
    ) -> None:
        self.space, self.steps = space, 0
        self.walkers = Walkers(space, phi, covariance, COUNT, rng)
        self.moments: Pair = self.walkers.moments()

    def begin(self, moments: Pair) -> None:
        """Near a state with these moments."""
        self.walkers.anneal(tilted_law(self.space, moments), ANNEALED)
        self.moments = moments

    def step(self) -> None:
        """Towards the moments that are met.

        Raises:
            numpy.linalg.LinAlgError: a covariance is singular.
        """
        if self.steps % SCALED == 0:
            self.walkers.place(self.moments[1])
        self.walkers.towards(tilted_law(self.space, self.moments), 1)
        met = self.walkers.moments()
        kernel, second = (here + SHARE * (there - here) for here, there in zip(self.moments, met, strict=True))
        self.moments, self.steps = (kernel, second), self.steps + 1

    def averaged(self, steps: int) -> Pair:
        """Means of the moments over so many steps."""
        means, self.moments, self.steps, kept = self._averaged(steps)
        self.walkers.restore(kept)
        return means

    @recorded
    def _averaged(self, steps: int) -> tuple[Pair, Pair, int, tuple[Any, ...]]:
        """And where the way is after them."""
        kernel, second = np.zeros_like(self.moments[0]), np.zeros_like(self.moments[1])
        for _ in range(steps):
            self.step()
            kernel, second = kernel + self.moments[0], second + self.moments[1]
        return (kernel / steps, second / steps), self.moments, self.steps, self.walkers.kept()


@recorded
def holds(space: TrajectorySpace, phi: Activation, law: Law, seed: int) -> bool:
    """Whether F of a law is about the same on points that it was not fitted to."""
    try:
        other = on_other_points(space, phi, law, 2 * COUNT, seed, ANNEALED)
    except np.linalg.LinAlgError:
        return False
    return other.free_energy <= law.free_energy + OVERFITTED * (1 + abs(law.free_energy))


def tilted_law(space: TrajectorySpace, moments: Pair) -> Pair:
    """(A, B) of the tilted law that moments give."""
    return np.asarray(np.linalg.inv(space.covariance(moments[0]))), explicit_conjugate(space, *moments)


@recorded
def walked_down(
    space: TrajectorySpace, phi: Activation, covariance: FloatArray, seed: tuple[int, ...], told: Told | None = None
) -> WalkedState | None:
    """Where F leads down to from the centred normal law of a covariance; None where no averages can be made."""
    told = told or Told()
    streams = np.random.default_rng(seed).spawn(1 + POPULATIONS)
    try:
        way = _Way(space, phi, covariance, streams[0])
        for number in range(0, DOWN, TOGETHER):
            told.steps(number, DOWN + AVERAGED)
            way.averaged(min(TOGETHER, DOWN - number))
        moments = way.averaged(AVERAGED)
        return _state(space, phi, moments, streams[1:], way.steps)
    except np.linalg.LinAlgError:
        return None


@recorded
def refined(
    space: TrajectorySpace,
    phi: Activation,
    state: WalkedState,
    limit: float,
    seed: int,
    say: Say,
    told: Told | None = None,
) -> Refined:
    """The state with its error, by populations that start from it; longer where the error exceeds the limit."""
    told = told or Told()
    streams = np.random.default_rng(seed).spawn(POPULATIONS + 1)
    ways, start, steps = [], (state.point.kernel, state.second), HALF
    for number, stream in enumerate(streams[1:]):
        told.part(number, POPULATIONS)
        way = _Way(space, phi, state.second, stream)
        way.begin(start)
        way.averaged(BEFORE)
        ways.append(way)
    for _ in range(1 + DOUBLINGS):
        say(f"{POPULATIONS * COUNT} walkers, {2 * steps} steps")
        halves: list[list[Pair]] = [[], []]
        for number in range(2 * len(ways)):
            told.part(number, 2 * len(ways))
            halves[number // len(ways)].append(ways[number % len(ways)].averaged(steps))
        kernels, seconds = (np.array([[each[i] for each in half] for half in halves]) for i in range(2))
        whole = kernels.mean(axis=0)
        change = kernels[1] - kernels[0]
        drift, noise = change.mean(axis=0), change.std(axis=0, ddof=1) / np.sqrt(POPULATIONS)
        error = np.hypot(whole.std(axis=0, ddof=1) / np.sqrt(POPULATIONS), drift)  # all start from one state
        converged = bool(np.linalg.norm(drift) <= DRIFT * np.linalg.norm(noise))
        if converged and relative_error(whole.mean(axis=0), error) <= limit:
            break
        steps *= 2
    moments = whole.mean(axis=0), seconds.mean(axis=(0, 1))
    iterations = state.iterations + sum(way.steps for way in ways)
    new = _state(space, phi, moments, np.random.default_rng((seed, 1)).spawn(POPULATIONS), iterations)
    if not converged:
        new = replace(new, reached=False, status="the walkers have not converged")
    return Refined(new, error, converged, np.nan, new.free_energy_error)


def _state(
    space: TrajectorySpace, phi: Activation, moments: Pair, streams: list[np.random.Generator], iterations: int
) -> WalkedState:
    """A state of these moments, on populations that were not used to find it."""
    law, populations = tilted_law(space, moments), []
    for stream in streams:
        walkers = Walkers(space, phi, moments[1], COUNT, stream)
        walkers.anneal(law, ANNEALED)
        populations.append(walkers)
    nodes = [walkers.nodes() for walkers in populations]
    whole = Nodes(
        np.concatenate([part.points for part in nodes]),
        np.concatenate([part.activity for part in nodes]),
        np.concatenate([part.log_weight for part in nodes]) - np.log(len(nodes)),
    )
    error = float(np.std([walkers.log_Z for walkers in populations], ddof=1) / np.sqrt(len(populations)))
    point = stationary_point(space, symmetric_vectors(space.m), whole, moments[0], law[1], covariance=False)
    return WalkedState(point, iterations, True, "converged", moments[1], len(whole.points), error)

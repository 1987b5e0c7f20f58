"""States of many dimensions by walkers (``walkers``): for odd φ, where a fixed sample has too few points that count.

F is led down in short steps on points that stay in the law (`_Way`), and its moments are averaged on the way, so that
the noise of each step cancels (Polyak & Juditsky, SIAM J. Control Optim. 30, 838 (1992)). Noise leads away from saddle
points. Populations that know nothing of each other give the standard errors.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg as sla

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, symmetric, symmetric_vectors
from numerics.nonlinear.engine import Refined, Say, State, relative_error
from numerics.nonlinear.journal import recorded
from numerics.nonlinear.laws import Law, Pair
from numerics.nonlinear.nodes import Averages
from numerics.nonlinear.reduced import point_at
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.spread import beyond_noise, largest_error
from numerics.nonlinear.walkers import KEPT_BY_LAW, Tilted, Walkers, on_other_points
from numerics.progress import Told

#: Walkers of a population; steps after which their paths are scaled anew; updates of the chain in each part of an
#: anneal.
COUNT, SCALED, ANNEALED = 2048, 10, 2
#: Share of the walkers that count in each part of the way to a law whose Z is to be accurate.
EVENLY = 0.8
#: Share of the way to the moments that are met in a step, its growth after one that was too long, and the least.
SHARE, GROWTH, SHORTEST = 0.2, 1.5, 1e-4
#: Eigenvalues of C, over the largest, below which a step does not follow the change of its inverse: the noise of a few
#: walkers there would be all of it.
FOLLOWED = 1e-2
#: What is added to C's eigenvalues, over their mean: rounding.
ADDED = 1e-10
#: Steps down from a start, first and at most, and so many of them together: twice as many are taken while Φ changes by
#: a share between the halves of the last.
DOWN, MOST_DOWN, TOGETHER, SETTLED = 160, 1280, 20, 0.02
#: Populations of a state; their steps before they are averaged, and in each half of the average; doublings of these.
POPULATIONS, BEFORE, HALF, DOUBLINGS = 8, 40, 20, 5
#: Populations that tell the bias, and by what their size is divided.
SMALL, FRACTION = 4, 4
#: Trends that a state's populations start away from it, by turns, the least before that is none, and the share of Φ
#: that is left in every direction.
SIDES, NEAREST, REGULAR = (-1.0, 2.0), 0.1, 0.2
#: Share of their distance that the sides keep where they are drawn together, and that over the error of where to.
CLOSER, SURE = 0.25, 2.0
#: Half the change between the halves, over its standard error, that says that a state has not converged.
DRIFT = 2.0
#: By how much F over 1 + |F| of a law is larger on other points where its own were too few.
OVERFITTED = 0.05


@dataclass(frozen=True, eq=False)
class WalkedState(State):
    """A state by walkers.

    Attributes:
        message: ``C⁻¹⟨ggᵀ⟩C⁻¹ - C⁻¹``, (d, d).
        trend: the last change of Φ and the message on the way there.
        free_energy_error: standard error of F at these moments.
    """

    message: FloatArray
    trend: Pair
    free_energy_error: float


class _Way:
    """A population on its way down F.

    A step goes a share of the way from Φ, and from ``⟨ggᵀ⟩ = C + C N C`` with the message N, to what is met: that is
    down F (``laws``). Written for N, with Δ the change of C that this Φ makes, it is

        N → R ((1 - share) N + share M) Rᵀ - share Q Δ Q,   R = 1 - share Q Δ,   Q = C⁻¹,

    with the message M that is met, so that Δ alone meets an inverse: one that leaves out what no noise resolves. The
    fixed points are the same.

    Attributes:
        kernel, message: Φ and N.
        steps: so far.
    """

    def __init__(
        self,
        space: TrajectorySpace,
        phi: Activation,
        start: Pair,
        rng: np.random.Generator,
        *,
        count: int | None = None,
        kept: float = KEPT_BY_LAW,
    ) -> None:
        """From Φ and N, with walkers that follow their law, in parts on which a share counts.

        Raises:
            numpy.linalg.LinAlgError: they cannot.
        """
        self.space, self.steps, self._share = space, 0, SHARE
        self.kernel, self.message = start
        law = tilted_law(space, start)
        self.walkers = Walkers(space, phi, law[0], count or COUNT, rng)
        self._place()
        self.walkers.anneal(law, ANNEALED, kept)

    def _place(self) -> None:
        L = self.walkers.root
        self.walkers.place(np.eye(self.space.d) + L.T @ self.message @ L)

    def shift(self, share: float, change: Pair) -> None:
        """By a share of a change of Φ and N, if the walkers can follow."""
        moved = self.kernel + share * change[0], self.message + share * change[1]
        with contextlib.suppress(np.linalg.LinAlgError):
            self.walkers.anneal(tilted_law(self.space, moved), ANNEALED)
            self.kernel, self.message = moved

    def step(self) -> None:
        """Towards the moments that are met, as far as enough walkers count.

        Raises:
            numpy.linalg.LinAlgError: that is nowhere.
        """
        if self.steps % SCALED == 0:
            self._place()
        kernel, message = self.walkers.moments()
        share = min(SHARE, GROWTH * self._share)
        while True:
            moved = self._moved(kernel, message, share)
            if self.walkers.towards(tilted_law(self.space, moved), 1):
                break
            share *= 0.5
            if share < SHORTEST:
                raise np.linalg.LinAlgError("no step is short enough for the walkers to follow")
        (self.kernel, self.message), self._share, self.steps = moved, share, self.steps + 1

    def _moved(self, met: FloatArray, message: FloatArray, share: float) -> Pair:
        kernel, change = self.kernel + share * (met - self.kernel), self.space.changes(met - self.kernel)
        Q = resolved_inverse(self.space.covariance(kernel))
        R = np.eye(self.space.d) - share * Q @ change
        new = R @ ((1 - share) * self.message + share * message) @ R.T - share * Q @ change @ Q
        return kernel, symmetric(new)

    def averaged(self, steps: int) -> Pair:
        """Means of Φ and N over so many steps."""
        means, kept, walkers = self._averaged(steps)
        self.kernel, self.message, self.steps, self._share = kept
        self.walkers.restore(walkers)
        return means

    @recorded
    def _averaged(self, steps: int) -> tuple[Pair, tuple[Any, ...], tuple[Any, ...]]:
        """And where the way is after them."""
        kernel, message = np.zeros_like(self.kernel), np.zeros_like(self.message)
        for _ in range(steps):
            self.step()
            kernel, message = kernel + self.kernel, message + self.message
        return (
            (kernel / steps, message / steps),
            (self.kernel, self.message, self.steps, self._share),
            self.walkers.kept(),
        )


def resolved_inverse(C: FloatArray) -> FloatArray:
    """The inverse of a covariance, of eigenvalues that are not below `FOLLOWED`."""
    size, vectors = np.linalg.eigh(C)
    return np.asarray((vectors / np.maximum(size, FOLLOWED * size[-1])) @ vectors.T)


def tilted_law(space: TrajectorySpace, moments: Pair) -> Tilted:
    """L and Φ̃ of the tilted law that Φ and N give.

    Raises:
        numpy.linalg.LinAlgError: C is not positive-definite.
    """
    kernel, message = moments
    C = space.covariance(kernel)
    root = sla.cholesky(C + ADDED * np.trace(C) / len(C) * np.eye(len(C)), lower=True)
    return root, space.labels.duals(kernel).conjugate + space.pull_back(0.5 * message)


def start_of(space: TrajectorySpace, kernel: FloatArray, second: FloatArray) -> Pair:
    """Φ and N of a law with this Φ and ``⟨ggᵀ⟩``."""
    C = space.covariance(kernel)
    Q = resolved_inverse(C)
    return kernel, Q @ (second - C) @ Q


@recorded
def holds(space: TrajectorySpace, phi: Activation, law: Law, seed: int) -> bool:
    """Whether F of a law is about the same on points that it was not fitted to."""
    try:
        other = on_other_points(space, phi, law, 4 * COUNT, seed, ANNEALED)
    except np.linalg.LinAlgError:
        return False
    return other.free_energy <= law.free_energy + OVERFITTED * (1 + abs(law.free_energy))


def normal_start(space: TrajectorySpace, phi: Activation, covariance: FloatArray, seed: int) -> Pair:
    """Φ and N of the centred normal law of a covariance."""
    z = np.random.default_rng(seed).standard_normal((COUNT, space.d))
    activity = phi.value(z @ (space.embedding @ sla.cholesky(covariance, lower=True)).T)
    return start_of(space, activity.T @ activity / COUNT, covariance)


@recorded
def walked_down(
    space: TrajectorySpace, phi: Activation, start: Pair, seed: tuple[int, ...], told: Told | None = None
) -> WalkedState | None:
    """Where F leads down to from Φ and N; None where no averages can be made."""
    told = told or Told()
    streams = np.random.default_rng(seed).spawn(1 + POPULATIONS)
    try:
        way, steps = _Way(space, phi, start, streams[0]), DOWN
        while True:
            halves = []
            for half in range(2):
                parts = []
                for number in range(0, steps // 2, TOGETHER):
                    told.steps(half * (steps // 2) + number, steps)
                    parts.append(way.averaged(min(TOGETHER, steps // 2 - number)))
                kept = parts[len(parts) // 2 :]  # what a start still shows is left out
                halves.append([np.mean([part[i] for part in kept], axis=0) for i in range(2)])
            trend = halves[1][0] - halves[0][0], halves[1][1] - halves[0][1]
            if steps >= MOST_DOWN or np.linalg.norm(trend[0]) <= SETTLED * np.linalg.norm(halves[1][0]):
                break
            steps *= 2
        return _state(space, phi, (halves[1][0], halves[1][1]), trend, streams[1:], way.steps)
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
    """The state with its error, by populations that start on two sides of it; longer where that exceeds the limit.

    Where F is flat the state may lie farther along its trend: what the two sides still differ by tells how well it is
    known there, as both started farther from it. A few small populations tell the bias, that of one over their size.
    """
    told = told or Told()
    streams = np.random.default_rng(seed).spawn(POPULATIONS + SMALL)
    ways, steps = [], HALF
    for number, stream in enumerate(streams):
        told.part(number, len(streams))
        count = COUNT if number < POPULATIONS else COUNT // FRACTION
        way = _beside(space, phi, state, SIDES[number % 2], stream, count)
        way.averaged(BEFORE)
        ways.append(way)
    for _ in range(1 + DOUBLINGS):
        say(f"{POPULATIONS * COUNT} walkers, {2 * steps} steps")
        halves: list[list[Pair]] = [[], []]
        for number in range(2 * len(ways)):
            told.part(number, 2 * len(ways))
            halves[number // len(ways)].append(ways[number % len(ways)].averaged(steps))
        kernels, messages = (np.array([[each[i] for each in half] for half in halves]) for i in range(2))
        small, kernels, messages = kernels[:, POPULATIONS:], kernels[:, :POPULATIONS], messages[:, :POPULATIONS]
        whole, drift = kernels.mean(axis=0), 0.5 * (kernels[1] - kernels[0]).mean(axis=0)
        sides = whole[::2], whole[1::2]
        apart = 0.5 * (sides[1].mean(axis=0) - sides[0].mean(axis=0))
        noise = np.sqrt(np.mean([side.var(axis=0, ddof=1) for side in sides], axis=0) / POPULATIONS)
        bias = (small.mean(axis=(0, 1)) - whole.mean(axis=0)) / (FRACTION - 1)
        systematic = np.sqrt(drift**2 + apart**2 + bias**2)
        error = np.hypot(noise, systematic)
        largest = largest_error(
            np.concatenate([side - side.mean(axis=0) for side in sides]), beyond_noise(systematic, np.sqrt(3) * noise)
        )
        converged = bool(np.linalg.norm(drift) <= DRIFT * np.linalg.norm(noise))
        if converged and relative_error(whole.mean(axis=0), largest) <= limit:
            break
        if np.linalg.norm(apart) > np.linalg.norm(noise):
            _draw_together(ways, kernels, messages)
        steps *= 2
    moments = whole.mean(axis=0), messages.mean(axis=(0, 1))
    iterations = state.iterations + sum(way.steps for way in ways)
    streams = np.random.default_rng((seed, 1)).spawn(POPULATIONS)
    new = _state(space, phi, moments, state.trend, streams, iterations)
    if not converged:
        new = replace(new, reached=False, status="the walkers have not converged")
    return Refined(new, error, converged, np.nan, new.free_energy_error, largest)


def _beside(
    space: TrajectorySpace, phi: Activation, state: WalkedState, side: float, rng: np.random.Generator, count: int
) -> _Way:
    """A way that starts some trends away from a state, or less where there is no law."""
    while True:
        start = state.point.kernel + side * state.trend[0], state.message + side * state.trend[1]
        try:
            np.linalg.cholesky(start[0] - REGULAR * state.point.kernel)
            return _Way(space, phi, start, rng, count=count)
        except np.linalg.LinAlgError:
            if abs(side) < NEAREST:
                raise
            side *= 0.5


def _draw_together(ways: list[_Way], kernels: FloatArray, messages: FloatArray) -> None:
    """The sides closer to where, by the drifts of both, neither would drift; as close as that is known.

    Args:
        ways: of both sides, by turns, those that are averaged first.
        kernels, messages: means of Φ and N of the halves, for each of these, (2, ways, …).
    """
    across, along = (
        moments.mean(axis=0)[1::2].mean(axis=0) - moments.mean(axis=0)[::2].mean(axis=0)
        for moments in (kernels, messages)
    )
    first, second = np.einsum("hpij,ij->hp", kernels, across) / np.vdot(across, across)
    drifts = second - first
    place, drift = (np.array([each[::2].mean(), each[1::2].mean()]) for each in (second, drifts))
    rate = (drift[0] - drift[1]) / (place[1] - place[0])
    if rate <= 0:
        return
    aim = place.mean() + drift.mean() / rate
    error = np.mean([drifts[side::2].std(ddof=1) for side in range(2)]) / np.sqrt(len(first)) / rate
    width = max(CLOSER * 0.5 * (place[1] - place[0]), SURE * error)
    if width >= 0.5 * (place[1] - place[0]):
        return
    for number, way in enumerate(ways):
        way.shift(aim + (width if number % 2 else -width) - place[number % 2], (across, along))
        way.averaged(BEFORE)


def _state(
    space: TrajectorySpace,
    phi: Activation,
    moments: Pair,
    trend: Pair,
    streams: list[np.random.Generator],
    iterations: int,
) -> WalkedState:
    """A state of Φ and N, on populations that were not used to find it."""
    (kernel, message), tilt = moments, tilted_law(space, moments)[1]
    vectors, C, logs, met = symmetric_vectors(space.m), space.covariance(kernel), [], []
    for stream in streams:
        way = _Way(space, phi, moments, stream, kept=EVENLY)
        logs.append(way.walkers.log_Z)
        met.append(way.walkers.moments())
    activity, carried = (np.mean([each[i] for each in met], axis=0) for i in range(2))
    precision, points = resolved_inverse(C), COUNT * len(streams)
    Z = np.exp(np.array(logs) - np.max(logs))  # over the largest: their mean has no bias, that of their logs has
    average = Averages(
        float(np.max(logs) + np.log(np.mean(Z))),
        vectors.vec(activity),
        vectors.vec(space.pull_back(0.5 * carried)),
        np.ones(1),
        float(points),
        None,
        precision,
        precision + carried,
    )
    error = float(np.std(Z, ddof=1) / np.mean(Z) / np.sqrt(len(streams)))
    second = C + C @ message @ C
    point = point_at(space, vectors, kernel, tilt, average)
    return WalkedState(point, iterations, True, "converged", second, points, message, trend, error)

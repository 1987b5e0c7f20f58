"""Replica exchange: chains of several problems on one network swap their states, which carries them over barriers.

The barrier between two phases, or between the two signs of the coherent state, grows with N. Where it is due to the
labels alone, as that between signs, weaker ones lower it. At a discontinuous transition it vanishes at the critical
point where the transition ends: there the ladder goes along the line of even odds, to less noise and weaker labels. A
replica that wanders down the ladder and up again arrives in any basin, and each rung keeps exactly the law that it has
alone (Geyer 1991; Hukushima & Nemoto 1996).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.sampling.collapsed import CollapsedHMC, CollapsedState, Seen, activations
from numerics.sampling.network import Network, Weights, joint, make_network
from numerics.sampling.readout import marginal

#: Step sizes of a warm-up go down by this factor where acceptance is below the first limit, up where above the second.
_DOWN, _UP, _LOWEST_ACCEPTANCE, _HIGHEST_ACCEPTANCE = 0.9, 1.02, 0.6, 0.9
#: Angle between kicks, at the start of a warm-up and at most, and mean length of a trajectory.
_FIRST_STEP, _LARGEST_STEP, _LENGTH = 0.3, 0.6, math.pi / 2


def ladder(problems: Sequence[Problem], width: int, dtype: str = "float64") -> tuple[Network, ...]:
    """Networks of one width for each of some problems, which may differ in y, κ and v.

    Raises:
        InputError: there is none, or they differ in what a network is or is given.
    """
    if not problems:
        raise InputError("problems: are none; accepted: at least one")
    last = problems[-1]
    for problem in problems[:-1]:
        if last.with_(y=problem.y, kappa=problem.kappa, v=problem.v) != problem:
            raise InputError(
                "problems: differ in more than labels, kappa and v; accepted: networks that differ in these only"
            )
    return tuple(make_network(problem, width, dtype) for problem in problems)


@dataclass(frozen=True, eq=False)
class TemperedState:
    """A state for every rung and which replica it belongs to.

    Attributes:
        rungs: one for each network of the ladder.
        replicas: number of the replica that stands on each rung.
        parity: whether the next swaps are of pairs that begin at an odd rung.
    """

    rungs: tuple[CollapsedState, ...]
    replicas: tuple[int, ...]
    parity: bool


@dataclass(frozen=True, eq=False)
class TemperedInfo:
    """What happened in a step.

    Attributes:
        acceptance: of each rung's trajectory.
        swap: probability with which each neighbouring pair was to be swapped; nan where it was not this pair's turn.
    """

    acceptance: tuple[float, ...]
    swap: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Tempering:
    """A trajectory on every rung, then swaps of every other neighbouring pair.

    Two rungs i, j with states a, b are swapped with probability ``min(1, exp(L_i(a) + L_j(b) - L_i(b) - L_j(a)))``.

    Attributes:
        networks: the ladder.
        step_size, length: of the trajectories, as in `CollapsedHMC`.
    """

    networks: tuple[Network, ...]
    step_size: float
    length: float

    def init(self, weights: Sequence[Weights]) -> TemperedState:
        """A state that starts from given weights, one for each rung."""
        if len(weights) != len(self.networks):
            raise InputError(f"weights: are {len(weights)}; accepted: one for each of {len(self.networks)} rungs")
        rungs = tuple(self._sampler(i).init(own) for i, own in enumerate(weights))
        return TemperedState(rungs, tuple(range(len(rungs))), False)

    def step(self, rng: np.random.Generator, state: TemperedState) -> tuple[TemperedState, TemperedInfo]:
        """One trajectory of each rung and a round of swaps; the state is left as it was."""
        moved = [self._sampler(i).step(rng, rung) for i, rung in enumerate(state.rungs)]
        rungs, replicas = [after for after, _ in moved], list(state.replicas)
        swap = [math.nan] * (len(rungs) - 1)
        for i in range(int(state.parity), len(rungs) - 1, 2):
            swap[i] = self._swap_probability(i, rungs[i].seen, rungs[i + 1].seen)
            if rng.random() < swap[i]:
                rungs[i], rungs[i + 1] = rungs[i + 1], rungs[i]
                replicas[i], replicas[i + 1] = replicas[i + 1], replicas[i]
        after = TemperedState(tuple(rungs), tuple(replicas), not state.parity)
        return after, TemperedInfo(tuple(info.acceptance for _, info in moved), tuple(swap))

    def _sampler(self, rung: int) -> CollapsedHMC:
        return CollapsedHMC(self.networks[rung], self.step_size, self.length)

    def _swap_probability(self, rung: int, lower: Seen, upper: Seen) -> float:
        below, above = self.networks[rung : rung + 2]
        # activations do not depend on the labels
        phi_lower, phi_upper = activations(below, lower), activations(below, upper)
        gain = marginal(below, phi_lower).value + marginal(above, phi_upper).value
        gain -= marginal(below, phi_upper).value + marginal(above, phi_lower).value
        return math.exp(min(gain, 0.0))


@dataclass(frozen=True, eq=False)
class TemperedRun:
    """A chain of replica exchange after its warm-up.

    Attributes:
        kernels: of the last rung, (steps, nP, nP).
        acceptance: mean over the steps, of each rung.
        swaps: mean probability of a swap, of each neighbouring pair.
        step_size: of all trajectories.
    """

    kernels: FloatArray
    acceptance: FloatArray
    swaps: FloatArray
    step_size: float


def run(
    networks: tuple[Network, ...],
    weights: Sequence[Weights],
    *,
    steps: int,
    warmup: int,
    rng: np.random.Generator,
    told: Callable[[int], None] = lambda done: None,
) -> TemperedRun:
    """Replica exchange from given weights, one for each rung; the warm-up adapts the step size and is thrown away.

    `told` is called with the number of steps done, before each.
    """
    step_size, kernels, seen = _FIRST_STEP, [], []
    state = Tempering(networks, step_size, _LENGTH).init(weights)
    for step in range(warmup + steps):
        told(step)
        state, info = Tempering(networks, step_size, _LENGTH).step(rng, state)
        if step >= warmup:
            phi = joint(activations(networks[-1], state.rungs[-1].seen))
            kernels.append(phi @ phi.T / networks[-1].width)
            seen.append(info)
        else:
            step_size = min(adapted(step_size, min(info.acceptance)), _LARGEST_STEP)
    swaps = np.array([info.swap for info in seen]).reshape(steps, len(networks) - 1)
    return TemperedRun(
        np.array(kernels),
        np.mean([info.acceptance for info in seen], axis=0),
        np.nanmean(swaps, axis=0) if len(swaps.T) else np.zeros(0),
        step_size,
    )


def adapted(step_size: float, acceptance: float) -> float:
    """A step size after a trajectory of warm-up."""
    if acceptance < _LOWEST_ACCEPTANCE:
        return step_size * _DOWN
    return step_size * _UP if acceptance > _HIGHEST_ACCEPTANCE else step_size

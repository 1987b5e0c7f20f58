"""Replica exchange: chains at several strengths of the labels swap their states, which carries them over barriers.

The barrier between two phases, or between the two signs of the coherent state, grows with N and with the labels. At a
lower strength of the labels it is small or absent. A replica that wanders down the ladder and up again arrives in
either basin, and each rung keeps exactly the law that it has alone (Geyer 1991; Hukushima & Nemoto 1996).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.sampling.collapsed import CollapsedHMC, CollapsedState, Seen, activations
from numerics.sampling.network import Network, Weights, make_network
from numerics.sampling.readout import marginal


def with_label_strength(problem: Problem, strength: float) -> Problem:
    """The problem with labels ``√strength · y``: its signal λ, quadratic in y, is multiplied by `strength`."""
    if not strength >= 0 or not math.isfinite(strength):
        raise InputError(f"strength: is {strength}; accepted: a finite number ≥ 0")
    return problem.with_(y=math.sqrt(strength) * problem.y)


def ladder(problem: Problem, width: int, strengths: Sequence[float], dtype: str = "float32") -> tuple[Network, ...]:
    """Networks of one problem at increasing strengths of its labels."""
    values = [float(strength) for strength in strengths]
    if len(values) < 2 or any(b <= a for a, b in pairwise(values)):
        raise InputError("strengths: are not at least two increasing numbers; accepted: such a sequence")
    return tuple(make_network(with_label_strength(problem, value), width, dtype) for value in values)


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

"""Hysteresis of sampled networks: labels swept up and down in strength, each network starting where the last ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.errors import InputError
from numerics.inputs.arrays import real_array
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer
from numerics.linalg import FloatArray
from numerics.results.base import Result
from numerics.results.display import Facts, number
from numerics.results.labelled import Arrays, counted
from numerics.results.plotting import lines
from numerics.sampling.collapsed import CollapsedHMC, CollapsedState, activations
from numerics.sampling.diagnostics import Summary, summarise
from numerics.sampling.network import make_network
from numerics.sampling.observables import coherence, observe_activity, order_parameter
from numerics.sampling.starts import start
from numerics.sampling.tempering import with_label_strength

#: Angle between kicks and mean length of the trajectories; the step is lowered where acceptance falls.
_STEP, _LENGTH = 0.3, math.pi / 2
_LOWEST_ACCEPTANCE, _HIGHEST_ACCEPTANCE = 0.6, 0.9


@dataclass(frozen=True, eq=False)
class StrengthSweep:
    """One direction of a sweep. Arrays have a row for each strength, in increasing order, and a column for each chain.

    Attributes:
        order_parameter: mean of ``Σ_p Φ^{T-1,T-2}_{pp}`` over the second half of the steps.
        standard_error: of that mean, autocorrelation included.
        overlap: mean temporal coherence of the last two hidden times, between -1 and 1.
        basin: +1 or -1 where a chain is coherent with that sign (its overlap is on one side of zero by more than the
            noise of an incoherent one, ``4/√N``, in every quarter of these steps), 0 where it is not.
    """

    order_parameter: FloatArray
    standard_error: FloatArray
    overlap: FloatArray
    basin: FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class Hysteresis(Result):
    """Both sweeps.

    Attributes:
        strengths: of the labels, increasing.
        up: from the prior at the lowest strength.
        down: from the coherent start at the highest.
    """

    strengths: FloatArray
    up: StrengthSweep
    down: StrengthSweep

    def facts(self) -> Facts:
        """The sweep, and where both phases persist."""
        low, high = self.strengths[0], self.strengths[-1]
        bistable = ", ".join(number(strength) for strength in self.bistable)
        return (
            ("strengths", f"{len(self.strengths)}, from {number(low)} to {number(high)}"),
            ("chains", str(self.up.basin.shape[1])),
            ("both phases at", bistable or "none"),
        )

    def draw(self, ax: Any, **style: Any) -> None:
        """The order parameter's size up and down, averaged over chains."""
        for sweep, marker, label in ((self.up, "^", "up"), (self.down, "v", "down")):
            ax.plot(
                self.strengths, np.abs(sweep.order_parameter).mean(axis=1), **lines(style, marker=marker, label=label)
            )
        ax.set(xlabel="strength of the labels", ylabel="size of the order parameter")
        ax.legend()

    def labelled(self) -> Arrays:
        """Along the direction, the strength and the chain, which counts from 1."""
        rows = ("direction", "strength", "chain")
        names = ("order_parameter", "standard_error", "overlap", "basin")
        data = {name: (rows, np.stack([getattr(self.up, name), getattr(self.down, name)])) for name in names}
        coordinates = {"direction": (("direction",), np.array(["up", "down"])), **counted(chain=self.up.basin.shape[1])}
        return Arrays(rows, data, {**coordinates, "strength": (("strength",), self.strengths)})

    @property
    def bistable(self) -> FloatArray:
        """Strengths at which every chain of the upward sweep is incoherent and every one of the downward coherent."""
        return np.asarray(self.strengths[(self.up.basin == 0).all(axis=1) & (self.down.basin != 0).all(axis=1)])


def hysteresis(
    problem: Problem, width: int, strengths: Sequence[float], *, chains: int = 2, steps: int = 200, seed: int = 0
) -> Hysteresis:
    """Sweep the labels' strength up and down again and record which phase each chain is in.

    The labels at strength s are ``√s y``: with ``endpoint(T, 1.0)`` the strength is the signal λ. Every chain goes on
    from its own state at the strength before, so that it stays in its phase as long as that is metastable for `steps`
    trajectories. Both phases of a first-order transition persist beyond it; after a continuous one the sweeps agree.

    Args:
        problem: what is learnt; its activations must be linearly independent.
        width: N. Barriers grow in proportion to it.
        strengths: increasing.
        chains: independent sweeps in each direction.
        steps: trajectories at each strength; the first half is thrown away.
        seed: of all random numbers.

    Raises:
        InputError: an argument is out of range, or the activations are linearly dependent.
    """
    values = real_array(strengths, "strengths")
    if values.ndim != 1 or len(values) < 2 or (np.diff(values) <= 0).any():
        raise InputError("strengths: are not at least two increasing numbers; accepted: such a sequence")
    steps, chains = integer(steps, "steps", 16), integer(chains, "chains", 1)
    if problem.n < 2:
        raise InputError("problem: has a single hidden time; accepted: two or more, for an overlap between times")
    up = [_sweep(problem, width, values, "prior", steps, (seed, 0, chain)) for chain in range(chains)]
    down = [_sweep(problem, width, values[::-1], "coherent", steps, (seed, 1, chain)) for chain in range(chains)]
    return Hysteresis(values, _collect(up, width, 1), _collect(down, width, -1))


@dataclass(frozen=True, eq=False)
class _Stay:
    """A chain's series at one strength, of the second half of its steps."""

    order: FloatArray
    overlap: FloatArray


def _sweep(
    problem: Problem, width: int, strengths: FloatArray, init: str, steps: int, seed: tuple[int, int, int]
) -> list[_Stay]:
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))
    step_size, stays = _STEP, []
    state: CollapsedState | None = None
    for strength in strengths:
        network = make_network(with_label_strength(problem, float(strength)), width, "float32")
        if state is None:
            state = CollapsedHMC(network, step_size, _LENGTH).init(start(rng, network, init, readout=False))
        kernels = []
        for step in range(steps):
            state, info = CollapsedHMC(network, step_size, _LENGTH).step(rng, state)
            if step >= steps // 2:
                kernels.append(observe_activity(network, activations(network, state.seen), None, None).kernel)
            elif info.acceptance < _LOWEST_ACCEPTANCE:  # adapted in the half that is thrown away only
                step_size *= 0.9
            elif info.acceptance > _HIGHEST_ACCEPTANCE:
                step_size = min(1.02 * step_size, _STEP)
        series = np.array(kernels)
        stays.append(_Stay(order_parameter(series, problem.P), coherence(series, problem.P)[:, -1, -2]))
    return stays


def _collect(sweeps: list[list[_Stay]], width: int, order: int) -> StrengthSweep:
    summaries: list[list[Summary]] = [[summarise(stay.order[None]) for stay in stays[::order]] for stays in sweeps]
    overlaps = np.array([[stay.overlap for stay in stays[::order]] for stays in sweeps])
    quarters = np.stack([part.mean(axis=-1) for part in np.array_split(overlaps, 4, axis=-1)])
    noise = 4 / math.sqrt(width)
    basin = np.where((quarters > noise).all(axis=0), 1.0, np.where((quarters < -noise).all(axis=0), -1.0, 0.0))
    return StrengthSweep(
        np.array([[float(item.mean) for item in row] for row in summaries]).T,
        np.array([[float(item.standard_error) for item in row] for row in summaries]).T,
        overlaps.mean(axis=-1).T,
        basin.T,
    )

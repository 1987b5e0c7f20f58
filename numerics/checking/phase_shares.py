"""Shares of coexisting phases in long runs of sampled networks, beside the weights that are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from numerics.checking.laws import law_of
from numerics.checking.phase_weights import PhaseWeights
from numerics.checking.regions import nearest
from numerics.display import Facts
from numerics.errors import InputError
from numerics.inputs.arguments import require_kind
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer
from numerics.linalg import FloatArray
from numerics.plotting import line_style
from numerics.progress import Progress, watched
from numerics.results.base import Result
from numerics.results.labelled import Arrays, counted, problem_attributes
from numerics.sampling.diagnostics import have_mixed, summarise
from numerics.sampling.starts import start
from numerics.sampling.tempering import ladder as made_ladder
from numerics.sampling.tempering import run

#: Fewest steps from which a share's error can be told.
_FEWEST_STEPS = 50


@dataclass(frozen=True, eq=False, repr=False)
class PhaseShares(Result):
    """The share of a run's draws that is in each phase.

    Attributes:
        weights: what is predicted.
        shares: of the draws, in the order of ``weights.phases``, (phases,).
        standard_error: of the shares, autocorrelation and disagreement of chains included, (phases,).
        rhat: largest R-hat over the phases, of chains that started in different ones.
        ess: smallest effective sample size.
        swaps: mean probability of a swap between neighbouring rungs, (rungs - 1,).
    """

    weights: PhaseWeights
    shares: FloatArray
    standard_error: FloatArray
    rhat: float
    ess: float
    swaps: FloatArray

    @property
    def problem(self) -> Problem:
        """The problem whose networks were sampled."""
        return self.weights.problem

    @property
    def mixed(self) -> bool:
        """Whether the chains have been in all phases often enough to believe the standard errors."""
        return have_mixed(self.rhat, self.ess)

    @property
    def z(self) -> FloatArray:
        """(share - weight) / standard error of both, (phases,); 0 where both are equal without error."""
        error = np.hypot(self.standard_error, [phase.weight_error for phase in self.weights.phases])
        difference = self.shares - self.weights.weights
        return np.divide(difference, error, out=np.zeros_like(difference), where=difference != 0)

    def facts(self) -> Facts:
        """Shares and weights, and whether the chains have mixed."""
        said = [
            f"{share:.3f} ± {error:.3f} (predicted {weight:.3f})"
            for share, error, weight in zip(self.shares, self.standard_error, self.weights.weights, strict=True)
        ]
        mixed = "mixed" if self.mixed else "NOT mixed"
        chains = f"{mixed}: R-hat {self.rhat:.3f}, ESS {self.ess:.0f}"
        return ((f"shares at N = {self.weights.width}", ", ".join(said)), ("chains", chains))

    def draw(self, ax: Any, **style: Any) -> None:
        """Sampled shares, two standard errors each way, over predicted weights, and the line where they are equal."""
        ax.plot([0, 1], [0, 1], **line_style(style, color="0.7"))
        ax.errorbar(self.weights.weights, self.shares, 2 * self.standard_error, fmt="o")
        ax.set(xlabel="predicted weight", ylabel="share of sampled networks")

    def labelled(self) -> Arrays:
        """Along the phase, which counts from 1, the heaviest first."""
        names = ("shares", "standard_error", "z")
        data = {name: (("phase",), getattr(self, name)) for name in names}
        data["weight"] = (("phase",), self.weights.weights)
        described = {
            **problem_attributes(self.problem),
            "width": self.weights.width,
            "rhat": self.rhat,
            "ess": self.ess,
        }
        return Arrays(("phase",), data, counted(phase=len(self.shares)), described)


def phase_shares(
    weights: PhaseWeights,
    *,
    ladder: Sequence[Problem] = (),
    steps: int = 2000,
    warmup: int | None = None,
    seed: int = 0,
    progress: bool | Progress | None = None,
) -> PhaseShares:
    """Sample networks at the width of predicted weights, and count how many are in each phase.

    A chain starts in each phase. Where the barrier in F is more than some units of ``1/N``, a plain chain stays in its
    own phase; a ladder of easier problems carries it over by replica exchange (`numerics.sampling.tempering`). Good
    rungs of a discontinuous transition lie on its line of even odds, where `phase_weights` are equal, at smaller and
    smaller κ down to the critical point at its end; neighbours are near enough if `PhaseShares.swaps` are above 0.3.

    Args:
        weights: of `phase_weights`.
        ladder: problems that differ from that of the weights in y, κ and v only, the easiest first; a plain chain
            unless given.
        steps: of each chain, after its warm-up: a trajectory on every rung, and swaps.
        warmup: steps that are thrown away; a quarter of `steps` unless given.
        seed: of all random numbers.
        progress: True shows how far it is, on standard error; a function is told (`numerics.progress`).

    Raises:
        InputError: an argument is out of range, the width is below the number of different trajectories, or the
            network's W cannot be integrated out.
    """
    require_kind(weights, "weights", lambda given: isinstance(given, PhaseWeights), "of phase_weights(states, width)")
    accepted = "problems, the easiest first"
    require_kind(ladder, "ladder", lambda given: isinstance(given, Sequence), accepted)
    for rung in ladder:
        require_kind(rung, "ladder: one", lambda given: isinstance(given, Problem), accepted)
    seed, steps = integer(seed, "seed", 0), integer(steps, "steps", _FEWEST_STEPS)
    warmup = steps // 4 if warmup is None else integer(warmup, "warmup", 0)
    rows, width = len(weights.phases[0].region.inverse), weights.width
    if width < rows:
        raise InputError(
            f"weights: are of width {width}; accepted: a width ≥ {rows}, for chains that start in each phase"
        )
    networks = made_ladder([*ladder, weights.problem], width)
    regions = [phase.region for phase in weights.phases]
    places, swaps = [], []
    children, total = np.random.SeedSequence(seed).spawn(len(regions)), len(regions) * (warmup + steps)
    with watched(progress, "phase shares") as told:
        for number, (phase, child) in enumerate(zip(weights.phases, children, strict=True)):
            rng, law = np.random.Generator(np.random.SFC64(child)), law_of(phase.state)
            starts = [start(rng, network, "prior", readout=False, law=law) for network in networks]
            counted_on = partial(_counted, told, number * (warmup + steps), total)
            done = run(networks, starts, steps=steps, warmup=warmup, rng=rng, told=counted_on)
            places.append(nearest(regions, done.kernels))
            swaps.append(done.swaps)
    inside = np.stack([np.array(places) == k for k in range(len(regions))], axis=-1).astype(np.float64)
    seen = summarise(inside)
    return PhaseShares(
        weights, seen.mean, seen.standard_error, float(seen.rhat.max()), float(seen.ess.min()), np.mean(swaps, axis=0)
    )


def _counted(told: Progress, before: int, total: int, step: int) -> None:
    told("phase shares", before + step, total)

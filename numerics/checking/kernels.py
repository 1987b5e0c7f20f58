"""Predicted mean kernels at width N, of any activation, against sampled ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from numerics.checking import agreement
from numerics.checking.agreement import Agreement, shift_seen
from numerics.checking.signs import signed
from numerics.checking.weights import Phase, phases
from numerics.linalg import FloatArray
from numerics.results.solution import Solution
from numerics.sampling.diagnostics import summarise_symmetric
from numerics.sampling.result import Simulation


@dataclass(frozen=True, eq=False)
class PhaseComparison:
    """A state of a problem, a simulation of it, and how they agree.

    Attributes:
        solution: the theory's state, N → ∞.
        simulation: with the sign symmetries removed that turn the state into another.
        predicted: the kernel predicted at the simulated width, in the simulation's sign.
        agreement: the verdict.
    """

    solution: Solution
    simulation: Simulation
    predicted: FloatArray
    agreement: Agreement


def compare(solution: Solution, simulation: Simulation) -> PhaseComparison:
    """Compare a simulation with one state of the theory at its width, in the same sign of the order parameter."""
    (phase,) = phases([solution], simulation.width)
    return compare_phase(phase, simulation)


def compare_phase(phase: Phase, simulation: Simulation, inside: FloatArray | None = None) -> PhaseComparison:
    """Compare the draws of a simulation that are in a phase with the phase's mean kernel.

    Control variates take the noise out of the mean where all draws are in the phase, and where it is known what the
    prediction leaves out: their error may be below it.

    Args:
        phase: a phase at the simulation's width.
        simulation: its draws.
        inside: 1 for draws in the phase's region, 0 for others, (chains, draws); all are unless given.
    """
    solution, rule = phase.state, phase.region.gauge.of_rule
    simulation, predicted = signed(simulation, rule), rule.taken(phase.kernel)
    seen = simulation
    if inside is not None and not inside.all():
        seen = replace(simulation, kernels=within(simulation.kernels, inside), controls=None)
    known = phase.basis == "density" or phase.next_order is not None
    series = seen.kernels_controlled if known else None
    series = seen.kernels if series is None else series
    summary = summarise_symmetric(series)
    limit = rule.taken(solution.kernel)
    verdict = agreement.compare(
        predicted,
        summary.mean,
        np.hypot(summary.standard_error, phase.kernel_error),
        rhat=seen.rhat,
        ess=seen.ess,
        at_width=phase.at_width,
        shift=shift_seen(series, limit, predicted - limit, phase.kernel_error) if known and phase.at_width else None,
    )
    return PhaseComparison(solution, simulation, predicted, verdict)


def within(kernels: FloatArray, inside: FloatArray) -> FloatArray:
    """A series whose mean is that of the draws inside a region, and whose standard error is that of this ratio.

    ``⟨1 H⟩/⟨1⟩``, linearised: ``μ + 1 (H - μ)/⟨1⟩``.
    """
    share = inside.mean()
    marked = inside[:, :, None, None]
    mean = (marked * kernels).mean(axis=(0, 1)) / share
    return np.asarray(mean + marked * (kernels - mean) / share)


def compare_mixture(found: tuple[Phase, ...], simulation: Simulation) -> Agreement:
    """Compare chains that move between all phases with the mean over these, ``Σ_k p_k ⟨H⟩_k``.

    Where a sign symmetry gives a phase an image, only what this leaves as it is is compared: the rest averages to 0.
    """
    kernels, means = simulation.kernels, [phase.kernel for phase in found]
    for symmetry in (step.symmetry for phase in found for step in phase.region.gauge.steps):
        kernels, *means = (0.5 * (part + symmetry.of_kernel(part)) for part in (kernels, *means))
    predicted = sum((p.weight * mean for p, mean in zip(found, means, strict=True)), np.zeros_like(means[0]))
    squared = sum(
        (
            (p.weight * p.kernel_error) ** 2 + (p.weight_error * (mean - predicted)) ** 2
            for p, mean in zip(found, means, strict=True)
        ),
        np.zeros_like(predicted),
    )
    seen = summarise_symmetric(kernels)
    return agreement.compare(
        predicted,
        seen.mean,
        np.sqrt(seen.standard_error**2 + squared),
        rhat=float(seen.rhat.max()),
        ess=float(seen.ess.min()),
        at_width=all(phase.at_width for phase in found),
    )

"""Predicted mean kernels at width N, of any activation, against sampled ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from numerics.checking import agreement
from numerics.checking.agreement import Agreement, shift_seen
from numerics.checking.comparison import Comparison
from numerics.checking.signs import signed
from numerics.checking.variates import controlled_kernels
from numerics.checking.weights import Phase, phases
from numerics.errors import InputError
from numerics.inputs.arguments import of_state, require_kind
from numerics.linalg import FloatArray
from numerics.progress import Progress, watched
from numerics.results.solution import Solution
from numerics.sampling.diagnostics import summarise_symmetric
from numerics.sampling.result import Simulation

#: From this error of the share on, a theory without the shift may agree as well.
UNDECIDED = 0.4


@of_state
def compare(state: Solution, simulation: Simulation, *, progress: bool | Progress | None = None) -> Comparison:
    """A state beside a simulation of the same problem, in the same sign (`numerics.symmetry`).

    Args:
        state: a minimum of the problem's free energy.
        simulation: of the same problem.
        progress: True shows on standard error what is being done, as the kernel that is predicted for a nonlinear
            network at its width can take a minute; a function is told (`numerics.progress`).

    Raises:
        InputError: the simulation is of another problem, or none.
    """
    require_kind(simulation, "simulation", lambda given: isinstance(given, Simulation), "a simulation")
    if state.problem != simulation.problem:
        raise InputError("simulation: is of another problem than the state; accepted: one of the same problem")
    with watched(progress, f"predicting the kernel at N = {simulation.width}") as told:
        (phase,) = phases([state], simulation.width)
        told("comparing", 0, 0)
        return compare_phase(phase, simulation)


def compare_phase(phase: Phase, simulation: Simulation, inside: FloatArray | None = None) -> Comparison:
    """Compare the draws of a simulation that are in a phase with the phase's mean kernel.

    Control variates take noise out of the mean where all draws are in the phase and the size of what the prediction
    leaves out is known: the error of the mean may be smaller than that.

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
    series = controlled_kernels(seen, phase.state) if known else None
    series = seen.kernels if series is None else series
    summary = summarise_symmetric(series)
    limit = rule.taken(solution.kernel)
    verdict = agreement.compare_means(
        predicted,
        summary.mean,
        np.hypot(summary.standard_error, phase.kernel_error),
        rhat=seen.rhat,
        ess=seen.ess,
        at_width=phase.at_width,
        shift=shift_seen(series, limit, predicted - limit, phase.kernel_error) if known and phase.at_width else None,
    )
    if verdict.shift is not None and verdict.shift.error > UNDECIDED and phase.next_order is not None:
        said = hidden(predicted - limit, phase.next_order, phase.kernel_error, summary.standard_error)
        verdict = replace(verdict, reason=verdict.reason + said)
    return Comparison(solution, simulation, predicted, verdict)


def hidden(shift: FloatArray, next_order: FloatArray, kernel_error: FloatArray, standard_error: FloatArray) -> str:
    """Sizes, relative to a shift, of what may hide it: the next order, other errors of the prediction, sampling."""
    averages = np.sqrt(np.maximum(kernel_error**2 - next_order**2, 0.0))
    parts = (float(np.linalg.norm(part) / np.linalg.norm(shift)) for part in (next_order, averages, standard_error))
    told = "; errors hide the shift: relative to it, the next order in 1/N is {:.2g}, the error of averages {:.2g} "
    return (told + "and that of the sampled mean {:.2g}").format(*parts)


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

    Where a sign symmetry gives a phase an image, only entries that it keeps are compared: others average to 0.
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
    return agreement.compare_means(
        predicted,
        seen.mean,
        np.sqrt(seen.standard_error**2 + squared),
        rhat=float(seen.rhat.max()),
        ess=float(seen.ess.min()),
        at_width=all(phase.at_width for phase in found),
    )

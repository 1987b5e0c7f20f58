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
from numerics.sampling.diagnostics import ESS_LIMIT, summarise_symmetric
from numerics.sampling.result import Simulation

#: From this error of the share on, a theory without the shift may agree as well.
UNDECIDED = 0.4
#: How much nearer to one minimum than to another, in squared distances, the border between phases may as well lie. With
#: it the mean moves by more than what the border cuts off, where this is less than 1 % of a normal law.
BORDER = 2.0
#: Fewest draws of a part of a series from which errors can be told.
FEWEST = 8


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


def compare_phase(phase: Phase, simulation: Simulation) -> Comparison:
    """Compare a simulation whose draws are all in a phase with the phase's mean kernel.

    Control variates take noise out of the mean where the size of what the prediction leaves out is known: the error of
    the mean may be smaller than that.

    Args:
        phase: a phase at the simulation's width.
        simulation: its draws.
    """
    solution, rule = phase.state, phase.region.gauge.of_rule
    simulation, predicted = signed(simulation, rule), rule.taken(phase.kernel)
    known = phase.basis == "density" or phase.next_order is not None
    series = controlled_kernels(simulation, phase.state) if known else None
    series = simulation.kernels if series is None else series
    summary = summarise_symmetric(series)
    limit = rule.taken(solution.kernel)
    verdict = agreement.compare_means(
        predicted,
        summary.mean,
        np.hypot(summary.standard_error, phase.kernel_error),
        rhat=simulation.rhat,
        ess=simulation.ess,
        at_width=phase.at_width,
        shift=shift_seen(series, limit, predicted - limit, phase.kernel_error) if known and phase.at_width else None,
    )
    if verdict.shift is not None and verdict.shift.error > UNDECIDED and phase.next_order is not None:
        said = hidden(predicted - limit, phase.next_order, phase.kernel_error, summary.standard_error)
        verdict = replace(verdict, reason=verdict.reason + said)
    return Comparison(solution, simulation, predicted, verdict)


def hidden(shift: FloatArray, next_order: FloatArray, kernel_error: FloatArray, standard_error: FloatArray) -> str:
    """Sizes, relative to a shift, of what may hide it: the next order, other errors of the prediction, sampling."""
    others = np.sqrt(np.maximum(kernel_error**2 - next_order**2, 0.0))
    parts = (float(np.linalg.norm(part) / np.linalg.norm(shift)) for part in (next_order, others, standard_error))
    told = "; errors hide the shift: relative to it, the next order in 1/N is {:.2g}, "
    return (told + "other errors of the prediction {:.2g} and that of the sampled mean {:.2g}").format(*parts)


def compare_visits(phase: Phase, simulation: Simulation, away: FloatArray, position: int) -> Agreement | None:
    """Compare the draws in a phase of chains that move between phases with the phase's mean kernel.

    Regions follow from the theory alone. A Markov chain less its draws outside a fixed set is a Markov chain whose law
    is the conditional one, so that their choice favours no kernel. Control variates have mean zero under the whole law
    only, and are left out. An expansion in 1/N says nothing on where a region ends: its error includes how far the mean
    of the draws moves with the border, `BORDER` times as near to one minimum as to the other.

    Args:
        phase: a phase at the simulation's width.
        simulation: chains that are in this phase at times.
        away: distances of the draws from each minimum, (chains, draws, minima).
        position: of this phase's.

    Returns:
        None where too few draws are in the phase.
    """
    simulation = signed(replace(simulation, controls=None), phase.region.gauge.of_rule)
    own, other = away[..., position], np.delete(away, position, axis=-1).min(axis=-1)
    parts = [simulation.kernels[factor * own < other] for factor in (1.0, BORDER, 1 / BORDER)]
    chains = simulation.chains
    if min(map(len, parts)) < max(ESS_LIMIT, FEWEST * chains):
        return None
    mean, *moved = (part.mean(axis=0) for part in parts)
    border = np.zeros_like(mean) if phase.basis == "density" else np.max(np.abs(np.array(moved) - mean), axis=0)
    # one chain after another, in equal parts, of which R-hat and standard errors are
    each = len(parts[0]) // chains
    kernels = parts[0][: chains * each].reshape(chains, each, *mean.shape)
    visits = replace(
        simulation,
        kernels=kernels,
        outputs=simulation.outputs[:, :each],
        spectra=(),
        bias_local=None,
        bias_squared=None,
    )
    found = compare_phase(replace(phase, kernel_error=np.hypot(phase.kernel_error, border)), visits).agreement
    total = chains * simulation.draws
    return replace(found, reason=f"{len(parts[0])} of {total} draws are in it; {found.reason}")


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

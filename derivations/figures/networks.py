"""What the panels beyond the poster share: one sampled network of a linear problem beside the theory at its width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.panel import sampled_networks
from derivations.figures.sequential import judged_outputs, outputs_at_width
from derivations.figures.verdicts import said, together
from numerics import Problem, solve
from numerics.checking.kernels import compare

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from derivations.figures.panel import Table

THEORY = r"theory, $N \to \infty$"


def compared(problem: Problem, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate one network, and compare its kernel and its outputs with the state of lowest F at its width.

    Args:
        problem: of one output, linear.
        settings: width, chains, steps, warmup and seed.

    Returns:
        Kernels (nP, nP), outputs (P, n), their standard errors, and the verdict, as JSON has them.
    """
    state = solve(problem)
    comparison = compare(state, sampled_networks(problem, settings))
    simulation = comparison.simulation
    at_width = outputs_at_width(state, simulation.width)
    mean, error = simulation.prediction, simulation.prediction_standard_error
    outputs = judged_outputs(at_width, mean, error, rhat=simulation.rhat, ess=simulation.ess)
    return {
        "kernel": state.kernel.tolist(),
        "kernel_at_width": comparison.predicted.tolist(),
        "kernel_sampled": simulation.kernel_mean.tolist(),
        "kernel_standard_error": simulation.kernel_standard_error.tolist(),
        "outputs_at_width": at_width.tolist(),
        "outputs_sampled": mean.tolist(),
        "outputs_standard_error": error.tolist(),
        "largest_z": max(outputs["largest_z"], float(np.abs(comparison.agreement.z).max())),
        "ess": simulation.ess,
        "rhat": simulation.rhat,
        "verdict": together((outputs["verdict"], comparison.agreement.verdict)),
    }


def planned(
    folder: Path, axis: tuple[str, str], values: Mapping[str, Sequence[float]], common: Mapping[str, Any], seed: int
) -> dict[Path, dict[str, Any]]:
    """A file and settings for each network.

    Args:
        folder: of the files.
        axis: names of the two settings in which networks differ: a kind, and a number.
        values: the numbers of each kind.
        common: settings of all.
        seed: of the first; the others count on.
    """
    places = [(kind, value) for kind, numbers in values.items() for value in numbers]
    return {
        folder / f"{kind}-{value:g}.json": {axis[0]: kind, axis[1]: value, **common, "seed": seed + number}
        for number, (kind, value) in enumerate(places)
    }


def agreement_of(found: Sequence[Mapping[str, Any]], claim: str) -> dict[str, Any]:
    """How a panel's networks agree, for `save_panel`, with its claim in the summary."""
    verdicts, worst = [each["verdict"] for each in found], max(each["largest_z"] for each in found)
    comparison = f"{len(found)} networks {said(verdicts, 'the theory at their width')}"
    summary = f"{claim}; {comparison}; largest |z| {worst:.1f}"
    return {"verdicts": verdicts, "largest_z": worst, "summary": summary}


def draw_networks(axes: Axes, x: Sequence[float], table: Table, colour: str) -> None:
    """Diamonds with two standard errors, and dashes at the theory of their width.

    The table has columns ``sampled``, ``standard_error`` and ``at_width``.
    """
    error = 2 * np.asarray(table["standard_error"])
    axes.errorbar(x, table["sampled"], yerr=error, fmt="D", color=colour, mfc="white", zorder=3)
    axes.plot(x, table["at_width"], "_", color="k", ms=8, mew=1.1, zorder=4)


def networks_named(axes: Axes, width: int) -> None:
    """What `draw_networks` draws, for the legend, in no architecture's colour."""
    axes.errorbar([], [], yerr=[], fmt="D", color="0.3", mfc="white", label=f"sampled, $N = {width}$")
    axes.plot([], [], "_", color="k", ms=8, mew=1.1, label=f"theory, $N = {width}$")

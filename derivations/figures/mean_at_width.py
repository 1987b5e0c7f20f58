"""The mean kernel of networks of many widths against its predicted line in 1/N, for three sharings of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.network_widths import (
    Case,
    WidthPlan,
    WidthResult,
    compare_widths,
    predicted,
    problem,
    simulated,
)
from derivations.figures.panel import Effort, Panel, save_panel
from derivations.figures.trained_networks import kernel_table
from derivations.figures.verdicts import said
from numerics.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = Panel(
    "4b",
    "mean-at-width",
    "The mean kernel at finite width",
    "Mean kernel of sampled erf networks less that of the theory at N → ∞, over the size of the entry, times N; "
    "endpoint supervision below the transition, T = 4. Diamonds are sampled networks, with two standard errors. "
    "Lines are the theory to first order in 1/N, nothing is fitted: that points stay level as N grows shows that the "
    "intercept Φ is right, and their level is the slope. Bands have the predicted size of the next order, which "
    "matters in narrow networks. RNN, DNN, and matrices that are correlated by ρ = 1/2 between times (shared:ρ).",
)

ACTIVATION, SIGNAL = "erf", 10.0
#: Entries (t, t') that are drawn.
SHOWN = ((1, 3), (2, 2), (3, 3))
NAMES = {"rnn": "RNN", "dnn": "DNN", "shared:0.5": r"shared:$\rho$, $\rho=0.5$"}
CASES = tuple((ACTIVATION, arch) for arch in NAMES)
FULL = WidthPlan(CASES, (64, 128, 256, 512, 1024, 2048), 4, 1000, 200, SIGNAL, sharp=True)
QUICK = WidthPlan(CASES, (64, 128, 256), 4, 600, 150, SIGNAL, sharp=True)


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether every entry agrees with the theory at its width."""
    plan = QUICK if effort.quick else FULL
    runs = simulated(plan, out / f"{PANEL.name}-runs", effort.workers, progress)
    results = {case: compare_widths(predicted(problem(case, plan.signal)), runs[case]) for case in plan.cases}
    verdicts = [part.agreement.verdict for result in results.values() for part in result.sampled.values()]
    worst = max(result.largest_z for result in results.values())
    unshifted = max(without_shift(result) for result in results.values())
    summary = (
        f"mean kernels of {len(results)} erf networks from N = {min(plan.widths)} to {max(plan.widths)} "
        f"{said(verdicts, 'the predicted Φ + shift/N')}; largest |z| of an entry {worst:.1f}; "
        f"without the shift it would be {unshifted:.0f}"
    )
    tables = {"": kernel_table(results)}
    return save_panel(PANEL, out, tables, partial(draw, results), verdicts=verdicts, largest_z=worst, summary=summary)


def without_shift(result: WidthResult) -> float:
    """The largest |z| of an entry if the limit were the prediction at every width."""
    off = [(part.kernel - result.theory.kernel) / part.kernel_error for part in result.sampled.values()]
    return float(np.abs(off).max())


def draw(results: Mapping[Case, WidthResult]) -> Figure:
    """One part for each network, a line for each entry."""
    from matplotlib import pyplot as plt

    figure, parts = plt.subplots(len(results), 1, figsize=(3.4, 4.4), sharex=True)
    for axes, ((_, arch), result) in zip(parts, results.items(), strict=True):
        widths = np.array(list(result.sampled))
        for place, (t, s) in enumerate(SHOWN):
            at, colour = (t - 1, s - 1), f"C{place}"
            scale = widths / np.sqrt(result.theory.kernel[at[0], at[0]] * result.theory.kernel[at[1], at[1]])
            mean, error, unsure = np.array(
                [(part.kernel[at], part.kernel_error[at], part.unsure[at]) for part in result.sampled.values()]
            ).T
            slope = scale / widths * result.theory.shift[at]
            axes.fill_between(widths, slope - scale * unsure, slope + scale * unsure, color=colour, alpha=0.2, lw=0)
            axes.plot(widths, slope, color=colour)
            axes.errorbar(
                widths * (1 + 0.06 * (place - 1)),  # error bars beside one another
                scale * (mean - result.theory.kernel[at]),
                yerr=2 * scale * error,
                fmt="D",
                mfc="white",
                color=colour,
                label=rf"$\Phi^{{{t}{s}}}$",
            )
        axes.set_title(NAMES[arch], loc="left")
        axes.set_xscale("log")
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.minorticks_off()
    parts[-1].set_xlabel("width $N$")
    figure.supylabel(
        r"$N\,(\langle\Phi^{tt'}\rangle_N-\Phi^{tt'})\,/\,(\Phi^{tt}\Phi^{t't'})^{1/2}$", fontsize="medium"
    )
    parts[0].legend(loc="upper right", ncols=len(SHOWN), bbox_to_anchor=(1.0, 1.25))
    return figure

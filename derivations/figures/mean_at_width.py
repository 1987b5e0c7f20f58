"""The mean kernel of networks of many widths against its predicted line in 1/N, for three sharings of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.network_widths import Case, WidthPlan, WidthResult, compare, predicted, problem, simulated
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
    "Mean kernel of sampled erf networks less that of the theory at N → ∞, over the size of the entry, against 1/N; "
    "endpoint supervision below the transition, T = 4. Diamonds are sampled networks, with two standard errors; "
    "lines are the theory, intercept and slope, to first order in 1/N; nothing is fitted. RNN, DNN, and matrices that "
    "are correlated by ρ = 1/2 between times (shared:ρ).",
)

ACTIVATION, SIGNAL = "erf", 10.0
#: Entries (t, t') that are drawn.
SHOWN = ((1, 3), (2, 2), (3, 3))
NAMES = {"rnn": "RNN", "dnn": "DNN", "shared:0.5": r"shared:$\rho$, $\rho=0.5$"}
CASES = tuple((ACTIVATION, arch) for arch in NAMES)
FULL = WidthPlan(CASES, (64, 128, 256, 512, 1024, 2048), 4, 400, 150, SIGNAL, sharp=True)
QUICK = WidthPlan(CASES, (64, 128, 256), 4, 600, 150, SIGNAL, sharp=True)


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether every entry agrees with the theory at its width."""
    plan = QUICK if effort.quick else FULL
    runs = simulated(plan, out / f"{PANEL.name}-runs", effort.workers, progress)
    results = {case: compare(predicted(problem(case, plan.signal)), runs[case]) for case in plan.cases}
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
    """One part for each network, a line for each time."""
    from matplotlib import pyplot as plt

    figure, parts = plt.subplots(len(results), 1, figsize=(3.4, 4.4), sharex=True, sharey=True)
    for axes, ((_, arch), result) in zip(parts, results.items(), strict=True):
        widths = np.array(list(result.sampled))
        x = np.linspace(0, 1.08 / widths.min(), 2)
        for place, (t, s) in enumerate(SHOWN):
            at = t - 1, s - 1
            size = float(np.sqrt(result.theory.kernel[at[0], at[0]] * result.theory.kernel[at[1], at[1]]))
            off = np.array([part.kernel[at] for part in result.sampled.values()]) - result.theory.kernel[at]
            error = np.array([part.kernel_error[at] for part in result.sampled.values()])
            label = rf"$\Phi^{{{t}{s}}}$"
            beside = (1 + 0.03 * (place - 1)) / widths  # error bars beside one another
            axes.errorbar(
                beside, off / size, yerr=2 * error / size, fmt="D", mfc="white", color=f"C{place}", label=label
            )
            axes.plot(x, result.theory.shift[at] / size * x, color=f"C{place}")
        axes.set_title(NAMES[arch], loc="left")
        axes.set_xticks([0, *(1 / widths[:3])], ["0", *(f"1/{width}" for width in widths[:3])])
    parts[-1].set_xlabel("$1/N$")
    parts[1].set_ylabel(r"$(\langle\Phi^{tt'}\rangle_N-\Phi^{tt'})\,/\,\sqrt{\Phi^{tt}\Phi^{t't'}}$")
    parts[0].legend(loc="upper left")
    return figure

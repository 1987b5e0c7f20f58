"""Networks of finite width against the theory at their width, endpoint supervision, T = 4.

Alignment forgives much, so that each entry of the mean kernel is held against the theory too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.network_widths import (
    ACTIVATIONS,
    Case,
    WidthPlan,
    WidthResult,
    compare_widths,
    predicted,
    problem,
    simulated,
)
from derivations.figures.panel import ARCHITECTURES, Effort, Panel, in_columns, save_panel
from derivations.figures.verdicts import said
from numerics.progress import Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = Panel(
    "4",
    "trained-networks",
    "The theory describes trained networks",
    "Networks of width N against the theory, endpoint supervision, T = 4; no line is fitted. (a) 1 - CKA of one "
    "network's kernel with the theory's at N → ∞, and the predicted c/N; small dots and dotted lines: of the mean "
    "kernel where clear of noise, which falls as 1/N². "
    "(b) Each entry of the mean kernel less the theory at that width, in standard errors, "
    "from the narrowest to the widest network. (c) Mean coherence of networks of N = 64, predicted and sampled. "
    "(d) Their autocorrelation: bars are the predicted mean ± one standard deviation over networks, markers and error "
    "bars the sampled ones.",
)


#: Width at which coherence and autocorrelation are shown.
SHOWN = 64
ACTIVATION_COLOURS = {"linear": "C0", "erf": "C1", "tanh": "C2", "relu": "C3"}
NAMES = {"linear": "linear", "erf": "erf", "tanh": "tanh", "relu": "ReLU"}

FULL = WidthPlan(tuple((a, r) for a in ACTIVATIONS for r in ARCHITECTURES), (32, 64, 128, 256, 512, 1024), 4, 2000, 300)
#: The widest networks take most of the time.
QUICK = WidthPlan(
    tuple(case for case in FULL.cases if case not in (("tanh", "dnn"), ("relu", "dnn"))),
    (32, 64, 128, 256),
    2,
    600,
    150,
)


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; the files made, and whether every entry agrees with the theory at its width."""
    return make_plan(QUICK if effort.quick else FULL, out, effort.workers, progress)


def make_plan(plan: WidthPlan, out: Path, workers: int, progress: Progress) -> dict[str, Any]:
    """The panel of a plan."""
    theories = {case: predicted(problem(case)) for case in plan.cases}
    runs = simulated(plan, out / "trained-networks-runs", workers, progress)
    results = {case: compare_widths(theories[case], runs[case]) for case in plan.cases}
    tables = {
        "alignment": alignment_table(results),
        "kernel": kernel_table(results),
        "autocorrelation": autocorrelation_table(results),
    }
    verdicts = [result.verdict for result in results.values()]
    worst = max(result.largest_z for result in results.values())
    aligned = max(abs(result.misalignment_z) for result in results.values())
    summary = (
        f"kernels of {len(results)} networks at {len(plan.widths)} widths "
        f"{said(verdicts, 'the theory at their width')}; largest |z| of an entry {worst:.1f}; "
        f"1 - CKA of one network is the predicted c/N at N = {max(plan.widths)} within {aligned:.1f} errors"
    )
    picture = partial(draw, results)
    record = save_panel(PANEL, out, tables, picture, verdicts=verdicts, largest_z=worst, summary=summary)
    reasons = {
        " ".join(case): {str(width): part.agreement.reason for width, part in result.sampled.items()}
        for case, result in results.items()
    }
    return record | {"reasons": reasons}


def alignment_table(results: Mapping[Case, WidthResult]) -> dict[str, list[Any]]:
    """1 - CKA at each width, of one network and of the mean kernel, and what is predicted to leading order."""
    rows: list[dict[str, Any]] = []
    for (activation, arch), result in results.items():
        for width, sampled in result.sampled.items():
            rows.append(
                {
                    "activation": activation,
                    "arch": arch,
                    "width": width,
                    "misalignment": sampled.misalignment[0],
                    "misalignment_error": sampled.misalignment[1],
                    "predicted": result.theory.misalignment.single / width,
                    "misalignment_of_mean": sampled.of_mean[0],
                    "misalignment_of_mean_error": sampled.of_mean[1],
                    "predicted_of_mean": result.theory.misalignment.of_mean / width**2,
                    "ess": sampled.ess,
                    "rhat": sampled.rhat,
                }
            )
    return in_columns(rows)


def kernel_table(results: Mapping[Case, WidthResult]) -> dict[str, list[Any]]:
    """Each independent entry: theory, its shift, and by width the sampled mean, its error, the prediction and z."""
    rows: list[dict[str, Any]] = []
    for (activation, arch), result in results.items():
        for i, j in zip(*np.triu_indices(len(result.theory.kernel)), strict=True):
            row = {
                "activation": activation,
                "arch": arch,
                "t": i + 1,
                "s": j + 1,
                "theory": result.theory.kernel[i, j],
                "shift": result.theory.shift[i, j],
            }
            for width, sampled in result.sampled.items():
                row[f"mean_{width}"] = sampled.kernel[i, j]
                row[f"mean_{width}_error"] = sampled.kernel_error[i, j]
                row[f"z_{width}"] = sampled.agreement.z[i, j]
            rows.append(row)
    return in_columns(rows)


def autocorrelation_table(results: Mapping[Case, WidthResult]) -> dict[str, list[Any]]:
    """Autocorrelation by lag: N → ∞, and mean and standard deviation over networks, predicted and sampled."""
    rows: list[dict[str, Any]] = []
    for (activation, arch), result in results.items():
        told = result.theory.autocorrelation
        for lag, theory in enumerate(told.limit):
            row = {"activation": activation, "arch": arch, "lag": lag, "theory": theory}
            for width, sampled in result.sampled.items():
                row[f"predicted_{width}"], row[f"predicted_{width}_sd"] = told.mean(width)[lag], told.sd(width)[lag]
                names = (f"sampled_{width}", f"sampled_{width}_error", f"sampled_{width}_sd")
                row |= dict(zip(names, sampled.autocorrelation[:, lag], strict=True))
            rows.append(row)
    return in_columns(rows)


def draw(results: Mapping[Case, WidthResult]) -> Figure:
    """The four parts, one below the other."""
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(3.4, 6.6))
    parts = figure.subplot_mosaic(
        [["alignment", "alignment"], ["z", "z"], ["rnn", "dnn"], ["lag", "lag"]], height_ratios=[1.5, 0.9, 1.1, 1.1]
    )
    draw_alignment(parts["alignment"], results)
    draw_z(parts["z"], results)
    shown = "erf" if ("erf", "rnn") in results else next(iter(results))[0]
    for arch in ARCHITECTURES:
        draw_coherence(parts[arch], results, (shown, arch))
    draw_autocorrelation(parts["lag"], results)
    for axes, letter in zip((parts["alignment"], parts["z"], parts["rnn"], parts["lag"]), "abcd", strict=True):
        axes.annotate(f"({letter})", (0, 1), xycoords="axes fraction", xytext=(-30, 4), textcoords="offset points")
    return figure


def draw_alignment(axes: Axes, results: Mapping[Case, WidthResult]) -> None:
    """1 - CKA against N on logarithmic axes: of one network and of the mean kernel, with the predicted lines."""
    for (activation, arch), result in results.items():
        colour, fill = ACTIVATION_COLOURS[activation], ACTIVATION_COLOURS[activation] if arch == "rnn" else "white"
        widths = np.array(list(result.sampled))
        value, error = np.array([s.misalignment for s in result.sampled.values()]).T
        label = f"{NAMES[activation]}, {arch.upper()}"
        axes.errorbar(widths, value, yerr=2 * error, fmt="o", color=colour, mfc=fill, label=label, zorder=3)
        told = result.theory.misalignment
        axes.plot(widths, told.single / widths, color=colour, lw=0.7, ls="-" if arch == "rnn" else "--")
        if arch == "rnn":
            value, error = np.array([s.of_mean for s in result.sampled.values()]).T
            clear = value > 2 * error
            axes.errorbar(widths[clear], value[clear], yerr=2 * error[clear], fmt=".", ms=3, lw=0.6, color=colour)
            axes.plot(widths, told.of_mean / widths**2, color=colour, lw=0.5, ls=":")
    least = min(s.of_mean[0] for result in results.values() for s in result.sampled.values() if s.of_mean[0] > 0)
    axes.set(xscale="log", yscale="log", xlabel="width $N$", ylabel="1 − CKA with the theory")
    axes.set_ylim(bottom=max(0.3 * least, 1e-7))
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    axes.legend(
        ncols=3, loc="lower center", bbox_to_anchor=(0.45, 1.0), handletextpad=0.2, columnspacing=0.8, borderaxespad=0
    )


def draw_z(axes: Axes, results: Mapping[Case, WidthResult]) -> None:
    """Every entry's z in a column for each network, narrow to wide, with the limit beyond which it would disagree."""
    verdicts = [[part.agreement for part in result.sampled.values()] for result in results.values()]
    for column, ((activation, arch), own) in enumerate(zip(results, verdicts, strict=True)):
        entries = np.triu_indices(len(own[0].z))
        z = np.concatenate([verdict.z[entries] for verdict in own])
        spread = column + np.linspace(-0.35, 0.35, len(z))
        fill = ACTIVATION_COLOURS[activation] if arch == "rnn" else "white"
        axes.plot(spread, z, "o", color=ACTIVATION_COLOURS[activation], mfc=fill, ms=2, mew=0.5)
    limit = verdicts[0][0].z_limit
    axes.axhspan(-2, 2, color="0.93", zorder=0)
    for edge in (-limit, limit):
        axes.axhline(edge, color="0.4", lw=0.6, ls=":")
    names = [f"{NAMES[activation]}\n{arch.upper()}" for activation, arch in results]
    axes.set_xticks(range(len(results)), names, fontsize=6)
    axes.set(ylabel=r"$z$ of $\langle\Phi\rangle_N$")
    top = max(1.25 * limit, *(1.1 * result.largest_z for result in results.values()))
    axes.set_ylim(-top, top)


def draw_coherence(axes: Axes, results: Mapping[Case, WidthResult], case: Case) -> None:
    """Mean temporal coherence of one network of width `SHOWN`: predicted above the diagonal, sampled below it."""
    result = results[case]
    theory, sampled = result.theory.coherence.mean(SHOWN), result.sampled[SHOWN].coherence
    n = len(theory)
    both = np.where(np.arange(n)[:, None] < np.arange(n), theory, sampled)
    axes.imshow(both, vmin=0, vmax=1, cmap="Blues")
    for i in range(n):
        for j in range(n):
            if i != j:
                colour = "white" if both[i, j] > 0.6 else "black"
                text = f"{both[i, j]:z.2f}".replace("-", "−")
                axes.text(j, i, text, ha="center", va="center", fontsize=6, color=colour)
    axes.plot([-0.5, n - 0.5], [-0.5, n - 0.5], color="white", lw=1)
    axes.set_xticks(range(n), [str(t + 1) for t in range(n)])
    axes.set_yticks(range(n), [str(t + 1) for t in range(n)])
    axes.set_title(f"{NAMES[case[0]]} {case[1].upper()}", loc="left")
    axes.set_xlabel("$t$ (above: theory)")
    axes.set_ylabel(f"$t'$ (below: $N={SHOWN}$)")


def draw_autocorrelation(axes: Axes, results: Mapping[Case, WidthResult]) -> None:
    """Autocorrelation of one network of width `SHOWN` by lag: predicted mean and ± sd, sampled mean and ± sd."""
    for column, ((activation, arch), result) in enumerate(results.items()):
        told = result.theory.autocorrelation
        mean, sd = told.mean(SHOWN), told.sd(SHOWN)
        value, _, scatter = result.sampled[SHOWN].autocorrelation
        colour, fill = ACTIVATION_COLOURS[activation], ACTIVATION_COLOURS[activation] if arch == "rnn" else "white"
        lag = np.arange(len(mean))
        aside = lag + 0.08 * (column - 0.5 * (len(results) - 1))
        axes.bar(aside, 2 * sd, 0.07, mean - sd, color=colour, alpha=0.35, lw=0, zorder=1)
        axes.plot(lag, mean, color=colour, lw=0.6, ls="-" if arch == "rnn" else "--", zorder=1)
        axes.errorbar(aside[1:], value[1:], yerr=scatter[1:], fmt="o", ms=2.5, lw=0.6, color=colour, mfc=fill, zorder=2)
    axes.set_xticks(lag)
    axes.set(xlabel="lag $t-t'$", ylabel="autocorrelation", ylim=(-0.25, 1.05))

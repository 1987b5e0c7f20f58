"""Networks of finite width against the theory at N → ∞, endpoint supervision, T = 4.

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
    ARCHITECTURES,
    Case,
    WidthPlan,
    WidthResult,
    compare,
    exponent,
    predicted,
    problem,
    simulated,
)
from derivations.figures.panel import Effort, Panel, in_columns, save_panel
from numerics.progress import Progress
from numerics.sampling import observables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = Panel(
    "4",
    "trained-networks",
    "The theory describes trained networks",
    "Networks of width N against the theory at N → ∞, endpoint supervision, T = 4. (a) 1 - CKA of one network's "
    "kernel with the theory's falls as 1/N. (b) Each entry of the mean kernel, taken to N → ∞ by its measured trend "
    "in 1/N, less the theory, in standard errors. (c) Temporal coherence and (d) autocorrelation are right already "
    "at N = 64.",
)


#: Width at which coherence and autocorrelation are shown.
SHOWN = 64
COLOURS = {"linear": "C0", "erf": "C1", "tanh": "C2", "relu": "C3"}
NAMES = {"linear": "linear", "erf": "erf", "tanh": "tanh", "relu": "ReLU"}

FULL = WidthPlan(tuple((a, r) for a in ACTIVATIONS for r in ARCHITECTURES), (32, 64, 128, 256, 512, 1024), 4, 2000, 300)
#: The widest networks take most of the time.
QUICK = WidthPlan(
    tuple(case for case in FULL.cases if case not in (("tanh", "dnn"), ("relu", "dnn"))),
    (32, 64, 128, 256, 512),
    2,
    800,
    150,
)


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; the files made, and whether every entry's limit agrees with the theory."""
    return make_plan(QUICK if effort.quick else FULL, out, effort.workers, progress)


def make_plan(plan: WidthPlan, out: Path, workers: int, progress: Progress) -> dict[str, Any]:
    """The panel of a plan."""
    theories = {case: predicted(problem(case)) for case in plan.cases}
    runs = simulated(plan, out / "trained-networks-runs", workers, progress)
    results = {case: compare(theories[case], runs[case]) for case in plan.cases}
    tables = {
        "alignment": alignment_table(results),
        "kernel": kernel_table(results),
        "autocorrelation": autocorrelation_table(results),
    }
    verdicts = [result.agreement for result in results.values()]
    agrees = all(verdict.agrees for verdict in verdicts)
    worst = max(float(np.abs(verdict.z).max()) for verdict in verdicts)
    exponents = [exponent(result)[0] for result in results.values()]
    summary = (
        f"the limits N → ∞ of {len(results)} networks' kernels {'agree with' if agrees else 'DISAGREE with'} the "
        f"theory, largest |z| of an entry {worst:.1f}; 1 - CKA of one network falls as N to the power "
        f"{min(exponents):.2f} … {max(exponents):.2f}"
    )
    picture = partial(draw, results)
    record = save_panel(PANEL, out, tables, picture, agrees=agrees, largest_z=worst, summary=summary)
    return record | {"reasons": {" ".join(case): result.agreement.reason for case, result in results.items()}}


def alignment_table(results: Mapping[Case, WidthResult]) -> dict[str, list[Any]]:
    """1 - CKA at each width."""
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
                    "misalignment_of_mean": sampled.of_mean[0],
                    "misalignment_of_mean_error": sampled.of_mean[1],
                    "ess": sampled.ess,
                    "rhat": sampled.rhat,
                }
            )
    return in_columns(rows)


def kernel_table(results: Mapping[Case, WidthResult]) -> dict[str, list[Any]]:
    """Each independent entry: theory, limit of the sampled means, coefficient of 1/N, z, and the means by width."""
    rows: list[dict[str, Any]] = []
    for (activation, arch), result in results.items():
        for i, j in zip(*np.triu_indices(len(result.theory.kernel)), strict=True):
            row = {
                "activation": activation,
                "arch": arch,
                "t": i + 1,
                "s": j + 1,
                "theory": result.theory.kernel[i, j],
                "limit": result.trend.limit[i, j],
                "limit_error": result.trend.limit_standard_error[i, j],
                "shift": result.trend.coefficients[1, i, j],
                "shift_error": result.trend.standard_errors[1, i, j],
                "z": result.agreement.z[i, j],
            }
            for width, sampled in result.sampled.items():
                row[f"mean_{width}"] = sampled.kernel[i, j]
                row[f"mean_{width}_error"] = sampled.kernel_error[i, j]
            rows.append(row)
    return in_columns(rows)


def autocorrelation_table(results: Mapping[Case, WidthResult]) -> dict[str, list[Any]]:
    """Autocorrelation of the theory and of each width, by lag."""
    rows: list[dict[str, Any]] = []
    for (activation, arch), result in results.items():
        for lag, theory in enumerate(observables.autocorrelation(result.theory.kernel, 1)):
            row = {"activation": activation, "arch": arch, "lag": lag, "theory": theory}
            for width, sampled in result.sampled.items():
                row[f"sampled_{width}"], row[f"sampled_{width}_error"] = sampled.autocorrelation[:, lag]
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
    """1 - CKA against N on logarithmic axes: of one network, with its 1/N line, and of the mean kernel."""
    for (activation, arch), result in results.items():
        colour, fill = COLOURS[activation], COLOURS[activation] if arch == "rnn" else "white"
        widths = np.array(list(result.sampled))
        value, error = np.array([s.misalignment for s in result.sampled.values()]).T
        label = f"{NAMES[activation]}, {arch.upper()}"
        axes.errorbar(widths, value, yerr=2 * error, fmt="o", color=colour, mfc=fill, label=label, zorder=3)
        line = np.average(widths * value, weights=(widths * error) ** -2.0)
        axes.plot(widths, line / widths, color=colour, lw=0.7, ls="-" if arch == "rnn" else "--")
        if arch == "rnn":
            value, error = np.array([s.of_mean for s in result.sampled.values()]).T
            clear = value > 2 * error
            axes.errorbar(widths[clear], value[clear], yerr=2 * error[clear], fmt=".", ms=3, lw=0.6, color=colour)
    axes.set(xscale="log", yscale="log", xlabel="width $N$", ylabel="1 − CKA with the theory")
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    axes.legend(
        ncols=3, loc="lower center", bbox_to_anchor=(0.45, 1.0), handletextpad=0.2, columnspacing=0.8, borderaxespad=0
    )


def draw_z(axes: Axes, results: Mapping[Case, WidthResult]) -> None:
    """Every entry's z of the limit, in a column for each network, with the limit beyond which it would disagree."""
    for column, ((activation, arch), result) in enumerate(results.items()):
        z = result.agreement.z[np.triu_indices(len(result.agreement.z))]
        spread = column + np.linspace(-0.25, 0.25, len(z))
        fill = COLOURS[activation] if arch == "rnn" else "white"
        axes.plot(spread, z, "o", color=COLOURS[activation], mfc=fill, ms=3)
    limit = max(result.agreement.z_limit for result in results.values())
    axes.axhspan(-2, 2, color="0.93", zorder=0)
    for edge in (-limit, limit):
        axes.axhline(edge, color="0.4", lw=0.6, ls=":")
    names = [f"{NAMES[activation]}\n{arch.upper()}" for activation, arch in results]
    axes.set_xticks(range(len(results)), names, fontsize=6)
    axes.set(ylabel=r"$z$ of $\Phi_\infty$")
    top = max(1.25 * limit, *(1.1 * float(np.abs(result.agreement.z).max()) for result in results.values()))
    axes.set_ylim(-top, top)


def draw_coherence(axes: Axes, results: Mapping[Case, WidthResult], case: Case) -> None:
    """Temporal coherence: the theory above the diagonal, networks of width `SHOWN` below it."""
    result = results[case]
    theory, sampled = observables.coherence(result.theory.kernel, 1), result.sampled[SHOWN].coherence
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
    """Autocorrelation against the lag: lines are the theory, markers networks of width `SHOWN`."""
    for (activation, arch), result in results.items():
        theory = observables.autocorrelation(result.theory.kernel, 1)
        value, error = result.sampled[SHOWN].autocorrelation
        colour, fill = COLOURS[activation], COLOURS[activation] if arch == "rnn" else "white"
        lag = np.arange(len(theory))
        axes.plot(lag, theory, color=colour, ls="-" if arch == "rnn" else "--", zorder=1)
        axes.errorbar(lag, value, yerr=2 * error, fmt="o", color=colour, mfc=fill, zorder=2)
    axes.set_xticks(lag)
    axes.set(xlabel="lag $t-t'$", ylabel="autocorrelation", ylim=(-0.08, 1.05))

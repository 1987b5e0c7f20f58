"""States that learn and states that do not: a discontinuous transition of either architecture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.panel import (
    ARCHITECTURES,
    Effort,
    Panel,
    Table,
    finished_runs,
    in_columns,
    named,
    rows_where,
    sampled_networks,
    save_panel,
)
from derivations.figures.verdicts import said
from numerics import Problem, endpoint, scan
from numerics.checking.check import STAYS
from numerics.checking.kernels import compare_phase, compare_visits
from numerics.checking.regions import distances
from numerics.checking.weights import phases
from numerics.linear import trust_region
from numerics.linear.functional import kernel_functional
from numerics.linear.states import solution_of
from numerics.predictors.output_shift import output_shift
from numerics.progress import Progress
from numerics.sampling import GaussianLaw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from numerics.continuation.scanned import Scan
    from numerics.results.readout import KernelState
    from numerics.results.solution import Solution

PANEL = Panel(
    "7a",
    "learning-transition",
    "States that learn and states that do not",
    "Beyond the poster: endpoint supervision with large noise, T = 4, κ = 100. Between two folds F has two minima, "
    "for (a) the RNN and (b) the DNN: one close to the random network, one that has learnt part of the label; where "
    "their F is equal the transition is, and it is discontinuous. Above: mean output over label; below: F less F_0, "
    "that of the random network. Lines are the theory at N → ∞, dashed where unstable; dotted, where minima end "
    "(folds) or have equal F. Diamonds are networks that start at weights drawn in one of the minima, with two "
    "standard errors (mostly within the symbol); black dashes, the theory of the minimum they must stay in, or go "
    "to beyond its fold, to first order in 1/N.",
)


T, KAPPA, WIDTH, SEED = 4, 100.0, 128, 20261126
RANGE, GRID = (700.0, 1800.0), 111
SIDES = ("unlearnt", "learnt")
#: Signals of the networks that start on each side.
SIGNALS: dict[str, dict[str, tuple[float, ...]]] = {
    "rnn": {"unlearnt": (750.0, 1000.0, 1200.0, 1640.0), "learnt": (850.0, 1000.0, 1150.0, 1400.0, 1740.0)},
    "dnn": {"unlearnt": (800.0, 940.0, 1200.0, 1400.0, 1640.0), "learnt": (1050.0, 1300.0, 1400.0, 1530.0, 1740.0)},
}
#: Networks that mix slowly; steps of the others and of these.
SLOW = {("rnn", "unlearnt", 750.0), ("rnn", "learnt", 850.0), ("rnn", "unlearnt", 1200.0), ("dnn", "unlearnt", 1400.0)}
STEPS, QUICK_STEPS = (3000, 6000), (350, 800)
#: Output over label above which a state has learnt: none of the minima lies near.
LEARNT = 0.1
SIDE_COLOURS = {"unlearnt": "C4", "learnt": "C2"}
THEORY, UNSTABLE, AT_WIDTH = r"theory, $N \to \infty$", "unstable state", f"theory, $N = {WIDTH}$"
STARTED = {start: f"network of $N = {WIDTH}$ that started {start}" for start in SIDES}
#: Down the first column, then the second.
LEGEND = (THEORY, UNSTABLE, AT_WIDTH, STARTED["learnt"], STARTED["unlearnt"])


def problem(arch: str, signal: float) -> Problem:
    """The task at one signal."""
    return endpoint(T, signal, kappa=KAPPA, arch=arch)


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Scan, simulate, draw and save; whether every network is in its minimum and agrees with the theory there."""
    coarse = {arch: scan(problem(arch, 1.0), {"signal": np.linspace(*RANGE, GRID)}) for arch in ARCHITECTURES}
    points = simulated_points(out, effort, coarse, progress)
    scans = {arch: crowded(found) for arch, found in coarse.items()}
    tables: dict[str, Table] = {
        "theory": theory_table(scans),
        "simulation": points,
        "special-points": {
            "arch": [arch for arch, found in scans.items() for _ in found.special_points],
            "type": [point.type for found in scans.values() for point in found.special_points],
            "signal": [point.value for found in scans.values() for point in found.special_points],
        },
    }
    verdicts, worst = points["verdict"], float(max(points["largest_z"]))
    equal = {
        arch: next(point.value for point in found.special_points if point.type == "equal-free-energy")
        for arch, found in scans.items()
    }
    summary = (
        f"the learnt state has the lower free energy beyond λ = {equal['rnn']:.0f} (RNN) and {equal['dnn']:.0f} (DNN); "
        f"{len(points['signal'])} networks {said(verdicts, 'the minimum in which they must be')}; "
        f"largest |z| of a kernel entry {worst:.1f}"
    )
    picture = partial(draw, scans, points)
    return save_panel(PANEL, out, tables, picture, verdicts=verdicts, largest_z=worst, summary=summary)


def crowded(found: Scan) -> Scan:
    """The same on signals that crowd where branches meet."""
    step = 8.0 * np.linspace(0.02, 1.0, 8) ** 2
    near = [point.value + side * step for point in found.special_points for side in (-1, 1)]
    return scan(found.problem, {"signal": np.unique(np.concatenate([found.value, *near]))})


def output_over_label(kernel: np.ndarray) -> np.ndarray:
    """``f^T/y = v H^{T-1,T-1}/(v H^{T-1,T-1} + κ)`` of one pattern, v = 1."""
    last = kernel[..., -1, -1]
    return np.asarray(last / (last + KAPPA))


def minima(found: Scan, signal: float) -> dict[str, Solution]:
    """The minima at one signal, by side: what the stable branches of the scan lead to there."""
    functional = kernel_functional(problem(found.problem.arch, signal))
    states: dict[str, Solution] = {}
    for branch in found.branches:
        there = np.flatnonzero(branch.stable & np.isfinite(branch.free_energy))
        if len(there) == 0:
            continue
        nearest_place = there[np.argmin(np.abs(found.value[there] - signal))]
        stop = trust_region.minimise(functional.at(branch.kernel[nearest_place]), tolerance=1e-10)
        state = solution_of(problem(found.problem.arch, signal), stop)
        if state.stable and state.converged:
            states[side(state)] = state
    return states


def side(state: KernelState) -> str:
    """Whether a state has learnt the label."""
    return "learnt" if output_over_label(state.kernel) > LEARNT else "unlearnt"


def simulated_points(out: Path, effort: Effort, scans: dict[str, Scan], progress: Progress) -> dict[str, list[Any]]:
    """One network for each architecture, side and signal, compared with the minimum in which it must be."""
    tasks = [(arch, start, signal) for arch in ARCHITECTURES for start in SIDES for signal in SIGNALS[arch][start]]
    jobs = {}
    for number, (arch, start, signal) in enumerate(tasks):
        known = minima(scans[arch], signal)
        # beyond the fold of its side, a network starts where that side still was and goes to what is left
        origin = known.get(start) or minima(scans[arch], last_signal(scans[arch], start, signal))[start]
        jobs[out / "learning-transition-runs" / f"{arch}-{start}-{signal:g}.json"] = {
            "T": T, "kappa": KAPPA, "arch": arch, "signal": signal, "width": WIDTH, "start": start,
            "start_kernel": origin.kernel.tolist(), "minima": [state.kernel.tolist() for state in known.values()],
            "chains": 2, "warmup": 300,
            "steps": (QUICK_STEPS if effort.quick else STEPS)[(arch, start, signal) in SLOW], "seed": SEED + number,
        }  # fmt: skip
    return in_columns(finished_runs(jobs, network, effort.workers, progress))


def last_signal(found: Scan, start: str, signal: float) -> float:
    """The signal nearest to a given one at which a side's minimum exists."""
    there = [
        place
        for branch in found.branches
        for place, kernel in zip(found.value[branch.stable], branch.kernel[branch.stable], strict=True)
        if (output_over_label(kernel) > LEARNT) == (start == "learnt")
    ]
    return float(min(there, key=lambda place: abs(place - signal)))


def network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate one network from its start; its output and kernel beside those of the minimum it must be in."""
    task, width = problem(settings["arch"], settings["signal"]), settings["width"]
    functional = kernel_functional(task)
    states = [
        solution_of(task, trust_region.minimise(functional.at(np.array(kernel)), tolerance=1e-10))
        for kernel in settings["minima"]
    ]
    found = phases(states, width)
    own = next((phase for phase in found if side(phase.state) == settings["start"]), found[0])
    simulation = sampled_networks(task, settings, law=GaussianLaw(np.array(settings["start_kernel"])))
    away, position = distances([phase.region for phase in found], simulation.kernels), found.index(own)
    inside, comparison = np.argmin(away, axis=-1) == position, compare_phase(own, simulation)
    agreement = comparison.agreement if inside.all() else compare_visits(own, simulation, away, position)
    verdict = "disagrees" if agreement is None or inside.mean() < STAYS else agreement.verdict
    y, solution = task.labels[0], comparison.solution
    return {
        **{name: settings[name] for name in ("arch", "signal", "start", "width")},
        "ends": side(solution),
        "weight": own.weight,
        "share_of_draws": float(inside.mean()),
        "theory": float(output_over_label(solution.kernel)),
        "theory_at_width": float(output_over_label(solution.kernel) + output_shift(solution)[0, -1] / (y * width)),
        "sampled": float(simulation.prediction[0, -1] / y),
        "standard_error": float(simulation.prediction_standard_error[0, -1] / y),
        "largest_z": float(np.abs((agreement or comparison.agreement).z).max()),
        "ess": comparison.simulation.ess,
        "rhat": comparison.simulation.rhat,
        "verdict": verdict,
    }


def theory_table(scans: dict[str, Scan]) -> dict[str, list[Any]]:
    """Every branch where it exists, one row for each signal."""
    rows = [
        (arch, branch.name, signal, output, energy, stable)
        for arch, found in scans.items()
        for branch in found.branches
        for signal, output, energy, stable in zip(
            found.value, output_over_label(branch.kernel), branch.free_energy, branch.stable, strict=True
        )
        if np.isfinite(energy)
    ]
    names = ("arch", "branch", "signal", "output_over_label", "free_energy", "stable")
    return named(names, rows)


def draw(scans: dict[str, Scan], points: dict[str, list[Any]]) -> Figure:
    """RNN left, DNN right; outputs above, free energies below."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(3.4, 3.6), sharex=True, sharey="row", height_ratios=(3, 2))
    for column, (arch, found) in enumerate(scans.items()):
        above, below = axes[:, column]
        for place in (above, below):
            draw_special_points(place, found, named=place is above)
        draw_branches(above, found, lambda branch: output_over_label(branch.kernel))
        # the random network's free energy is its energy λ/(2 (1 + κ)) alone
        draw_branches(below, found, lambda branch, s=found: branch.free_energy - 0.5 * s.value / (1 + KAPPA))
        draw_networks(above, points, arch)
        above.set_title(f"({'ab'[column]}) {arch.upper()}", loc="left")
        below.set(xlabel=r"signal $\lambda$", xlim=RANGE, xticks=(800, 1200, 1600), ylim=(-0.62, 0.38))
    axes[0, 0].set(ylabel=r"output $\langle f^T\rangle/y$", ylim=(-0.02, 0.95), yticks=(0, 0.2, 0.4, 0.6, 0.8))
    axes[1, 0].set(ylabel="$F - F_0$")
    handles = dict(zip(*reversed(axes[0, 1].get_legend_handles_labels()), strict=True))
    figure.legend([handles[name] for name in LEGEND], LEGEND, loc="outside lower center", ncols=2, handlelength=1.3,
                  columnspacing=1.2, handletextpad=0.4)  # fmt: skip
    return figure


def draw_branches(axes: Axes, found: Scan, quantity: Any) -> None:
    """One quantity along every branch, dashed where it is unstable."""
    for branch in found.branches:
        values = quantity(branch)
        axes.plot(found.value, np.where(branch.stable, values, np.nan), "-", color="C0", label=THEORY)
        axes.plot(found.value, np.where(branch.stable, np.nan, values), "--", color="C0", lw=0.7, label=UNSTABLE)


def draw_special_points(axes: Axes, found: Scan, *, named: bool) -> None:
    """Where minima begin, end or exchange, as dotted lines; at λ_c only unstable states meet under so large a noise."""
    names = {"equal-free-energy": "equal $F$", "fold": "fold"}
    for point in found.special_points:
        minimum = any(branch.name in point.names and branch.stable.any() for branch in found.branches)
        if point.type not in names or not minimum:
            continue
        axes.axvline(point.value, color="0.6", lw=0.6, ls=":", zorder=0)
        if named:
            axes.annotate(
                names[point.type], (point.value, 1.0), (-1, -2), xycoords=("data", "axes fraction"),
                textcoords="offset points", rotation=90, ha="right", va="top", fontsize=6, color="0.35",
            )  # fmt: skip


def draw_networks(axes: Axes, points: dict[str, list[Any]], arch: str) -> None:
    """Networks by the side on which they started, and the theory at their width."""
    for start in SIDES:
        own = rows_where(points, arch=arch, start=start)
        axes.errorbar(own["signal"], own["sampled"], yerr=2 * own["standard_error"], fmt="D", ms=3.5,
                      color=SIDE_COLOURS[start], mfc="white", zorder=3, label=STARTED[start])  # fmt: skip
    column = rows_where(points, arch=arch)
    axes.plot(column["signal"], column["theory_at_width"], "_", color="k", ms=7, mew=1.1, zorder=4,
              label=AT_WIDTH)  # fmt: skip

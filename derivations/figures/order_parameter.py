"""Endpoint supervision: the order parameter H^(T-1,T-2) against the signal λ."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sympy import nsimplify

from derivations.figures.panel import (
    ARCHITECTURES,
    COLOURS,
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
from numerics import endpoint, scan, solve_all, solve_endpoint_batch
from numerics.checking.kernels import compare
from numerics.progress import Progress
from theory.critical_point import critical_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from numerics.continuation.scanned import Scan
    from numerics.inputs.problem import Problem
    from numerics.results.solution import Solution

PANEL = Panel(
    "5b",
    "order-parameter",
    "A phase transition to temporal coherence",
    "Order parameter H^(T-1,T-2) against the signal λ. Above, T = 4: beyond λ_c the RNN's kernel becomes coherent "
    "in time, with exponent ½; the DNN's never does. Below, T = 6: the transition is discontinuous, and networks "
    "keep the phase in which they started; κ = 20, since at κ = 1 both phases exist between λ = 2.12 and 2.15 only. "
    "Lines are the theory at N → ∞ (dashed where unstable), diamonds are networks sampled in weight space (above) "
    "or with W integrated out (below), with two standard errors.",
)


WIDTH, SEED = 256, 20260215
#: The continuous transition.
T, KAPPA = 4, 1.0
SIGNALS = {"rnn": (3.0, 6.0, 14.0, 18.0, 24.0, 32.0, 40.0), "dnn": (6.0, 18.0, 40.0)}
LARGEST_SIGNAL = 42.0
#: The discontinuous one. At κ = 1 the barrier between the phases is 1e-5 N, too low for any network; it grows with κ,
#: to 0.013 N and more at these signals. The sampler that integrates W out affords networks wide enough to keep their
#: phase.
JUMP_T, JUMP_KAPPA, JUMP_WIDTH = 6, 20.0, 1024
JUMP_RANGE = (26.0, 48.0)
JUMP_STARTS = {"prior": (30.0, 34.0, 38.0), "coherent": (35.0, 40.0, 45.0)}
#: Chains that start from the prior are in the incoherent phase.
PHASES = {"prior": "incoherent", "coherent": "coherent"}
_OFFSET: dict[str, Any] = {"textcoords": "offset points"}


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; the files made, and whether every point agrees with the theory."""
    theory, found = theory_curves(), jump_scan()
    points = simulated_points(out, effort, progress)
    tables: dict[str, Table] = {
        "theory": theory,
        "simulation": points,
        "hysteresis-theory": scan_table(found),
        "hysteresis-special-points": {
            "type": [point.type for point in found.special_points],
            "signal": [point.value for point in found.special_points],
        },
    }
    verdicts, worst = points["verdict"], float(max(points["largest_z"]))
    summary = (
        f"{len(points['signal'])} networks {said(verdicts, 'the theory')}; largest |z| of a kernel entry {worst:.1f}"
    )
    picture = partial(draw, theory, found, points)
    return save_panel(PANEL, out, tables, picture, verdicts=verdicts, largest_z=worst, summary=summary)


def theory_curves() -> dict[str, np.ndarray]:
    """H^(T-1,T-2) at N → ∞ along λ: the RNN's coherent branch (NaN below λ_c) and the incoherent one's stability."""
    critical = float(critical_point(T, nsimplify(KAPPA)).signal)
    # a square root leaves λ_c: the points crowd there
    signal = np.concatenate(
        [[0.0, critical], critical + (LARGEST_SIGNAL - critical) * np.linspace(0.01, 1.0, 200) ** 2]
    )
    coherent = solve_endpoint_batch(T, signal, KAPPA, "rnn", branch="coherent")
    rnn, dnn = solve_endpoint_batch(T, signal, KAPPA, "rnn"), solve_endpoint_batch(T, signal, KAPPA, "dnn")
    return {
        "signal": signal,
        "rnn_coherent": coherent.order_parameter,
        "rnn_coherent_stable": coherent.stable,
        "rnn_incoherent": rnn.order_parameter,
        "rnn_incoherent_stable": rnn.stable,
        "dnn_incoherent": dnn.order_parameter,
        "dnn_incoherent_stable": dnn.stable,
    }


def jump_scan() -> Scan:
    """Every branch of the discontinuous transition, on signals that crowd where branches meet."""
    coarse = np.linspace(*JUMP_RANGE, 89)
    problem = endpoint(JUMP_T, 1.0, kappa=JUMP_KAPPA)
    points = [point.value for point in scan(problem, {"signal": coarse}).special_points]
    crowded = [point + 0.5 * side * np.linspace(0.01, 1.0, 12) ** 2 for point in points for side in (-1, 1)]
    return scan(problem, {"signal": np.unique(np.concatenate([coarse, *crowded]))})


def scan_table(found: Scan) -> dict[str, list[Any]]:
    """Every branch where it exists, one row for each signal."""
    rows = [
        (branch.name, signal, order, energy, stable)
        for branch in found.branches
        for signal, order, energy, stable in zip(
            found.value, branch.order_parameter, branch.free_energy, branch.stable, strict=True
        )
        if np.isfinite(order)
    ]
    names = ("branch", "signal", "order_parameter", "free_energy", "stable")
    return named(names, rows)


def simulated_points(out: Path, effort: Effort, progress: Progress) -> dict[str, list[Any]]:
    """One network for each architecture and signal, and for each start, compared with the theory at its width."""
    steps = 400 if effort.quick else 6000
    common = {"chains": 2, "steps": steps, "warmup": 200}
    continuous = common | {"T": T, "kappa": KAPPA, "width": WIDTH, "sampler": "hmc-weights", "init": "prior"}
    jump = common | {"T": JUMP_T, "kappa": JUMP_KAPPA, "width": JUMP_WIDTH, "sampler": "collapsed", "arch": "rnn"}
    # the widest take longest: they come first, so that no process ends long before the other
    tasks = [jump | {"init": init, "signal": signal} for init in JUMP_STARTS for signal in JUMP_STARTS[init]]
    tasks += [continuous | {"arch": arch, "signal": signal} for arch in ARCHITECTURES for signal in SIGNALS[arch]]
    jobs = {
        out / "order-parameter-runs" / "{arch}-T{T}-{signal:g}-{init}.json".format_map(task): task | {"seed": SEED + k}
        for k, task in enumerate(tasks)
    }
    return in_columns(finished_runs(jobs, network, effort.workers, progress))


def network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate one network and compare it with the theory's state of the phase in which it started."""
    problem = endpoint(settings["T"], settings["signal"], arch=settings["arch"], kappa=settings["kappa"])
    simulation = sampled_networks(problem, settings, sampler=settings["sampler"], init=settings["init"])
    comparison = compare(expected_state(problem, PHASES[settings["init"]]), simulation)
    place = (settings["T"] - 2, settings["T"] - 3)
    return {
        **{name: settings[name] for name in ("T", "kappa", "arch", "signal", "init", "sampler", "width")},
        "theory": float(comparison.solution.kernel[place]),
        "theory_at_width": float(comparison.predicted[place]),
        "simulated": float(comparison.simulation.kernel_mean[place]),
        "standard_error": float(comparison.simulation.kernel_standard_error[place]),
        "z": float(comparison.agreement.z[place]),
        "largest_z": float(np.abs(comparison.agreement.z).max()),
        "ess": comparison.simulation.ess,
        "rhat": comparison.simulation.rhat,
        "verdict": comparison.agreement.verdict,
    }


def expected_state(problem: Problem, phase: str) -> Solution:
    """The stable state of the phase in which the chains start; where there is none, the one of lowest free energy."""
    stable = [state for state in solve_all(problem) if state.stable]
    return next((state for state in stable if state.branch == phase), stable[0])


def draw(theory: dict[str, np.ndarray], found: Scan, points: dict[str, list[Any]]) -> Figure:
    """The continuous transition above, the discontinuous one below."""
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(3.4, 4.3))
    draw_continuous(above, theory, points)
    draw_hysteresis(below, found, points)
    return figure


def draw_continuous(axes: Axes, theory: dict[str, np.ndarray], points: dict[str, list[Any]]) -> None:
    """The continuous transition."""
    signal = theory["signal"]
    beyond = np.isfinite(theory["rnn_coherent"])
    critical = signal[1]
    axes.axvline(critical, color="0.6", lw=0.6, ls=":", zorder=0)
    axes.annotate(r"$\lambda_c$", (critical, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -7), **_OFFSET)
    axes.plot(signal, theory["dnn_incoherent"], color=COLOURS["dnn"], lw=2.4, alpha=0.5, label="DNN, theory")
    rnn = np.where(beyond, theory["rnn_coherent"], theory["rnn_incoherent"])
    axes.plot(signal, rnn, color=COLOURS["rnn"], label="RNN, theory")
    unstable = ~theory["rnn_incoherent_stable"]
    axes.plot(
        signal[unstable],
        theory["rnn_incoherent"][unstable],
        color=COLOURS["rnn"],
        ls="--",
        label="RNN, unstable",
    )
    for arch in ARCHITECTURES:
        column = rows_where(points, T=T, arch=arch)
        if arch == "rnn":
            draw_at_width(axes, column, label=f"theory, $N={WIDTH}$")
        draw_networks(axes, column, color=COLOURS[arch], mfc="white", label=f"{arch.upper()}, sampled, $N={WIDTH}$")
    axes.set_title(f"$T = {T}$, $\\kappa = {KAPPA:g}$: continuous", loc="left")
    axes.set(
        xlabel=r"signal $\lambda$",
        ylabel=rf"order parameter $H^{{{T - 1},{T - 2}}}$",
        xlim=(0, LARGEST_SIGNAL),
        ylim=(-0.7, 11.5),
    )
    axes.legend(loc="lower right", bbox_to_anchor=(1.02, 0.04), handlelength=1.4, labelspacing=0.25)


def draw_hysteresis(axes: Axes, found: Scan, points: dict[str, list[Any]]) -> None:
    """The discontinuous transition: both branches, its special points, and networks that started in either phase."""
    for branch in found.branches:
        for mask, style in ((branch.stable, "-"), (~branch.stable, "--")):
            there = np.where(mask, branch.order_parameter, np.nan)
            axes.plot(found.value, there, style, color=COLOURS["rnn"])
    names = {"fold": "fold", "equal-free-energy": "equal $F$", "pitchfork": r"$\lambda_c$"}
    for point in found.special_points:
        axes.axvline(point.value, color="0.6", lw=0.6, ls=":", zorder=0)
        axes.annotate(
            names[point.type], (point.value, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -7), **_OFFSET
        )
    for (init, phase), colour in zip(PHASES.items(), ("C4", "C2"), strict=True):
        column = rows_where(points, T=JUMP_T, init=init)
        draw_at_width(axes, column)
        label = f"started {phase}, $N = {column['width'][0]}$"
        draw_networks(axes, column, color=colour, mfc="white", label=label)
    axes.set_title(f"$T = {JUMP_T}$, $\\kappa = {JUMP_KAPPA:g}$: discontinuous, hysteresis", loc="left")
    axes.set(
        xlabel=r"signal $\lambda$",
        ylabel=rf"order parameter $H^{{{JUMP_T - 1},{JUMP_T - 2}}}$",
        xlim=JUMP_RANGE,
        xticks=range(30, 50, 5),
        ylim=(-2, 28),
    )
    axes.legend(loc="lower right", bbox_to_anchor=(1.02, 0.22), handlelength=1.4, labelspacing=0.3, frameon=True,
                edgecolor="none", framealpha=1.0)  # fmt: skip


def draw_networks(axes: Axes, column: dict[str, np.ndarray], **style: Any) -> None:
    """Diamonds with two standard errors."""
    axes.errorbar(column["signal"], column["simulated"], yerr=2 * column["standard_error"], fmt="D", zorder=3, **style)


def draw_at_width(axes: Axes, column: dict[str, np.ndarray], **style: Any) -> None:
    """Dashes at the theory's mean for the networks' width."""
    axes.plot(column["signal"], column["theory_at_width"], "_", color="k", ms=9, mew=1.2, zorder=4, **style)

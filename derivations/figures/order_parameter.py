"""Endpoint supervision, T = 4: the order parameter H^(T-1,T-2) against the signal λ (the poster's section 5).

Beyond λ_c the RNN's kernel turns coherent in time, with exponent ½; the DNN's never does. Lines are the theory at
N → ∞ (dashed where unstable), diamonds are networks of width N, sampled in weight space, with two standard errors;
dashes on them are the theory at that width.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sympy import nsimplify

from derivations.commands.check import compare
from derivations.figures.panel import Effort, Progress, finished_run, save_figure, save_table, styled
from numerics import endpoint, solve, solve_endpoint_batch
from numerics.sampling import simulate
from theory.critical_point import critical_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

T, KAPPA, WIDTH, SEED = 4, 1.0, 256, 20260215
SIGNALS = {"rnn": (2.0, 4.0, 6.0, 14.0, 18.0, 24.0, 32.0, 40.0), "dnn": (4.0, 14.0, 24.0, 40.0)}
ARCHITECTURES = tuple(SIGNALS)
LARGEST_SIGNAL = 42.0
_OFFSET = {"textcoords": "offset points"}
COLOURS = {"rnn": "C0", "dnn": "C1"}


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; the files made, and whether every point agrees with the theory."""
    theory = theory_curves()
    points = simulated_points(out, effort, progress)
    save_table(theory, out / "order-parameter-theory.csv")
    save_table(points, out / "order-parameter-simulation.csv")
    with styled():
        from matplotlib import pyplot as plt

        figure, axes = plt.subplots()
        draw(axes, theory, points)
        files = save_figure(figure, out, "order-parameter")
    worst = max(np.abs(points["largest_z"]))
    agrees = all(points["agrees"])
    return {
        "files": [str(path) for path in (*files, *sorted(out.glob("order-parameter-*.csv")))],
        "agrees": agrees,
        "largest_z": float(worst),
        "summary": (
            f"order-parameter: {len(points['signal'])} networks of width {WIDTH} "
            f"{'agree with' if agrees else 'DISAGREE with'} the theory; largest |z| of a kernel entry {worst:.1f}"
        ),
    }


def theory_curves() -> dict[str, np.ndarray]:
    """H^(T-1,T-2) at N → ∞ along λ: the RNN's coherent branch (NaN below λ_c) and the incoherent one's stability."""
    critical = float(critical_point(T, nsimplify(KAPPA)).signal)
    # a square root leaves λ_c: the points crowd there
    signal = np.concatenate(
        [[0.0, critical], critical + (LARGEST_SIGNAL - critical) * np.linspace(0.01, 1.0, 200) ** 2]
    )
    coherent = solve_endpoint_batch(T, signal, KAPPA, "rnn", branch="coherent")
    incoherent = {arch: solve_endpoint_batch(T, signal, KAPPA, arch, branch="incoherent") for arch in ARCHITECTURES}
    return {
        "signal": signal,
        "rnn_coherent": coherent.order_parameter,
        "rnn_coherent_stable": coherent.stable,
        "rnn_incoherent": incoherent["rnn"].order_parameter,
        "rnn_incoherent_stable": incoherent["rnn"].stable,
        "dnn_incoherent": incoherent["dnn"].order_parameter,
        "dnn_incoherent_stable": incoherent["dnn"].stable,
    }


def simulated_points(out: Path, effort: Effort, progress: Progress) -> dict[str, list[Any]]:
    """One network for each architecture and signal, compared with the theory at its width."""
    steps = 300 if effort.quick else 4000
    points: dict[str, list[Any]] = {}
    tasks = [(arch, signal) for arch in ARCHITECTURES for signal in SIGNALS[arch]]
    for done, (arch, signal) in enumerate(tasks):
        progress(done / len(tasks), f"{arch.upper()}, λ = {signal:g}")
        settings = {
            "T": T,
            "kappa": KAPPA,
            "width": WIDTH,
            "arch": arch,
            "signal": signal,
            "steps": steps,
            "chains": 4,
            "seed": SEED + done,
        }
        point = finished_run(
            out / "order-parameter-runs" / f"{arch}-{signal:g}.json", settings, lambda s=settings: network(s, effort)
        )
        for name, value in point.items():
            points.setdefault(name, []).append(value)
    progress(1.0, "done")
    return points


def network(settings: dict[str, Any], effort: Effort) -> dict[str, Any]:
    """Simulate one network and compare it with the theory."""
    problem = endpoint(settings["T"], settings["signal"], arch=settings["arch"], kappa=settings["kappa"])
    simulation = simulate(
        problem,
        settings["width"],
        chains=settings["chains"],
        steps=settings["steps"],
        seed=settings["seed"],
        workers=effort.workers,
    )
    comparison = compare(solve(problem), simulation)
    place = (T - 2, T - 3)
    return {
        "arch": settings["arch"],
        "signal": settings["signal"],
        "width": settings["width"],
        "theory": float(comparison.solution.kernel[place]),
        "theory_at_width": float(comparison.predicted[place]),
        "simulated": float(comparison.simulation.kernel_mean[place]),
        "standard_error": float(comparison.simulation.kernel_standard_error[place]),
        "z": float(comparison.agreement.z[place]),
        "largest_z": float(np.abs(comparison.agreement.z).max()),
        "ess": comparison.simulation.ess,
        "rhat": comparison.simulation.rhat,
        "agrees": comparison.agreement.agrees,
    }


def draw(axes: Axes, theory: dict[str, np.ndarray], points: dict[str, list[Any]]) -> None:
    """Lines are the theory, dashed where unstable; diamonds are networks with two standard errors."""
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
        signal[unstable], theory["rnn_incoherent"][unstable], color=COLOURS["rnn"], ls="--", label="RNN, unstable"
    )
    for arch in ARCHITECTURES:
        chosen = [i for i, name in enumerate(points["arch"]) if name == arch]
        column = {name: np.array([points[name][i] for i in chosen]) for name in points if name != "arch"}
        if arch == "rnn":
            axes.plot(
                column["signal"],
                column["theory_at_width"],
                "_",
                color="k",
                ms=9,
                mew=1.2,
                zorder=4,
                label=f"theory, $N={WIDTH}$",
            )
        axes.errorbar(
            column["signal"],
            column["simulated"],
            yerr=2 * column["standard_error"],
            fmt="D",
            color=COLOURS[arch],
            mfc="white",
            zorder=3,
            label=f"{arch.upper()}, sampled, $N={WIDTH}$",
        )
    axes.set(
        xlabel=r"signal $\lambda$",
        ylabel=rf"order parameter $H^{{{T - 1},{T - 2}}}$",
        xlim=(0, LARGEST_SIGNAL),
        ylim=(-0.7, 11.5),
    )
    axes.legend(loc="lower right", bbox_to_anchor=(1.02, 0.06), handlelength=1.4, labelspacing=0.3)

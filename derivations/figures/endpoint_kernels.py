"""Endpoint supervision: kernels of RNN and DNN under a weak and a strong signal, with W's spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.panel import ARCHITECTURES, Effort, Panel, finished_runs, named, sampled_networks, save_panel
from derivations.figures.verdicts import said
from numerics import endpoint, solve
from numerics.checking.kernels import compare
from numerics.predictors.observables import outliers
from numerics.progress import Progress
from numerics.sampling import Plan, last_weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from numerics.inputs.problem import Problem
    from numerics.sampling import Simulation

PANEL = Panel(
    "5a",
    "endpoint-kernels",
    "Kernels and spectra under weak and strong signals",
    "Kernels at T = 6, theory beside the mean over sampled networks. Under a weak signal RNN and DNN coincide, "
    "diagonal in time; under a strong one only the RNN turns coherent, and W gets an eigenvalue outside the bulk of "
    "radius √w (circle). Dots: one sampled W; ring: the theory's outlier; diamond: its mean over sampled W, with "
    "two standard errors.",
)


T, KAPPA, SEED = 6, 1.0, 20260217
#: λ_c is 2.15; the coherent state exists from 2.12.
SIGNALS = {"weak": 1.0, "strong": 10.0}


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; the files made, and whether every kernel entry agrees with the theory."""
    networks = networks_of_tasks(out, effort, progress)
    verdicts = [network["verdict"] for network in networks.values()]
    worst = max(network["largest_z"] for network in networks.values())
    strong = networks["strong", "rnn"]
    (found, error), (expected, _) = strong["mean_outlier"], strong["outliers"][0]
    summary = (
        f"kernels of width {strong['width']} {said(verdicts, 'the theory')}; largest |z| "
        f"{worst:.1f}; W's outlier {found:.3f} ± {error:.3f}, in theory {expected:.3f}"
    )
    tables = {"kernels": kernel_table(networks), "spectra": spectrum_table(networks)}
    return save_panel(PANEL, out, tables, partial(draw, networks), verdicts=verdicts, largest_z=worst, summary=summary)


def networks_of_tasks(out: Path, effort: Effort, progress: Progress) -> dict[tuple[str, str], dict[str, Any]]:
    """For each signal and architecture: kernels in theory and simulation, and the eigenvalues of one network's W."""
    width, steps = (256, 150) if effort.quick else (512, 1000)
    tasks = list(product(SIGNALS, ARCHITECTURES))
    jobs = {
        out / "endpoint-kernels-runs" / f"{strength}-{arch}.json": {
            "T": T,
            "kappa": KAPPA,
            "signal": SIGNALS[strength],
            "arch": arch,
            "width": width,
            "steps": steps,
            "warmup": max(300, steps // 4),
            "chains": 4,
            "seed": SEED + number,
        }
        for number, (strength, arch) in enumerate(tasks)
    }
    return dict(zip(tasks, finished_runs(jobs, network, effort.workers, progress), strict=True))


def network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate the networks of one problem; their mean kernel beside the theory's, and the first one's spectrum."""
    problem = endpoint(settings["T"], settings["signal"], kappa=settings["kappa"], arch=settings["arch"])
    solution = solve(problem)
    run = {name: settings[name] for name in ("steps", "warmup", "chains", "seed")}
    with TemporaryDirectory() as folder:
        simulation = sampled_networks(problem, settings, checkpoint=folder)
        eigenvalues = recurrent_eigenvalues(problem, settings["width"], run, Path(folder))
    if simulation.has_sign_symmetry:
        eigenvalues = eigenvalues * simulation.basins[0, -1]
    comparison = compare(solution, simulation)
    return {
        "width": settings["width"],
        "theory": solution.kernel.tolist(),
        "theory_at_width": comparison.predicted.tolist(),
        "sampled": comparison.simulation.kernel_mean.tolist(),
        "standard_error": comparison.simulation.kernel_standard_error.tolist(),
        "z": comparison.agreement.z.tolist(),
        "largest_z": float(np.abs(comparison.agreement.z).max()),
        "verdict": comparison.agreement.verdict,
        "eigenvalues": [[z.real, z.imag] for z in eigenvalues],
        "outliers": [[z.real, z.imag] for z in outliers(solution)[0]],
        "mean_outlier": mean_outlier(comparison.simulation),
    }


def mean_outlier(simulation: Simulation) -> list[float]:
    """W's real eigenvalue of largest modulus, mean over the draws and its standard error from the chains' means."""
    chains: dict[int, list[float]] = {}
    for spectrum in simulation.spectra:
        chains.setdefault(spectrum.chain, []).append(float(spectrum.values[np.abs(spectrum.values).argmax()].real))
    means = [float(np.mean(values)) for values in chains.values()]
    return [float(np.mean(means)), float(np.std(means, ddof=1) / np.sqrt(len(means)))] if means else []


def recurrent_eigenvalues(problem: Problem, width: int, run: dict[str, Any], folder: Path) -> np.ndarray:
    """Eigenvalues, over √w, of W at the end of the run's first chain; none for the DNN, which has many W."""
    if problem.arch != "rnn":
        return np.zeros(0, dtype=complex)
    weights = last_weights(folder, Plan(problem=problem, width=width, **run))
    return np.linalg.eigvals(weights.W[0].astype(np.float64) / np.sqrt(width)).astype(complex)


def kernel_table(networks: dict[tuple[str, str], dict[str, Any]]) -> dict[str, list[Any]]:
    """Every independent kernel entry, one row each."""
    columns = ("theory", "theory_at_width", "sampled", "standard_error", "z")
    rows = [
        (strength, SIGNALS[strength], arch, network["width"], t + 1, s + 1, *(network[name][t][s] for name in columns))
        for (strength, arch), network in networks.items()
        for t in range(T - 1)
        for s in range(t + 1)
    ]
    names = ("strength", "signal", "arch", "width", "t", "s", *columns)
    return named(names, rows)


def spectrum_table(networks: dict[tuple[str, str], dict[str, Any]]) -> dict[str, list[Any]]:
    """W's eigenvalues over √w: all of one sampled network, the theory's outliers, and the sampled one's mean."""
    rows = [
        (strength, SIGNALS[strength], origin, re, im)
        for strength in SIGNALS
        for origin, name in (("sampled", "eigenvalues"), ("theory", "outliers"))
        for re, im in networks[strength, "rnn"][name]
    ]
    for strength in SIGNALS:
        if networks[strength, "rnn"]["outliers"]:
            rows.append(
                (strength, SIGNALS[strength], "sampled mean", networks[strength, "rnn"]["mean_outlier"][0], 0.0)
            )
    return named(("strength", "signal", "origin", "re", "im"), rows)


def draw(networks: dict[tuple[str, str], dict[str, Any]]) -> Figure:
    """Weak signal left, strong right; rows: the RNN's kernel, the DNN's (theory, sampled), the spectrum of W."""
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(3.4, 4.1))
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 0.955))  # room for the two headings
    grid = figure.add_gridspec(3, 4, height_ratios=(1, 1, 1.75))
    for half, strength in enumerate(SIGNALS):
        first = strength == "weak"
        top = max(np.max(networks[strength, arch]["theory"]) for arch in ARCHITECTURES)
        matrices = []
        for row, arch in enumerate(ARCHITECTURES):
            for column, what in enumerate(("theory", "sampled")):
                axes = figure.add_subplot(grid[row, 2 * half + column])
                matrices.append(axes)
                image = draw_kernel(axes, np.array(networks[strength, arch][what]), top)
                if row == 0:
                    axes.set_title(what, fontsize=7)
                else:
                    axes.set_xlabel("time $t'$", labelpad=1)
                if first and column == 0:
                    axes.set_ylabel(f"{arch.upper()}\ntime $t$")
                else:
                    axes.set_yticklabels([])
        heading = f"{strength} signal, $\\lambda = {SIGNALS[strength]:g} {'<' if first else '>'} \\lambda_c$"
        matrices[0].annotate(heading, (1.1, 1.37), xycoords="axes fraction", ha="center").set_in_layout(False)
        bar = figure.colorbar(image, ax=matrices, location="bottom", aspect=22, pad=0.03, shrink=0.9)
        bar.set_label("kernel $H^{tt'}$", labelpad=1)
        bar.outline.set_visible(False)
        draw_spectrum(figure.add_subplot(grid[2, 2 * half : 2 * half + 2]), networks[strength, "rnn"], first)
    return figure


def draw_kernel(axes: Axes, kernel: np.ndarray, top: float) -> Any:
    """A kernel as colours, from 0 (and below) to `top`."""
    n = len(kernel)
    image = axes.imshow(kernel, cmap="viridis", vmin=0.0, vmax=top)
    axes.set_xticks([0, n - 1], ["1", str(n)])
    axes.set_yticks([0, n - 1], ["1", str(n)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def draw_spectrum(axes: Axes, network: dict[str, Any], labelled: bool) -> None:
    """W's eigenvalues, the bulk's circle, and rings where the theory has outliers, with the mean sampled one."""
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), color="0.5", lw=0.8)
    re, im = np.array(network["eigenvalues"]).T
    axes.plot(re, im, ".", ms=2, mew=0, color="C0", zorder=3)  # over a ring
    for re, im in network["outliers"]:
        axes.plot(re, im, "o", ms=8, mfc="none", mec="C1", mew=1.2)
        mean, error = network["mean_outlier"]
        axes.errorbar(mean, 0, xerr=2 * error, fmt="D", ms=2.5, color="C0", mfc="white", mew=0.8, zorder=4)
        axes.annotate("theory", (re, im), (0, 8), textcoords="offset points", ha="center", color="C1", fontsize=7)
    axes.set(xlim=(-1.2, 1.65), ylim=(-1.2, 1.2), aspect="equal", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.set_xlabel(r"Re $\mu/\sqrt{w}$")
    if labelled:
        axes.set_ylabel("RNN: eigenvalues of $W$\n" r"Im $\mu/\sqrt{w}$")
    else:
        axes.set_yticklabels([])

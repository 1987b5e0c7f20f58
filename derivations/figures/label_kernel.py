"""Endpoint supervision of two classes: the last time's kernel over patterns turns to the labels'."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.panel import ARCHITECTURES, Effort, Panel, finished_runs, named, sampled_networks, save_panel
from derivations.figures.verdicts import said
from numerics import Problem, cka, solve
from numerics.checking.kernels import compare
from numerics.progress import Progress
from numerics.sampling.diagnostics import summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from numerics.sampling import Simulation

PANEL = Panel(
    "5e",
    "label-kernel",
    "The last kernel turns to the labels'",
    "Two classes of four patterns each, labels ±3 at the last output only, T = 4. Kernels over patterns, each over "
    "its largest entry; numbers are alignments (CKA) with the label kernel Y = yyᵀ. The inputs' kernel is the "
    "random network's. The last hidden time's, H^(T-1,T-1), is close to Y for the RNN (above) and the DNN (below) "
    "alike: theory at N → ∞, and the mean over sampled networks.",
)


T, KAPPA, WIDTH, SEED = 4, 1.0, 128, 20261127
#: Patterns of each class, input dimensions, how far the classes' means lie apart beside the spread, and the label.
PER_CLASS, D, APART, AMPLITUDE = 4, 8, 0.2, 3.0


def problem(arch: str) -> Problem:
    """Two classes around ±m, the first class first, every input of size x·x/D = 1."""
    rng = np.random.default_rng(SEED)
    labels = np.repeat([1.0, -1.0], PER_CLASS)
    x = APART * labels[:, None] * np.ones(D) + rng.standard_normal((2 * PER_CLASS, D))
    x *= np.sqrt(D) / np.linalg.norm(x, axis=1)[:, None]
    y = np.full((2 * PER_CLASS, T - 1), np.nan)
    y[:, -1] = AMPLITUDE * labels
    return Problem(x, y, arch=arch, kappa=KAPPA)


def label_kernel() -> np.ndarray:
    """``Y = yyᵀ`` over patterns."""
    y = problem("rnn").labels
    return np.outer(y, y)


def input_kernel() -> np.ndarray:
    """``x_p·x_q/D``, the random network's kernel at every time (u = w = 1)."""
    x = problem("rnn").x[:, 0]
    return np.asarray(x @ x.T / D)


def last_time(kernel: np.ndarray) -> np.ndarray:
    """``H^{T-1,T-1}`` over patterns, (…, P, P)."""
    P = 2 * PER_CLASS
    return kernel[..., -P:, -P:]


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether every entry of both whole kernels agrees with the theory."""
    steps = 120 if effort.quick else 2000
    jobs = {
        out / "label-kernel-runs" / f"{arch}.json": {
            "arch": arch,
            "x": problem(arch).x[:, 0].tolist(),
            "labels": problem(arch).labels.tolist(),
            "T": T,
            "kappa": KAPPA,
            "width": WIDTH,
            "chains": 4,
            "steps": steps,
            "warmup": max(300, steps // 4),
            "seed": SEED + number,
        }
        for number, arch in enumerate(ARCHITECTURES)
    }
    networks = dict(zip(ARCHITECTURES, finished_runs(jobs, network, effort.workers, progress), strict=True))
    verdicts = [found["verdict"] for found in networks.values()]
    worst = max(found["largest_z"] for found in networks.values())
    aligned = ", ".join(
        f"{arch.upper()} {found['theory_cka']:.4f} (sampled {found['sampled_cka']:.4f} ± {found['cka_error']:.4f})"
        for arch, found in networks.items()
    )
    summary = (
        f"alignment of the last kernel with the labels' {aligned}, of the inputs' "
        f"{cka(input_kernel(), label_kernel()):.3f}; networks of width {WIDTH} "
        f"{said(verdicts, 'the theory')}; largest |z| of a kernel entry {worst:.1f}"
    )
    tables = {"": kernel_table(networks)}
    return save_panel(PANEL, out, tables, partial(draw, networks), verdicts=verdicts, largest_z=worst, summary=summary)


def network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate one architecture's networks: the last kernel beside the theory's, each with its alignment with Y."""
    task = problem(settings["arch"])
    solution = solve(task)
    comparison = compare(solution, sampled_networks(task, settings))
    sampled, error = alignment(comparison.simulation)
    return {
        "theory": last_time(solution.kernel).tolist(),
        "theory_at_width": last_time(comparison.predicted).tolist(),
        "sampled": last_time(comparison.simulation.kernel_mean).tolist(),
        "standard_error": last_time(comparison.simulation.kernel_standard_error).tolist(),
        "theory_cka": cka(last_time(solution.kernel), label_kernel()),
        "sampled_cka": sampled,
        "cka_error": error,
        "largest_z": float(np.abs(comparison.agreement.z).max()),
        "verdict": comparison.agreement.verdict,
    }


def alignment(simulation: Simulation) -> tuple[float, float]:
    """CKA of the mean last kernel with Y, and its standard error, linearised around the mean."""
    series, Y = last_time(simulation.kernels), label_kernel()
    mean = series.mean(axis=(0, 1))
    value = cka(mean, Y)
    slope = Y / (np.linalg.norm(mean) * np.linalg.norm(Y)) - value * mean / np.sum(mean**2)
    along = np.tensordot(series, slope, axes=2)[..., None]
    return value, float(np.ravel(summarise(along).standard_error)[0])


def kernel_table(networks: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Every independent entry of the last kernel, one row each, with those of labels and inputs."""
    columns = ("theory", "theory_at_width", "sampled", "standard_error")
    Y, X = label_kernel(), input_kernel()
    rows = [
        (arch, p + 1, q + 1, Y[p, q], X[p, q], *(found[name][p][q] for name in columns))
        for arch, found in networks.items()
        for p in range(len(Y))
        for q in range(p + 1)
    ]
    names = ("arch", "p", "q", "label_kernel", "input_kernel", *columns)
    return named(names, rows)


def draw(networks: dict[str, dict[str, Any]]) -> Figure:
    """Labels and inputs left; theory and sampled networks beside them, the RNN above the DNN."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(3.4, 2.75))
    Y = label_kernel()
    draw_kernel(axes[0, 0], Y, "labels $Y$")
    image = draw_kernel(axes[1, 0], input_kernel(), f"inputs, {cka(input_kernel(), Y):.2f}")
    for row, (arch, found) in enumerate(networks.items()):
        name = arch.upper()
        draw_kernel(axes[row, 1], np.array(found["theory"]), f"{name}, {found['theory_cka']:.2f}")
        draw_kernel(axes[row, 2], np.array(found["sampled"]), f"$N = {WIDTH}$, {found['sampled_cka']:.2f}")
    for place in axes[:, 0]:
        place.set_ylabel("pattern")
    for place in axes[1]:
        place.set_xlabel("pattern")
    bar = figure.colorbar(image, ax=axes, aspect=30, pad=0.02)
    bar.set_label("kernel / largest entry", labelpad=1)
    bar.outline.set_visible(False)
    return figure


def draw_kernel(axes: Axes, kernel: np.ndarray, title: str) -> Any:
    """A kernel over its largest entry, with lines between the classes."""
    image = axes.imshow(kernel / np.abs(kernel).max(), cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    for ticks in (axes.set_xticks, axes.set_yticks):
        ticks([0, 2 * PER_CLASS - 1], ["1", str(2 * PER_CLASS)])
    axes.axhline(PER_CLASS - 0.5, color="0.3", lw=0.5)
    axes.axvline(PER_CLASS - 0.5, color="0.3", lw=0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=7)
    return image

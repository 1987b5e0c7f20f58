"""Kernels and predictions of a sequential task from few supervised times (the poster's section 6).

Top: the label kernel Y = yyᵀ at all times beside the learned kernels, first pattern; ticks mark supervised times.
The RNN's kernel matches Y also where nothing is supervised, the DNN's stays diagonal there. Bottom: outputs f of the
first pattern. Lines: theory at N → ∞, with two standard deviations at width N; diamonds: means over sampled networks of
width N, with two standard errors. Unsupervised, the RNN goes on with the teacher's sequence; the DNN falls back to 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.commands.check import compare
from derivations.figures import sequential
from derivations.figures.panel import Effort, Progress, finished_run, save_figure, save_table, styled
from derivations.figures.sequential import ARCHITECTURES, COLOURS, PATTERNS, SUPERVISED, TEACHER, TIMES, T
from numerics.predictors import generalisation
from numerics.predictors.observables import cka

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEED = 20260601


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether every sampled output and kernel entry agrees with the theory."""
    results: dict[str, dict[str, Any]] = {}
    for done, arch in enumerate(ARCHITECTURES):
        progress(done / 2, f"{arch.upper()}: solving and sampling")
        settings = {
            "task": [T, sequential.ANGLE, sequential.AMPLITUDE, SUPERVISED, sequential.W],
            "arch": arch,
            "width": 100 if effort.quick else 256,
            "chains": 4,
            "steps": 250 if effort.quick else 2000,
            "warmup": 200 if effort.quick else 500,
            "seed": SEED + done,
        }
        path = out / "sequence-kernels-runs" / f"{arch}.json"
        results[arch] = finished_run(path, settings, lambda s=settings: network(s, effort))
    save_table(output_table(results), out / "sequence-kernels-outputs.csv")
    save_table(kernel_table(results), out / "sequence-kernels-kernels.csv")
    with styled():
        files = save_figure(draw(results), out, "sequence-kernels")
    progress(1.0, "done")
    agrees = all(result["outputs"]["agrees"] and result["kernel_agrees"] for result in results.values())
    largest = max(max(result["outputs"]["largest_z"], result["kernel_largest_z"]) for result in results.values())
    return {
        "files": [str(path) for path in (*files, *sorted(out.glob("sequence-kernels-*.csv")))],
        "agrees": agrees,
        "largest_z": largest,
        "summary": (
            f"sequence-kernels: alignment with Y {results['rnn']['cka']:.2f} (RNN), {results['dnn']['cka']:.2f} (DNN); "
            f"sampled networks {'agree with' if agrees else 'DISAGREE with'} the theory, largest |z| {largest:.1f}"
        ),
    }


def network(settings: dict[str, Any], effort: Effort) -> dict[str, Any]:
    """Solve the task, sample a network, and compare kernels and outputs."""
    solution = sequential.solved(settings["arch"])
    simulation = sequential.sampled(solution.problem, settings, effort)
    comparison = compare(solution, simulation)
    theory = generalisation.training(solution)
    at_width = sequential.outputs_at_width(solution, simulation.width)
    mean, error = simulation.prediction, simulation.prediction_standard_error
    return {
        "kernel": solution.kernel.tolist(),
        "cka": cka(solution.kernel, TEACHER.label_kernel(PATTERNS, T - 1)),
        "kernel_sampled": simulation.kernel_mean.tolist(),
        "kernel_largest_z": float(np.abs(comparison.agreement.z).max()),
        "kernel_agrees": comparison.agreement.agrees,
        "theory": theory.mean.tolist(),
        "theory_at_width": at_width.tolist(),
        "sd": np.sqrt(theory.scaled_variance / simulation.width).tolist(),
        "sampled": mean.tolist(),
        "standard_error": error.tolist(),
        "outputs": sequential.outputs_agree(at_width, mean, error, rhat=simulation.rhat, ess=simulation.ess),
        "width": simulation.width,
    }


def output_table(results: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """One row for each architecture, pattern and hidden time."""
    labels = TEACHER.labels(PATTERNS, T - 1)
    columns = ("theory", "theory_at_width", "sd", "sampled", "standard_error")
    names = ("arch", "pattern", "t", "supervised", "teacher", *columns, "z")
    rows = [
        (arch, p + 1, t, t in SUPERVISED, labels[p, t - 1], *(result[name][p][t - 1] for name in columns),
         result["outputs"]["z"][p][t - 1])
        for arch, result in results.items() for p in range(len(labels)) for t in TIMES.tolist()
    ]  # fmt: skip
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def kernel_table(results: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """One row for each entry of the joint kernels, time-major."""
    Y = TEACHER.label_kernel(PATTERNS, T - 1)
    P = len(PATTERNS)
    rows, columns = np.indices(Y.shape).reshape(2, -1)
    table: dict[str, Any] = {
        "t": rows // P + 1, "p": rows % P + 1, "t'": columns // P + 1, "p'": columns % P + 1, "label_kernel": Y.ravel()
    }  # fmt: skip
    for arch, result in results.items():
        table[f"{arch}_theory"] = np.ravel(result["kernel"])
        table[f"{arch}_sampled"] = np.ravel(result["kernel_sampled"])
    return {name: column.tolist() for name, column in table.items()}


def draw(results: dict[str, dict[str, Any]]) -> Figure:
    """Three kernels above, two rows of outputs below."""
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(3.4, 3.9))
    grid = figure.add_gridspec(3, 6, height_ratios=(1.25, 1, 1))
    P = len(PATTERNS)
    kernels = [
        (r"label kernel $Y$", TEACHER.label_kernel(PATTERNS, T - 1)),
        *((f"{arch.upper()}, CKA {results[arch]['cka']:.2f}", np.array(results[arch]["kernel"])) for arch in results),
    ]
    largest = max(np.abs(kernel[::P, ::P]).max() for _, kernel in kernels[1:])
    for place, (title, kernel) in enumerate(kernels):
        axes = figure.add_subplot(grid[0, 2 * place : 2 * place + 2])
        first = kernel[::P, ::P]
        image = _kernel(axes, first / (np.abs(first).max() if place == 0 else largest), title)
    bar = figure.colorbar(image, ax=figure.axes, location="right", shrink=0.85, aspect=14, ticks=(-1, 0, 1), pad=0.02)
    bar.set_label("kernel / largest", labelpad=-2)
    last = None
    for row, arch in enumerate(ARCHITECTURES, start=1):
        last = figure.add_subplot(grid[row, :], sharex=last)
        _outputs(last, arch, results[arch])
    last.set_xlabel(r"hidden time $t$ (grey: supervised)")
    return figure


def _kernel(axes: Axes, kernel: np.ndarray, title: str) -> Any:
    image = axes.imshow(kernel, cmap="RdBu_r", vmin=-1, vmax=1, extent=(0.5, T - 0.5, T - 0.5, 0.5))
    axes.set_title(title, fontsize=7)
    axes.set(xticks=SUPERVISED, yticks=SUPERVISED)
    axes.tick_params(length=2, pad=1.5)
    return image


def _outputs(axes: Axes, arch: str, result: dict[str, Any]) -> None:
    teacher = TEACHER.labels(PATTERNS, T - 1)[0]
    column = {name: np.array(result[name])[0] for name in ("theory", "sd", "sampled", "standard_error")}
    colour = COLOURS[arch]
    for t in SUPERVISED:
        axes.axvspan(t - 0.3, t + 0.3, color="0.9", lw=0, zorder=0)
    axes.axhline(0, color="0.7", lw=0.5, zorder=0)
    axes.plot(TIMES, teacher, "x", color="k", ms=5, mew=1, label="teacher")
    axes.plot(TIMES, column["theory"], color=colour, label="theory")
    axes.fill_between(
        TIMES, column["theory"] - 2 * column["sd"], column["theory"] + 2 * column["sd"], color=colour, alpha=0.2, lw=0
    )
    axes.errorbar(
        TIMES, column["sampled"], yerr=2 * column["standard_error"], fmt="D", color=colour, mfc="white",
        label=f"sampled, $N={result['width']}$",
    )  # fmt: skip
    axes.set_ylabel(f"{arch.upper()}: $f^{{\\,t+1}}$")
    axes.set_ylim(-5.2, 8.2)
    axes.legend(loc="upper center", ncols=3, handlelength=1.2, columnspacing=1.0, borderaxespad=0.0)

"""Kernels and predictions of a sequential task from few supervised times."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures import sequential
from derivations.figures.panel import ARCHITECTURES, Effort, Panel, finished_run, named, sampled_networks, save_panel
from derivations.figures.sequential import PATTERNS, SUPERVISED, TEACHER, TIMES, T
from derivations.figures.verdicts import said, together
from numerics.checking.kernels import compare
from numerics.predictors import generalisation
from numerics.predictors.observables import cka
from numerics.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = Panel(
    "6a",
    "sequence-kernels",
    "Kernels and outputs from few supervised times",
    "A rotation teacher, 4 of 7 times supervised (ticks, grey bands). Top: label kernel Y = yyᵀ of all times, and "
    "the learned kernels, first pattern. Bottom: outputs. Lines are the theory at N → ∞, bands two standard "
    "deviations of one network at width N, diamonds means over sampled networks with two standard errors. "
    "Unsupervised, the RNN goes on with the teacher's sequence; the DNN falls back to 0.",
)


SEED = 20260601


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether every sampled output and kernel entry agrees with the theory."""
    results: dict[str, dict[str, Any]] = {}
    for done, arch in enumerate(ARCHITECTURES):
        progress(f"{arch.upper()}: solving and sampling", done, 2)
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
        results[arch] = finished_run(path, settings, partial(network, settings, effort))
    verdicts = [together((result["outputs"]["verdict"], result["kernel_verdict"])) for result in results.values()]
    largest = max(max(result["outputs"]["largest_z"], result["kernel_largest_z"]) for result in results.values())
    summary = (
        f"alignment with Y {results['rnn']['cka']:.2f} (RNN), {results['dnn']['cka']:.2f} (DNN); sampled networks "
        f"{said(verdicts, 'the theory')}; largest |z| {largest:.1f}"
    )
    tables = {"outputs": output_table(results), "kernels": kernel_table(results)}
    return save_panel(PANEL, out, tables, partial(draw, results), verdicts=verdicts, largest_z=largest, summary=summary)


def network(settings: dict[str, Any], effort: Effort) -> dict[str, Any]:
    """Solve the task, sample a network, and compare kernels and outputs."""
    solution = sequential.solved(settings["arch"])
    simulation = sampled_networks(solution.problem, settings, workers=effort.workers)
    comparison = compare(solution, simulation)
    theory = generalisation.training(solution)
    at_width = sequential.outputs_at_width(solution, simulation.width)
    mean, error = simulation.prediction, simulation.prediction_standard_error
    return {
        "kernel": solution.kernel.tolist(),
        "cka": cka(solution.kernel, TEACHER.label_kernel(PATTERNS, T - 1)),
        "kernel_sampled": simulation.kernel_mean.tolist(),
        "kernel_largest_z": float(np.abs(comparison.agreement.z).max()),
        "kernel_verdict": comparison.agreement.verdict,
        "theory": theory.mean.tolist(),
        "theory_at_width": at_width.tolist(),
        "sd": np.sqrt(theory.scaled_variance / simulation.width).tolist(),
        "sampled": mean.tolist(),
        "standard_error": error.tolist(),
        "outputs": sequential.judged_outputs(at_width, mean, error, rhat=simulation.rhat, ess=simulation.ess),
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
    return named(names, rows)


def kernel_table(results: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """One row for each entry of the joint kernels, time-major."""
    kernels = {}
    for arch, result in results.items():
        kernels[f"{arch}_theory"] = np.array(result["kernel"])
        kernels[f"{arch}_sampled"] = np.array(result["kernel_sampled"])
    return sequential.label_kernel_rows(TEACHER, kernels)


def shown(result: dict[str, Any]) -> sequential.Learnt:
    """What is drawn of one architecture."""
    arrays = {name: np.array(result[name]) for name in ("kernel", "sd", "sampled", "standard_error")}
    return sequential.Learnt(outputs=np.array(result["theory"]), cka=result["cka"], width=result["width"], **arrays)


def draw(results: dict[str, dict[str, Any]]) -> Figure:
    """Three kernels above, two rows of outputs below."""
    return sequential.draw_learnt(
        TEACHER, SUPERVISED, {arch: shown(result) for arch, result in results.items()}, (-5.2, 8.2)
    )

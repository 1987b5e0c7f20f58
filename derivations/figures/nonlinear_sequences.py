"""A sequential task learnt by nonlinear networks.

No shift of nonlinear networks at width N is known, so that the sampled kernels of three widths are taken to N → ∞ by
their trend in 1/N before they are compared with the theory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures import sequential
from derivations.figures.panel import (
    Effort,
    Panel,
    finished_runs,
    named,
    sampled_networks,
    save_panel,
)
from derivations.figures.sequential import ARCHITECTURES, PATTERNS
from derivations.figures.verdicts import said
from numerics import Problem, solve
from numerics.checking import agreement
from numerics.inputs.teachers import rotation_teacher
from numerics.nonlinear.solution import nonlinear_state
from numerics.predictors.observables import cka, mean_outputs
from numerics.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = Panel(
    "6f",
    "nonlinear-sequences",
    "The same bias with a nonlinear activation",
    "As 6a, for networks with the activation erf and 3 of 5 times supervised. Lines are the theory of the two "
    "conjugate kernels at N → ∞, diamonds means over sampled networks with two standard errors. At the unsupervised "
    "t = 3 of this pattern the RNN goes part of the teacher's way; at t = 5, beyond the last label, its output has "
    "the wrong sign. The DNN's are 0 at both. The share of the teacher's outputs that is quoted pools both patterns "
    "and both times.",
)


SEED = 20260627
ACTIVATION = "erf"
T, ANGLE, AMPLITUDE, SUPERVISED, KAPPA = 6, 2 * math.pi / 5, 1.5, (1, 2, 4), 0.2
TEACHER = rotation_teacher(ANGLE, AMPLITUDE)
WIDTHS, WIDTHS_QUICK = (64, 128, 256), (32, 64, 128)


def task(arch: str) -> Problem:
    """The panel's task."""
    return TEACHER.problem(T, PATTERNS, SUPERVISED, arch=arch).with_(activation=ACTIVATION, kappa=KAPPA)


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether the sampled kernels' limit agrees with the theory."""
    runs = out / "nonlinear-sequences-runs"
    jobs = {
        runs / f"{settings['arch']}-{settings['width'] or 'theory'}.json": settings for settings in tasks(effort.quick)
    }
    done = finished_runs(jobs, run, effort.workers, progress)
    results = {}
    for arch in ARCHITECTURES:
        own = {
            settings["width"]: result
            for settings, result in zip(jobs.values(), done, strict=True)
            if settings["arch"] == arch
        }
        results[arch] = compared(own.pop(0), own)
    verdicts = [result["verdict"] for result in results.values()]
    unconverged = any(not result["converged"] for result in results.values())
    largest = max(result["largest_z"] for result in results.values())
    teacher = TEACHER.labels(PATTERNS, T - 1)
    free = np.setdiff1d(np.arange(1, T), SUPERVISED) - 1
    share = {
        arch: float(np.sum(np.array(result["outputs"])[:, free] * teacher[:, free]) / np.sum(teacher[:, free] ** 2))
        for arch, result in results.items()
    }
    summary = (
        f"projected on the teacher's, outputs at unsupervised times of both patterns together are {share['rnn']:.2f} "
        f"(RNN) and {share['dnn']:.2f} (DNN) of these; kernels of sampled {ACTIVATION} networks, taken to N → ∞, "
        f"{said(verdicts, 'the theory', why='that has not converged' * unconverged)}; largest |z| {largest:.1f}"
    )
    tables = {"outputs": output_table(results), "kernels": kernel_table(results)}
    return save_panel(PANEL, out, tables, partial(draw, results), verdicts=verdicts, largest_z=largest, summary=summary)


def tasks(quick: bool) -> list[dict[str, Any]]:
    """The theory (width 0) and the networks of each architecture, the longest first."""
    widths = WIDTHS_QUICK if quick else WIDTHS
    return [
        {
            "task": [T, ANGLE, AMPLITUDE, SUPERVISED, KAPPA, ACTIVATION],
            "arch": arch,
            "width": width,
            "chains": 4,
            "steps": 240 if quick else 1500,
            "warmup": 120 if quick else 400,
            "seed": SEED + 10 * place + ARCHITECTURES.index(arch),
        }
        for place, width in enumerate((*reversed(widths), 0))
        for arch in ARCHITECTURES
    ]


def run(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The theory's state, or the mean kernel and outputs of sampled networks."""
    problem = task(settings["arch"])
    if not settings["width"]:
        state = nonlinear_state(solve(problem))
        return {
            "kernel": state.kernel.tolist(),
            "kernel_error": state.kernel_error.tolist(),
            "outputs": mean_outputs(state).tolist(),
            "converged": state.converged,
        }
    simulation = sampled_networks(problem, settings, sampler="hmc-weights")
    return {
        "kernel": simulation.kernel_mean.tolist(),
        "standard_error": simulation.kernel_standard_error.tolist(),
        "outputs": simulation.prediction.tolist(),
        "outputs_standard_error": simulation.prediction_standard_error.tolist(),
        "rhat": simulation.rhat,
        "ess": simulation.ess,
    }


def compared(theory: dict[str, Any], networks: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The limit of the sampled kernels against the theory's, entry by entry."""
    widths = sorted(networks)
    means, errors = ([networks[width][name] for width in widths] for name in ("kernel", "standard_error"))
    trend = agreement.width_trend(widths, means, errors, order=2)
    kernel = np.array(theory["kernel"])
    verdict = agreement.compare(
        kernel,
        trend.limit,
        np.hypot(trend.limit_standard_error, theory["kernel_error"]),
        rhat=max(network["rhat"] for network in networks.values()),
        ess=min(network["ess"] for network in networks.values()),
    )
    last = networks[widths[-1]]
    return {
        "kernel": kernel,
        "cka": cka(kernel, TEACHER.label_kernel(PATTERNS, T - 1)),
        "limit": trend.limit,
        "limit_standard_error": trend.limit_standard_error,
        "outputs": theory["outputs"],
        "sampled": last["outputs"],
        "standard_error": last["outputs_standard_error"],
        "width": widths[-1],
        "verdict": verdict.verdict if theory["converged"] else "undecided",
        "converged": theory["converged"],
        "largest_z": float(np.abs(verdict.z).max()),
        "z": verdict.z,
    }


def output_table(results: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """One row for each architecture, pattern and hidden time."""
    labels = TEACHER.labels(PATTERNS, T - 1)
    names = ("arch", "pattern", "t", "supervised", "teacher", "theory", "width", "sampled", "standard_error")
    rows = [
        (arch, p + 1, t, t in SUPERVISED, labels[p, t - 1], result["outputs"][p][t - 1], result["width"],
         result["sampled"][p][t - 1], result["standard_error"][p][t - 1])
        for arch, result in results.items() for p in range(len(labels)) for t in range(1, T)
    ]  # fmt: skip
    return named(names, rows)


def kernel_table(results: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """One row for each entry of the joint kernels: theory, the sampled kernels' limit N → ∞, its error, and z."""
    kernels = {}
    for arch, result in results.items():
        kernels[f"{arch}_theory"] = result["kernel"]
        kernels |= {f"{arch}_{name}": result[name] for name in ("limit", "limit_standard_error", "z")}
    return sequential.label_kernel_rows(TEACHER, kernels)


def draw(results: dict[str, dict[str, Any]]) -> Figure:
    """Three kernels above, two rows of outputs below."""
    shown = {
        arch: sequential.Learnt(
            kernel=result["kernel"],
            cka=result["cka"],
            outputs=np.array(result["outputs"]),
            sd=None,
            sampled=np.array(result["sampled"]),
            standard_error=np.array(result["standard_error"]),
            width=result["width"],
        )
        for arch, result in results.items()
    }
    return sequential.draw_learnt(TEACHER, SUPERVISED, shown, (-2.7, 4.1))

"""A sequential task learnt by nonlinear networks: sampled kernels against the mean that is predicted at their width."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures import sequential
from derivations.figures.panel import ARCHITECTURES, Effort, Panel, finished_runs, named, sampled_networks, save_panel
from derivations.figures.sequential import PATTERNS
from derivations.figures.verdicts import said
from numerics import Problem, solve
from numerics.checking import agreement
from numerics.checking.weights import phases
from numerics.inputs.teachers import rotation_teacher
from numerics.nonlinear.solution import nonlinear_state
from numerics.predictors.observables import cka
from numerics.progress import Progress
from numerics.results.readout import mean_outputs

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
WIDTH, WIDTH_QUICK = 256, 128


def task(arch: str) -> Problem:
    """The panel's task."""
    return TEACHER.problem(T, PATTERNS, SUPERVISED, arch=arch).with_(activation=ACTIVATION, kappa=KAPPA)


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether the sampled kernels agree with the theory at their width."""
    runs = out / "nonlinear-sequences-runs"
    jobs = {
        runs / f"{each['arch']}-{'sampled' if each['chains'] else 'theory'}.json": each for each in tasks(effort.quick)
    }
    done = dict(zip([path.stem for path in jobs], finished_runs(jobs, run, effort.workers, progress), strict=True))
    results = {arch: compared(done[f"{arch}-theory"], done[f"{arch}-sampled"]) for arch in ARCHITECTURES}
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
        f"(RNN) and {share['dnn']:.2f} (DNN) of these; kernels of sampled {ACTIVATION} networks of width "
        f"{results['rnn']['width']} {said(verdicts, 'the theory', why='that has not converged' * unconverged)}; "
        f"largest |z| {largest:.1f}"
    )
    tables = {"outputs": output_table(results), "kernels": kernel_table(results)}
    return save_panel(PANEL, out, tables, partial(draw, results), verdicts=verdicts, largest_z=largest, summary=summary)


def tasks(quick: bool) -> list[dict[str, Any]]:
    """The networks of each architecture, and its theory (no chains)."""
    return [
        {
            "task": [T, ANGLE, AMPLITUDE, SUPERVISED, KAPPA, ACTIVATION],
            "arch": arch,
            "width": WIDTH_QUICK if quick else WIDTH,
            "chains": chains,
            "steps": 240 if quick else 1500,
            "warmup": 120 if quick else 400,
            "seed": SEED + ARCHITECTURES.index(arch),
        }
        for chains in (4, 0)
        for arch in ARCHITECTURES
    ]


def run(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The theory's state and its mean kernel at the width, or the mean kernel and outputs of sampled networks."""
    problem = task(settings["arch"])
    if not settings["chains"]:
        state = nonlinear_state(solve(problem))
        (phase,) = phases([state], settings["width"])
        return {
            "kernel": state.kernel.tolist(),
            "at_width": phase.kernel.tolist(),
            "at_width_error": phase.kernel_error.tolist(),
            "outputs": mean_outputs(state).tolist(),
            "converged": state.converged,
        }
    simulation = sampled_networks(problem, settings, sampler="hmc-weights")
    return {
        "width": simulation.width,
        "kernel": simulation.kernel_mean.tolist(),
        "standard_error": simulation.kernel_standard_error.tolist(),
        "outputs": simulation.prediction.tolist(),
        "outputs_standard_error": simulation.prediction_standard_error.tolist(),
        "rhat": simulation.rhat,
        "ess": simulation.ess,
    }


def compared(theory: dict[str, Any], networks: dict[str, Any]) -> dict[str, Any]:
    """The sampled kernel against the one predicted at its width, entry by entry."""
    kernel = np.array(theory["kernel"])
    verdict = agreement.compare_means(
        theory["at_width"],
        networks["kernel"],
        np.hypot(networks["standard_error"], theory["at_width_error"]),
        rhat=networks["rhat"],
        ess=networks["ess"],
    )
    return {
        "kernel": kernel,
        "cka": cka(kernel, TEACHER.label_kernel(PATTERNS, T - 1)),
        "at_width": np.array(theory["at_width"]),
        "sampled_kernel": verdict.mean,
        "error": verdict.standard_error,
        "outputs": theory["outputs"],
        "sampled": networks["outputs"],
        "standard_error": networks["outputs_standard_error"],
        "width": networks["width"],
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
    """One row for each entry of the joint kernels: theory, N → ∞ and at the width, sampled, the error, and z."""
    kernels = {}
    for arch, result in results.items():
        kernels[f"{arch}_theory"] = result["kernel"]
        kernels |= {f"{arch}_{name}": result[name] for name in ("at_width", "sampled_kernel", "error", "z")}
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

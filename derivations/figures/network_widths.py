"""Networks of several widths and activations, sampled, and their kernels' limit N → ∞ against the theory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from derivations.figures.panel import finished_runs, sampled_networks
from numerics import endpoint, solve
from numerics.checking import agreement
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, alignment, from_entries
from numerics.nonlinear.solution import nonlinear_state
from numerics.progress import Progress
from numerics.sampling import observables
from numerics.sampling.diagnostics import summarise, summarise_symmetric
from numerics.symmetry import gauge

T, SIGNAL, SEED = 4, 40.0, 20260216
ACTIVATIONS = ("linear", "erf", "tanh", "relu")
ARCHITECTURES = ("rnn", "dnn")
#: Error of the theory's kernel, relative to its largest entry: far below the networks' standard errors.
TOLERANCE = 1e-5
#: Kernels kept of each chain.
KEPT = 250

Case = tuple[str, str]


@dataclass(frozen=True)
class WidthPlan:
    """What is simulated: the networks, their widths, and the length of their chains.

    Attributes:
        cases: activation and architecture.
        widths: N, smallest first.
        chains: of each network.
        steps: of each chain after warm-up.
        warmup: steps thrown away.
    """

    cases: tuple[Case, ...]
    widths: tuple[int, ...]
    chains: int
    steps: int
    warmup: int


@dataclass(frozen=True, eq=False)
class Theory:
    """The theory's kernel at N → ∞, order parameter positive.

    Attributes:
        kernel: Φ, (n, n).
        error: of each entry, from the averages over one neuron; 0 for the linear network.
        one_sign: the state is coherent and has a mirror image under W → -W.
    """

    kernel: FloatArray
    error: FloatArray
    one_sign: bool


def problem(case: Case) -> Problem:
    """Endpoint supervision at the panel's signal, u = v = w = κ = 1."""
    activation, arch = case
    return endpoint(T, SIGNAL, activation=activation, arch=arch)


def predicted(problem: Problem) -> Theory:
    """The state of lowest free energy."""
    if problem.activation.name == "linear":
        state = solve(problem)
        kernel, error = state.kernel, np.zeros_like(state.kernel)
        coherent = state.branch == "coherent"
    else:
        nonlinear = nonlinear_state(solve(problem, tolerance=TOLERANCE))
        if not nonlinear.converged:
            raise ArithmeticError(f"{problem.activation} {problem.arch}: {nonlinear.status}")
        kernel, error = nonlinear.kernel, nonlinear.kernel_error
        coherent = nonlinear.branch == "coherent"
    return Theory(gauge.fixed(problem, kernel, odd=problem.activation.odd), error, coherent)


def simulated(plan: WidthPlan, folder: Path, workers: int, progress: Progress) -> dict[Case, dict[int, dict[str, Any]]]:
    """One network for each case and width, the most expensive first; each finished one is kept in `folder`."""
    tasks = [(case, width) for width in reversed(plan.widths) for case in sorted(plan.cases, key=lambda c: c[1])]
    jobs = {}
    for (activation, arch), width in tasks:
        jobs[folder / f"{activation}-{arch}-{width}.json"] = {
            "T": T,
            "signal": SIGNAL,
            "activation": activation,
            "arch": arch,
            "width": width,
            "chains": plan.chains,
            "steps": plan.steps,
            "warmup": plan.warmup,
            "seed": SEED + width,
        }
    found: dict[Case, dict[int, dict[str, Any]]] = {case: {} for case in plan.cases}
    for (case, width), run in zip(tasks, finished_runs(jobs, network, workers, progress), strict=True):
        found[case][width] = run
    return found


def network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate one network: some of its kernels, and how well its chains have mixed."""
    task = endpoint(settings["T"], settings["signal"], activation=settings["activation"], arch=settings["arch"])
    run = sampled_networks(task, settings)
    every = -(-run.kernels.shape[1] // KEPT)
    upper = np.triu_indices(task.n)
    kernels = run.kernels[:, ::every][:, :, upper[0], upper[1]]
    return {
        "kernels": [[[float(f"{entry:.7g}") for entry in draw] for draw in chain] for chain in kernels],
        "has_sign_symmetry": run.has_sign_symmetry,
        "sign_flips": None if run.sign_flips is None else list(run.sign_flips),
        "acceptance": run.acceptance,
        "seconds": run.seconds,
    }


@dataclass(frozen=True, eq=False)
class Sampled:
    """What is read off the kernels of one network width; each quantity with its standard error.

    Attributes:
        kernel, kernel_error: mean kernel, (n, n).
        ess, rhat: of its worst entry.
        misalignment: 1 - CKA of one network's kernel with the theory's, averaged over networks; value and error.
        of_mean: 1 - CKA of the mean kernel; value and error. The error includes what noise alone would add.
        coherence: of the mean kernel, (n, n).
        autocorrelation: of the mean kernel, values and errors, (2, n).
    """

    kernel: FloatArray
    kernel_error: FloatArray
    ess: float
    rhat: float
    misalignment: tuple[float, float]
    of_mean: tuple[float, float]
    coherence: FloatArray
    autocorrelation: FloatArray


@dataclass(frozen=True, eq=False)
class WidthResult:
    """One activation and architecture at all widths.

    Attributes:
        theory: at N → ∞.
        sampled: by width, smallest first.
        trend: the mean kernel's polynomial in 1/N.
        agreement: of the trend's limit with the theory.
    """

    theory: Theory
    sampled: dict[int, Sampled]
    trend: agreement.WidthTrend
    agreement: agreement.Agreement


def compare(theory: Theory, runs: Mapping[int, Mapping[str, Any]]) -> WidthResult:
    """The limit N → ∞ of the sampled kernels against the theory."""
    sampled = {width: read_off(theory, runs[width]) for width in sorted(runs)}
    means, errors = ([getattr(s, name) for s in sampled.values()] for name in ("kernel", "kernel_error"))
    trend = agreement.width_trend(list(sampled), means, errors, order=2)
    verdict = agreement.compare(
        theory.kernel,
        trend.limit,
        np.hypot(trend.limit_standard_error, theory.error),
        rhat=max(s.rhat for s in sampled.values()),
        ess=min(s.ess for s in sampled.values()),
    )
    return WidthResult(theory, sampled, trend, verdict)


def read_off(theory: Theory, run: Mapping[str, Any]) -> Sampled:
    """Mean kernel, alignment, coherence and autocorrelation of one network."""
    entries = np.array(run["kernels"])
    n = len(theory.kernel)
    kernels = from_entries(entries, n)
    if theory.one_sign and run["has_sign_symmetry"]:
        negative = observables.order_parameter(kernels, 1) < 0
        kernels = np.where(negative[..., None, None], observables.flip_kernel(n, 1) * kernels, kernels)
    summary = summarise_symmetric(kernels)
    single = summarise(1 - alignment(kernels, theory.kernel)[..., None])
    of_mean, error = propagated(kernels, lambda kernel: 1 - alignment(kernel, theory.kernel)[..., None])
    # Where the mean kernel is right, 1 - CKA is the square of its noise, which the slope does not see.
    noise = 0.5 * np.sum(summary.standard_error**2) / np.sum(summary.mean**2)
    return Sampled(
        kernel=summary.mean,
        kernel_error=summary.standard_error,
        ess=float(summary.ess.min()),
        rhat=float(summary.rhat.max()),
        misalignment=(float(single.mean[0]), float(single.standard_error[0])),
        of_mean=(float(of_mean[0]), float(np.hypot(error[0], noise))),
        coherence=observables.coherence(summary.mean, 1),
        autocorrelation=np.stack(propagated(kernels, lambda kernel: observables.autocorrelation(kernel, 1))),
    )


def propagated(kernels: FloatArray, function: Callable[[FloatArray], FloatArray]) -> tuple[FloatArray, FloatArray]:
    """A function of the mean kernel and its standard error, from its slope along each draw's deviation."""
    mean, step = kernels.mean(axis=(0, 1)), 1e-4
    deviation = step * (kernels - mean)
    slope = (function(mean + deviation) - function(mean - deviation)) / (2 * step)
    value = function(mean)
    return value, summarise(value + slope).standard_error


def exponent(result: WidthResult) -> tuple[float, float]:
    """The power of N with which 1 - CKA of one network falls, and its standard error: a line through the logarithms."""
    value, error = np.array([s.misalignment for s in result.sampled.values()]).T
    x, weight = np.log(np.array(list(result.sampled))), (value / error) ** 2
    centred = x - np.average(x, weights=weight)
    spread = np.sum(weight * centred**2)
    return float(np.sum(weight * centred * np.log(value)) / spread), float(1 / np.sqrt(spread))

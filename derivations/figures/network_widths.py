"""Networks of several widths and activations, sampled, and the theory at each width; nothing is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from derivations.figures.panel import finished_runs, sampled_networks
from derivations.figures.verdicts import together
from numerics import endpoint, solve
from numerics.checking import agreement
from numerics.checking.weights import phases
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, alignment, from_entries
from numerics.predictors.at_width import (
    AtWidth,
    Misalignment,
    autocorrelation_at_width,
    coherence_at_width,
    misalignment,
    misalignment_beyond,
)
from numerics.predictors.finite_width import kernel_shift
from numerics.progress import Progress
from numerics.results.solution import Solution
from numerics.sampling import observables
from numerics.sampling.diagnostics import summarise, summarise_symmetric
from numerics.sampling.result import Simulation

T, SIGNAL, SEED = 4, 40.0, 20260216
ACTIVATIONS = ("linear", "erf", "tanh", "relu")
#: Largest z of an alignment that is called agreement.
MOST = 4.0
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
        signal: λ.
        sharp: mean kernels have the noise taken out that control variates explain, where no sign is open.
    """

    cases: tuple[Case, ...]
    widths: tuple[int, ...]
    chains: int
    steps: int
    warmup: int
    signal: float = SIGNAL
    sharp: bool = False


@dataclass(frozen=True, eq=False)
class Theory:
    """What is predicted of networks of any width, in the sign that `solve` gives: order parameter positive.

    Attributes:
        state: of lowest free energy.
        kernel: Φ, N → ∞, (n, n).
        one_sign: the state is coherent and has a mirror image under W → -W.
        shift: the mean kernel is ``kernel + shift/N`` to first order, (n, n).
        misalignment: 1 - CKA with `kernel`.
        coherence, autocorrelation: of one network.
    """

    state: Solution
    kernel: FloatArray
    one_sign: bool
    shift: FloatArray
    misalignment: Misalignment
    coherence: AtWidth
    autocorrelation: AtWidth

    def at(self, width: int) -> tuple[FloatArray, FloatArray]:
        """The mean kernel at a width, and its error, (n, n): from the exact density where it is known."""
        (phase,) = phases([self.state], width)
        return phase.kernel, phase.kernel_error


def problem(case: Case, signal: float = SIGNAL) -> Problem:
    """Endpoint supervision, u = v = w = κ = 1."""
    activation, arch = case
    return endpoint(T, signal, activation=activation, arch=arch)


def predicted(problem: Problem) -> Theory:
    """The theory's predictions for the state of lowest free energy."""
    state = solve(problem)
    if not state.converged:
        raise ArithmeticError(f"{problem.activation} {problem.network}: {state.status}")
    return Theory(
        state,
        state.kernel,
        state.branch == "coherent",
        kernel_shift(state),
        misalignment(state),
        coherence_at_width(state),
        autocorrelation_at_width(state),
    )


def simulated(plan: WidthPlan, folder: Path, workers: int, progress: Progress) -> dict[Case, dict[int, dict[str, Any]]]:
    """One network for each case and width, the most expensive first; each finished one is kept in `folder`."""
    tasks = [(case, width) for width in reversed(plan.widths) for case in sorted(plan.cases, key=lambda c: c[1])]
    jobs = {}
    for (activation, arch), width in tasks:
        jobs[folder / f"{activation}-{arch.replace(':', '-')}-{width}.json"] = {
            "T": T,
            "signal": plan.signal,
            "activation": activation,
            "arch": arch,
            "width": width,
            "chains": plan.chains,
            "steps": plan.steps,
            "warmup": plan.warmup,
            "seed": SEED + width,
            "sharp": plan.sharp,
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
        **(controlled_mean(run) if settings["sharp"] else {}),
        "has_sign_symmetry": run.has_sign_symmetry,
        "sign_flips": None if run.sign_flips is None else list(run.sign_flips),
        "acceptance": run.acceptance,
        "seconds": run.seconds,
    }


def controlled_mean(run: Simulation) -> dict[str, Any]:
    """The mean kernel with the noise taken out that control variates explain, in the sign that each chain has."""
    seen = run.kernel_controlled
    return {} if seen is None else {"mean": seen.mean.tolist(), "mean_error": seen.standard_error.tolist()}


@dataclass(frozen=True, eq=False)
class Sampled:
    """What is read off the kernels of one network width.

    Attributes:
        kernel, kernel_error: mean kernel and its standard error, (n, n).
        unsure: error of the kernel that is predicted, (n, n).
        ess, rhat: of its worst entry.
        misalignment: 1 - CKA of one network's kernel with the theory's, N → ∞: mean over networks, and its error.
        of_mean: 1 - CKA of the mean kernel, and its error, which includes what noise alone would add.
        coherence: mean over networks, (n, n).
        autocorrelation: mean over networks, its error, and its standard deviation over networks, (3, n).
        agreement: of the mean kernel with the one predicted at this width.
    """

    kernel: FloatArray
    kernel_error: FloatArray
    unsure: FloatArray
    ess: float
    rhat: float
    misalignment: tuple[float, float]
    of_mean: tuple[float, float]
    coherence: FloatArray
    autocorrelation: FloatArray
    agreement: agreement.Agreement


@dataclass(frozen=True, eq=False)
class WidthResult:
    """One activation and architecture at all widths.

    Attributes:
        theory: the prediction.
        sampled: by width, smallest first.
    """

    theory: Theory
    sampled: dict[int, Sampled]

    @property
    def misalignment_z(self) -> float:
        """1 - CKA of one network at the largest width less c/N, over its error and the size of the next order."""
        width = max(self.sampled)
        value, error = self.sampled[width].misalignment
        beyond = misalignment_beyond(self.theory.state, width)
        return (value - self.theory.misalignment.single / width) / float(np.hypot(error, beyond))

    @property
    def verdict(self) -> agreement.Verdict:
        """Whether the mean kernel is the predicted one at every width, and the alignment at the largest."""
        of_kernels = [part.agreement.verdict for part in self.sampled.values()]
        mixed = self.sampled[max(self.sampled)].agreement.mixed
        return together([*of_kernels, agreement.judged(abs(self.misalignment_z) < MOST, mixed)])

    @property
    def largest_z(self) -> float:
        """Of an entry, over all widths."""
        return max(float(np.abs(sampled.agreement.z).max()) for sampled in self.sampled.values())


def compare_widths(theory: Theory, runs: Mapping[int, Mapping[str, Any]]) -> WidthResult:
    """The sampled kernels against the theory at each width."""
    return WidthResult(theory, {width: read_off(theory, width, runs[width]) for width in sorted(runs)})


def read_off(theory: Theory, width: int, run: Mapping[str, Any]) -> Sampled:
    """Mean kernel, alignment, coherence and autocorrelation of one width's networks."""
    entries = np.array(run["kernels"])
    kernels = from_entries(entries, len(theory.kernel))
    if theory.one_sign and run["has_sign_symmetry"]:
        negative = observables.order_parameter(kernels, 1) < 0
        kernels = np.where(negative[..., None, None], observables.flip_kernel(len(theory.kernel), 1) * kernels, kernels)
    summary = summarise_symmetric(kernels)
    single = summarise(1 - alignment(kernels, theory.kernel)[..., None])
    of_mean, error = propagated(kernels, lambda kernel: 1 - alignment(kernel, theory.kernel)[..., None])
    # Where the mean kernel is right, 1 - CKA is the square of its noise, which the slope does not see.
    noise = 0.5 * np.sum(summary.standard_error**2) / np.sum(summary.mean**2)
    correlations = observables.autocorrelation(kernels, 1)
    of_lag = summarise(correlations)
    at_width, theory_error = theory.at(width)
    mean, mean_error = summary.mean, summary.standard_error
    if "mean" in run and not theory.one_sign:
        mean, mean_error = np.array(run["mean"]), np.array(run["mean_error"])
    return Sampled(
        kernel=mean,
        kernel_error=mean_error,
        unsure=theory_error,
        ess=float(summary.ess.min()),
        rhat=float(summary.rhat.max()),
        misalignment=(float(single.mean[0]), float(single.standard_error[0])),
        of_mean=(float(of_mean[0]), float(np.hypot(error[0], noise))),
        coherence=observables.coherence(kernels, 1).mean(axis=(0, 1)),
        autocorrelation=np.stack([of_lag.mean, of_lag.standard_error, correlations.std(axis=(0, 1))]),
        agreement=agreement.compare_means(
            at_width,
            mean,
            np.hypot(mean_error, theory_error),
            rhat=float(summary.rhat.max()),
            ess=float(summary.ess.min()),
        ),
    )


def propagated(kernels: FloatArray, function: Callable[[FloatArray], FloatArray]) -> tuple[FloatArray, FloatArray]:
    """A function of the mean kernel and its standard error, from its slope along each draw's deviation."""
    mean, step = kernels.mean(axis=(0, 1)), 1e-4
    deviation = step * (kernels - mean)
    slope = (function(mean + deviation) - function(mean - deviation)) / (2 * step)
    value = function(mean)
    return value, summarise(value + slope).standard_error

"""Networks of finite width against the theory at N → ∞, endpoint supervision, T = 4 (the poster's section 4).

(a) One network's kernel aligns with the theory's as N grows: 1 - CKA, averaged over sampled networks, falls as 1/N
(lines), and that of the mean kernel (small markers) faster. (b) Alignment forgives much, so each entry of the mean
kernel is held against the theory: ⟨Φ⟩_N is fitted by Φ_∞ + a/N + b/N² over the widths, and the difference of Φ_∞ from
the theory is shown in standard errors. (c, d) Temporal coherence and autocorrelation are right already at N = 64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.panel import Effort, Panel, Progress, finished_runs, save_figure, save_table, styled
from numerics import endpoint, solve
from numerics.checking import agreement
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, alignment
from numerics.nonlinear.solution import nonlinear_state
from numerics.sampling import observables, simulate
from numerics.sampling.diagnostics import summarise, summarise_symmetric
from numerics.symmetry import gauge

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = Panel(
    "4",
    "trained-networks",
    "The theory describes trained networks",
    "Networks of width N against the theory at N → ∞, endpoint supervision, T = 4. (a) 1 - CKA of one network's "
    "kernel with the theory's falls as 1/N. (b) Each entry of the mean kernel, taken to N → ∞ by its measured trend "
    "in 1/N, less the theory, in standard errors. (c) Temporal coherence and (d) autocorrelation are right already "
    "at N = 64.",
)


T, SIGNAL, SEED = 4, 40.0, 20260216
#: Width at which coherence and autocorrelation are shown.
SHOWN = 64
ACTIVATIONS = ("linear", "erf", "tanh", "relu")
ARCHITECTURES = ("rnn", "dnn")
#: Error of the theory's kernel, relative to its largest entry: far below the networks' standard errors.
TOLERANCE = 1e-5
#: Kernels kept of each chain.
KEPT = 250
COLOURS = {"linear": "C0", "erf": "C1", "tanh": "C2", "relu": "C3"}
NAMES = {"linear": "linear", "erf": "erf", "tanh": "tanh", "relu": "ReLU"}

Case = tuple[str, str]


@dataclass(frozen=True)
class Plan:
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


FULL = Plan(tuple((a, r) for a in ACTIVATIONS for r in ARCHITECTURES), (32, 64, 128, 256, 512, 1024), 4, 2000, 300)
#: The widest networks take most of the time.
QUICK = Plan(
    tuple(case for case in FULL.cases if case not in (("tanh", "dnn"), ("relu", "dnn"))),
    (32, 64, 128, 256, 512),
    2,
    800,
    150,
)


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


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; the files made, and whether every entry's limit agrees with the theory."""
    return make_plan(QUICK if effort.quick else FULL, out, effort.workers, progress)


def make_plan(plan: Plan, out: Path, workers: int, progress: Progress) -> dict[str, Any]:
    """The panel of a plan."""
    theories = {case: predicted(problem(case)) for case in plan.cases}
    runs = simulated(plan, out / "trained-networks-runs", workers, progress)
    results = {case: compare(theories[case], runs[case]) for case in plan.cases}
    tables = {
        "alignment": alignment_table(results),
        "kernel": kernel_table(results),
        "autocorrelation": autocorrelation_table(results),
    }
    paths = [out / f"trained-networks-{name}.csv" for name in tables]
    for path, table in zip(paths, tables.values(), strict=True):
        save_table(table, path)
    with styled():
        from matplotlib import pyplot as plt

        figure = plt.figure(figsize=(3.4, 6.6))
        draw(figure, results)
        files = save_figure(figure, out, "trained-networks")
    verdicts = [result.agreement for result in results.values()]
    agrees = all(verdict.agrees for verdict in verdicts)
    worst = max(float(np.abs(verdict.z).max()) for verdict in verdicts)
    exponents = [exponent(result)[0] for result in results.values()]
    return {
        "files": [str(path) for path in (*files, *paths)],
        "agrees": agrees,
        "largest_z": worst,
        "reasons": {" ".join(case): result.agreement.reason for case, result in results.items()},
        "summary": (
            f"trained-networks: the limits N → ∞ of {len(results)} networks' kernels "
            f"{'agree with' if agrees else 'DISAGREE with'} the theory, largest |z| of an entry {worst:.1f}; "
            f"1 - CKA of one network falls as N to the power {min(exponents):.2f} … {max(exponents):.2f}"
        ),
    }


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


def simulated(plan: Plan, folder: Path, workers: int, progress: Progress) -> dict[Case, dict[int, dict[str, Any]]]:
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
    options = {name: settings[name] for name in ("chains", "steps", "warmup", "seed")}
    run = simulate(task, settings["width"], workers=1, **options)
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
class Result:
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


def compare(theory: Theory, runs: Mapping[int, Mapping[str, Any]]) -> Result:
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
    return Result(theory, sampled, trend, verdict)


def read_off(theory: Theory, run: Mapping[str, Any]) -> Sampled:
    """Mean kernel, alignment, coherence and autocorrelation of one network."""
    entries = np.array(run["kernels"])
    n = len(theory.kernel)
    rows, columns = np.triu_indices(n)
    kernels = np.empty((*entries.shape[:2], n, n))
    kernels[:, :, rows, columns] = kernels[:, :, columns, rows] = entries
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


def exponent(result: Result) -> tuple[float, float]:
    """The power of N with which 1 - CKA of one network falls, and its standard error: a line through the logarithms."""
    value, error = np.array([s.misalignment for s in result.sampled.values()]).T
    x, weight = np.log(np.array(list(result.sampled))), (value / error) ** 2
    centred = x - np.average(x, weights=weight)
    spread = np.sum(weight * centred**2)
    return float(np.sum(weight * centred * np.log(value)) / spread), float(1 / np.sqrt(spread))


def alignment_table(results: Mapping[Case, Result]) -> dict[str, list[Any]]:
    """1 - CKA at each width."""
    table: dict[str, list[Any]] = {}
    for (activation, arch), result in results.items():
        for width, sampled in result.sampled.items():
            row = {
                "activation": activation,
                "arch": arch,
                "width": width,
                "misalignment": sampled.misalignment[0],
                "misalignment_error": sampled.misalignment[1],
                "misalignment_of_mean": sampled.of_mean[0],
                "misalignment_of_mean_error": sampled.of_mean[1],
                "ess": sampled.ess,
                "rhat": sampled.rhat,
            }
            for name, value in row.items():
                table.setdefault(name, []).append(value)
    return table


def kernel_table(results: Mapping[Case, Result]) -> dict[str, list[Any]]:
    """Each independent entry: theory, limit of the sampled means, coefficient of 1/N, z, and the means by width."""
    table: dict[str, list[Any]] = {}
    for (activation, arch), result in results.items():
        for i, j in zip(*np.triu_indices(len(result.theory.kernel)), strict=True):
            row = {
                "activation": activation,
                "arch": arch,
                "t": i + 1,
                "s": j + 1,
                "theory": result.theory.kernel[i, j],
                "limit": result.trend.limit[i, j],
                "limit_error": result.trend.limit_standard_error[i, j],
                "shift": result.trend.coefficients[1, i, j],
                "shift_error": result.trend.standard_errors[1, i, j],
                "z": result.agreement.z[i, j],
            }
            for width, sampled in result.sampled.items():
                row[f"mean_{width}"] = sampled.kernel[i, j]
                row[f"mean_{width}_error"] = sampled.kernel_error[i, j]
            for name, value in row.items():
                table.setdefault(name, []).append(value)
    return table


def autocorrelation_table(results: Mapping[Case, Result]) -> dict[str, list[Any]]:
    """Autocorrelation of the theory and of each width, by lag."""
    table: dict[str, list[Any]] = {}
    for (activation, arch), result in results.items():
        for lag, theory in enumerate(observables.autocorrelation(result.theory.kernel, 1)):
            row = {"activation": activation, "arch": arch, "lag": lag, "theory": theory}
            for width, sampled in result.sampled.items():
                row[f"sampled_{width}"], row[f"sampled_{width}_error"] = sampled.autocorrelation[:, lag]
            for name, value in row.items():
                table.setdefault(name, []).append(value)
    return table


def draw(figure: Any, results: Mapping[Case, Result]) -> None:
    """The four parts, one below the other."""
    parts = figure.subplot_mosaic(
        [["alignment", "alignment"], ["z", "z"], ["rnn", "dnn"], ["lag", "lag"]], height_ratios=[1.5, 0.9, 1.1, 1.1]
    )
    draw_alignment(parts["alignment"], results)
    draw_z(parts["z"], results)
    shown = "erf" if ("erf", "rnn") in results else next(iter(results))[0]
    for arch in ARCHITECTURES:
        draw_coherence(parts[arch], results, (shown, arch))
    draw_autocorrelation(parts["lag"], results)
    for axes, letter in zip((parts["alignment"], parts["z"], parts["rnn"], parts["lag"]), "abcd", strict=True):
        axes.annotate(
            letter, (0, 1), xycoords="axes fraction", xytext=(-30, 4), textcoords="offset points", fontweight="bold"
        )


def draw_alignment(axes: Axes, results: Mapping[Case, Result]) -> None:
    """1 - CKA against N on logarithmic axes: of one network, with its 1/N line, and of the mean kernel."""
    for (activation, arch), result in results.items():
        colour, fill = COLOURS[activation], COLOURS[activation] if arch == "rnn" else "white"
        widths = np.array(list(result.sampled))
        value, error = np.array([s.misalignment for s in result.sampled.values()]).T
        label = f"{NAMES[activation]}, {arch.upper()}"
        axes.errorbar(widths, value, yerr=2 * error, fmt="o", color=colour, mfc=fill, label=label, zorder=3)
        line = np.average(widths * value, weights=(widths * error) ** -2.0)
        axes.plot(widths, line / widths, color=colour, lw=0.7, ls="-" if arch == "rnn" else "--")
        if arch == "rnn":
            value, error = np.array([s.of_mean for s in result.sampled.values()]).T
            clear = value > 2 * error
            axes.errorbar(widths[clear], value[clear], yerr=2 * error[clear], fmt=".", ms=3, lw=0.6, color=colour)
    axes.set(xscale="log", yscale="log", xlabel="width $N$", ylabel="1 − CKA with the theory")
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    axes.legend(
        ncols=3, loc="lower center", bbox_to_anchor=(0.45, 1.0), handletextpad=0.2, columnspacing=0.8, borderaxespad=0
    )


def draw_z(axes: Axes, results: Mapping[Case, Result]) -> None:
    """Every entry's z of the limit, in a column for each network, with the limit beyond which it would disagree."""
    for column, ((activation, arch), result) in enumerate(results.items()):
        z = result.agreement.z[np.triu_indices(len(result.agreement.z))]
        spread = column + np.linspace(-0.25, 0.25, len(z))
        fill = COLOURS[activation] if arch == "rnn" else "white"
        axes.plot(spread, z, "o", color=COLOURS[activation], mfc=fill, ms=3)
    limit = max(result.agreement.z_limit for result in results.values())
    axes.axhspan(-2, 2, color="0.93", zorder=0)
    for edge in (-limit, limit):
        axes.axhline(edge, color="0.4", lw=0.6, ls=":")
    names = [f"{NAMES[activation]}\n{arch.upper()}" for activation, arch in results]
    axes.set_xticks(range(len(results)), names, fontsize=6)
    axes.set(ylabel=r"$z$ of $\Phi_\infty$")
    top = max(1.25 * limit, *(1.1 * float(np.abs(result.agreement.z).max()) for result in results.values()))
    axes.set_ylim(-top, top)


def draw_coherence(axes: Axes, results: Mapping[Case, Result], case: Case) -> None:
    """Temporal coherence: the theory above the diagonal, networks of width `SHOWN` below it."""
    result = results[case]
    theory, sampled = observables.coherence(result.theory.kernel, 1), result.sampled[SHOWN].coherence
    n = len(theory)
    both = np.where(np.arange(n)[:, None] < np.arange(n), theory, sampled)
    axes.imshow(both, vmin=0, vmax=1, cmap="Blues")
    for i in range(n):
        for j in range(n):
            if i != j:
                colour = "white" if both[i, j] > 0.6 else "black"
                text = f"{both[i, j]:z.2f}".replace("-", "−")
                axes.text(j, i, text, ha="center", va="center", fontsize=6, color=colour)
    axes.plot([-0.5, n - 0.5], [-0.5, n - 0.5], color="white", lw=1)
    axes.set_xticks(range(n), [str(t + 1) for t in range(n)])
    axes.set_yticks(range(n), [str(t + 1) for t in range(n)])
    axes.set_title(f"{NAMES[case[0]]} {case[1].upper()}", loc="left")
    axes.set_xlabel("$t$ (above: theory)")
    axes.set_ylabel(f"$t'$ (below: $N={SHOWN}$)")


def draw_autocorrelation(axes: Axes, results: Mapping[Case, Result]) -> None:
    """Autocorrelation against the lag: lines are the theory, markers networks of width `SHOWN`."""
    for (activation, arch), result in results.items():
        theory = observables.autocorrelation(result.theory.kernel, 1)
        value, error = result.sampled[SHOWN].autocorrelation
        colour, fill = COLOURS[activation], COLOURS[activation] if arch == "rnn" else "white"
        lag = np.arange(len(theory))
        axes.plot(lag, theory, color=colour, ls="-" if arch == "rnn" else "--", zorder=1)
        axes.errorbar(lag, value, yerr=2 * error, fmt="o", color=colour, mfc=fill, zorder=2)
    axes.set_xticks(lag)
    axes.set(xlabel="lag $t-t'$", ylabel="autocorrelation", ylim=(-0.08, 1.05))

"""How many labels each network needs.

Error of the mean outputs over all times and input directions, ``Σ(⟨f⟩ - y)²/Σy²``; outputs of 0 have error 1, and the
DNN's cannot fall below the share of the labels at unsupervised times. (a) Times 1, 2, 4, 7, 5, 3, 6 are supervised in
this order, with all patterns known. (b) The teacher rotates two of four input dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures import sequential
from derivations.figures.panel import (
    ARCHITECTURES,
    COLOURS,
    Effort,
    Panel,
    finished_runs,
    in_columns,
    sampled_networks,
    save_panel,
)
from derivations.figures.sequential import PATTERNS, TEACHER, T, W
from derivations.figures.verdicts import said
from numerics import Problem, solve
from numerics.inputs.teachers import Teacher, orthonormal_patterns, random_patterns
from numerics.progress import Progress
from numerics.results.readout import mean_outputs
from numerics.sampling.diagnostics import summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from numerics.sampling import Simulation

PANEL = Panel(
    "6c",
    "sample-efficiency",
    "Shared weights learn from fewer labels, if not from the fewest",
    "Error of the mean outputs over all times and input directions, relative to the labels: against (a) the number "
    "of supervised times and (b) the number of random patterns in four dimensions. With one or two supervised times "
    "both architectures do alike, and from a single pattern the RNN does worse: what it carries to other times is "
    "wrong there. Beyond that it needs fewer labels. Lines are the theory at N → ∞, diamonds sampled networks with "
    "two standard errors, dashes the theory at their width.",
)


SEED = 20260613
#: Supervised times are added in this order.
ADDED = (1, 2, 4, 7, 5, 3, 6)
#: Second task: the same rotation, of two out of four input dimensions (the scale keeps the labels' size), and random
#: patterns.
HIDDEN = Teacher(TEACHER.V, TEACHER.W, math.sqrt(2) * np.eye(2, 4))
FEW_TIMES, FEW_SUPERVISED = 6, (1, 2, 4)
PATTERN_COUNTS = (1, 2, 3, 4, 6)
#: Counts at which networks are sampled.
SAMPLED = {"times": (2, 4, 6), "patterns": (1, 2, 3, 4)}
SAMPLED_QUICK = {"times": (2, 4), "patterns": (2,)}
#: The DNN's unsupervised layers are free to turn, and mix more slowly.
QUICK_STEPS = {"rnn": 90, "dnn": 180}
DRAWN = random_patterns(max(PATTERN_COUNTS), HIDDEN.D, np.random.default_rng(5))
AXES = {"times": "supervised times", "patterns": "training patterns"}


def problem(axis: str, count: int, arch: str) -> Problem:
    """The task with this many supervised times or patterns."""
    if axis == "times":
        return sequential.task(arch, ADDED[:count])
    return HIDDEN.problem(FEW_TIMES, DRAWN[:count], FEW_SUPERVISED, arch=arch, w=W)


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve every task, sample some, draw and save; whether every sampled output agrees with the theory."""
    runs = out / "sample-efficiency-runs"
    jobs = {
        runs / f"{task['axis']}-{task['arch']}-{task['count']}.json": task | {"seed": SEED + number}
        for number, task in enumerate(tasks(effort.quick))
    }
    table = in_columns(finished_runs(jobs, point, effort.workers, progress))
    sampled = [i for i, width in enumerate(table["width"]) if width]
    verdicts = [table["verdict"][i] for i in sampled]
    largest = max(table["largest_z"][i] for i in sampled)
    few = {arch: _theory(table, "times", arch)[3] for arch in ARCHITECTURES}
    summary = (
        f"error with 4 of 7 times supervised {few['rnn']:.2f} (RNN), {few['dnn']:.2f} (DNN); {len(sampled)} sampled "
        f"networks {said(verdicts, 'the theory')}; largest |z| of an output {largest:.1f}"
    )
    return save_panel(
        PANEL, out, {"": table}, partial(draw, table), verdicts=verdicts, largest_z=largest, summary=summary
    )


def tasks(quick: bool) -> Iterator[dict[str, Any]]:
    """Every task, with the network that is sampled of it; none where there are no steps."""
    for axis, counts in (("times", range(1, T)), ("patterns", PATTERN_COUNTS)):
        for arch, count in product(ARCHITECTURES, counts):
            trained = problem(axis, count, arch)
            with_network = count in (SAMPLED_QUICK if quick else SAMPLED)[axis]
            yield {
                "task": [trained.x[:, 0].ravel().tolist(), trained.labels.tolist(), trained.supervised.tolist()],
                "axis": axis,
                "count": count,
                "arch": arch,
                "width": 64 if quick else 256,
                "chains": 4,
                "steps": (QUICK_STEPS[arch] if quick else 2000) if with_network else 0,
                "warmup": 90 if quick else 500,
            }


def point(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The theory's error of one task, and a sampled network's where one is asked for."""
    axis, count, arch = settings["axis"], settings["count"], settings["arch"]
    solution = solve(problem(axis, count, arch))
    row: dict[str, Any] = {
        "axis": axis, "count": count, "arch": arch, "theory": error(axis, solution.problem, mean_outputs(solution)),
        "converged": solution.converged, "width": 0, "theory_at_width": "", "sampled": "", "standard_error": "",
        "largest_z": "", "rhat": "", "ess": "", "verdict": "",
    }  # fmt: skip
    if not settings["steps"]:
        return row
    simulation = sampled_networks(solution.problem, settings)
    at_width = sequential.outputs_at_width(solution, simulation.width)
    mean, standard_error = simulation.prediction, simulation.prediction_standard_error
    mixed = summarise(simulation.outputs)
    compared = sequential.judged_outputs(
        at_width, mean, standard_error, rhat=float(mixed.rhat.max()), ess=float(mixed.ess.min())
    )
    value, spread = sampled_error(axis, simulation)
    return row | {
        "width": simulation.width, "theory_at_width": error(axis, solution.problem, at_width), "sampled": value,
        "standard_error": spread, **{name: compared[name] for name in ("largest_z", "rhat", "ess", "verdict")},
    }  # fmt: skip


def setting(axis: str) -> tuple[Teacher, int]:
    """The teacher and the number of hidden times of the task."""
    return (TEACHER, T - 1) if axis == "times" else (HIDDEN, FEW_TIMES - 1)


def directions(axis: str, trained: Problem) -> tuple[np.ndarray, np.ndarray, float]:
    """Labels of every input direction, (D, n), how they depend on the training patterns, (D, P), and Σy².

    A linear network's outputs are linear in x⁰. What is orthogonal to all training patterns meets columns of U that
    nothing has taught, whose law is even: ⟨f⟩ = 0 there, at every width.
    """
    teacher, n = setting(axis)
    basis = orthonormal_patterns(teacher.D)
    labels = teacher.labels(basis, n)
    return labels, np.asarray(basis @ np.linalg.pinv(trained.x[:, 0])), float(np.sum(labels**2))


def error(axis: str, trained: Problem, outputs: np.ndarray) -> float:
    """``Σ(⟨f⟩ - y)²/Σy²`` over all times and input directions, from the training patterns' mean outputs (P, n)."""
    labels, combination, size = directions(axis, trained)
    return float(np.sum((combination @ outputs - labels) ** 2) / size)


def sampled_error(axis: str, simulation: Simulation) -> tuple[float, float]:
    """The same from a simulation, free of the bias that squared noise adds, and its standard error.

    The error is a function of the mean outputs; its standard error is that of the series linearised around the mean.
    """
    labels, combination, size = directions(axis, simulation.problem)
    outputs = simulation.outputs[:, :, : simulation.problem.P]
    missing = combination @ simulation.prediction - labels
    slope = 2 * combination.T @ missing / size
    linear = np.sum(slope * outputs, axis=(-2, -1))
    spread = float(np.ravel(summarise(linear[..., None]).standard_error)[0])
    noise = summarise(np.einsum("dp,cspn->csdn", combination, outputs)).standard_error
    return float((np.sum(missing**2) - np.sum(noise**2)) / size), spread


def _theory(table: dict[str, list[Any]], axis: str, arch: str) -> list[float]:
    rows = zip(table["axis"], table["arch"], table["theory"], strict=True)
    return [value for a, b, value in rows if (a, b) == (axis, arch)]


def draw(table: dict[str, list[Any]]) -> Figure:
    """Both panels side by side."""
    from matplotlib import pyplot as plt

    figure, both = plt.subplots(1, 2, figsize=(3.4, 2.6), sharey=True)
    for axes, axis, letter in zip(both, AXES, "ab", strict=True):
        for arch in ARCHITECTURES:
            _lines(axes, table, axis, arch)
        axes.set_xlabel(AXES[axis])
        axes.set_title(f"({letter})", loc="left")
    counts = np.arange(1, T)
    both[0].plot(counts, 1 - _share(), color="k", ls=":", lw=0.8, label="unsupervised share")
    both[0].set(ylabel="error / label power", xticks=counts, ylim=(-0.03, 1.03))
    both[1].set(xticks=PATTERN_COUNTS)
    handles = dict(zip(*reversed(both[0].get_legend_handles_labels()), strict=True))
    order = [f"{arch.upper()}, {what}" for what in ("theory", "sampled") for arch in ARCHITECTURES]
    order = [*order, *(label for label in handles if label not in order)]
    figure.legend(
        [handles[label] for label in order], order, loc="outside lower center", ncols=3, handlelength=1.4,
        columnspacing=0.8, handletextpad=0.4,
    )  # fmt: skip
    return figure


def _share() -> np.ndarray:
    """Share of the labels' power at the supervised times."""
    power = np.sum(TEACHER.labels(PATTERNS, T - 1) ** 2, axis=0)
    return np.asarray(np.cumsum(power[np.array(ADDED) - 1]) / power.sum())


def _lines(axes: Axes, table: dict[str, list[Any]], axis: str, arch: str) -> None:
    rows = [i for i in range(len(table["axis"])) if (table["axis"][i], table["arch"][i]) == (axis, arch)]
    networks = [i for i in rows if table["width"][i]]

    def column(name: str, chosen: list[int]) -> list[Any]:
        return [table[name][i] for i in chosen]

    name, colour = arch.upper(), COLOURS[arch]
    axes.plot(column("count", rows), column("theory", rows), ".-", ms=4, color=colour, label=f"{name}, theory")
    counts = column("count", networks)
    axes.plot(counts, column("theory_at_width", networks), "_", color="k", ms=9, mew=1.1, zorder=4,
              label=f"theory, $N={table['width'][networks[0]]}$" if arch == "rnn" else None)  # fmt: skip
    axes.errorbar(counts, column("sampled", networks), yerr=2 * np.array(column("standard_error", networks)), fmt="D",
                  color=colour, mfc="white", zorder=3, label=f"{name}, sampled")  # fmt: skip

"""What the panels on sequential tasks share: the task, its sampled networks, and how their outputs agree.

Teacher: a rotation by 2π/5 in a plane; 4 of 7 times are supervised, two of them neighbours (labels whose times all are
apart by multiples of g leave the teacher's eigenvalues open up to a g-th root of unity). w = 0.3, so that the bulk of
W, of radius √w, leaves the unit circle free.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from derivations.figures.panel import COLOURS
from numerics import solve
from numerics.checking.agreement import FAMILY_LEVEL, judged
from numerics.inputs.teachers import Teacher, orthonormal_patterns, rotation_teacher
from numerics.predictors.output_shift import output_shift
from numerics.sampling.diagnostics import have_mixed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from numerics import Problem, Solution

T, ANGLE, AMPLITUDE, SUPERVISED, W = 8, 2 * math.pi / 5, 3.0, (1, 2, 4, 7), 0.3
TEACHER = rotation_teacher(ANGLE, AMPLITUDE)
PATTERNS = orthonormal_patterns(2)
TIMES = np.arange(1, T)


@dataclass(frozen=True, eq=False)
class Learnt:
    """What one architecture has learnt of a task, as `draw_learnt` shows it.

    Attributes:
        kernel: the theory's, (nP, nP).
        cka: its alignment with the label kernel of all times.
        outputs, sd: the theory's mean outputs (P, n), and their standard deviation at the width below or None.
        sampled, standard_error: mean outputs of sampled networks, (P, n).
        width: of these.
    """

    kernel: np.ndarray
    cka: float
    outputs: np.ndarray
    sd: np.ndarray | None
    sampled: np.ndarray
    standard_error: np.ndarray
    width: int


def draw_learnt(
    teacher: Teacher, supervised: Iterable[int], shown: dict[str, Learnt], limits: tuple[float, float]
) -> Figure:
    """The label kernel and the learnt ones above, outputs of each architecture below; the first of the two patterns."""
    from matplotlib import pyplot as plt

    P, n = next(iter(shown.values())).outputs.shape
    times = tuple(supervised)
    figure = plt.figure(figsize=(3.4, 3.9))
    grid = figure.add_gridspec(3, 6, height_ratios=(1.25, 1, 1))
    kernels = [
        (r"label kernel $Y$", teacher.label_kernel(PATTERNS, n)),
        *((f"{arch.upper()}, CKA {one.cka:.2f}", one.kernel) for arch, one in shown.items()),
    ]
    largest = max(np.abs(kernel[::P, ::P]).max() for _, kernel in kernels[1:])
    for place, (title, kernel) in enumerate(kernels):
        axes = figure.add_subplot(grid[0, 2 * place : 2 * place + 2])
        first = kernel[::P, ::P]
        image = _draw_kernel(axes, first / (np.abs(first).max() if place == 0 else largest), title, times)
        if place == 0:
            axes.set_ylabel("time $t$", labelpad=1)
    bar = figure.colorbar(image, ax=figure.axes, location="right", shrink=0.85, aspect=14, ticks=(-1, 0, 1), pad=0.02)
    bar.set_label("kernel / largest", labelpad=-2)
    last: Any = None
    for row, (arch, one) in enumerate(shown.items(), start=1):
        last = figure.add_subplot(grid[row, :], sharex=last)
        _draw_outputs(last, teacher.labels(PATTERNS, n)[0], times, one, COLOURS[arch])
        last.set_ylabel(f"{arch.upper()}: $f^{{\\,t+1}}$")
        last.set_ylim(limits)
        last.legend(loc="upper center", ncols=3, handlelength=1.2, columnspacing=1.0, borderaxespad=0.0)
    last.set_xlabel(r"hidden time $t$ (grey: supervised)")
    return figure


def _draw_kernel(axes: Axes, kernel: np.ndarray, title: str, supervised: tuple[int, ...]) -> Any:
    edge = len(kernel) + 0.5
    image = axes.imshow(kernel, cmap="RdBu_r", vmin=-1, vmax=1, extent=(0.5, edge, edge, 0.5))
    axes.set_title(title, fontsize=7)
    axes.set(xticks=supervised, yticks=supervised)
    axes.set_xlabel("time $t'$", labelpad=1)
    axes.tick_params(length=2, pad=1.5)
    return image


def _draw_outputs(axes: Axes, labels: np.ndarray, supervised: tuple[int, ...], one: Learnt, colour: str) -> None:
    times = np.arange(1, len(labels) + 1)
    for t in supervised:
        axes.axvspan(t - 0.3, t + 0.3, color="0.9", lw=0, zorder=0)
    axes.axhline(0, color="0.7", lw=0.5, zorder=0)
    axes.plot(times, labels, "x", color="k", ms=5, mew=1, label="teacher")
    axes.plot(times, one.outputs[0], color=colour, label="theory")
    if one.sd is not None:
        low, high = (one.outputs[0] + sign * 2 * one.sd[0] for sign in (-1, 1))
        axes.fill_between(times, low, high, color=colour, alpha=0.2, lw=0)
    axes.errorbar(
        times, one.sampled[0], yerr=2 * one.standard_error[0], fmt="D", color=colour, mfc="white",
        label=f"sampled, $N={one.width}$",
    )  # fmt: skip


def label_kernel_rows(teacher: Teacher, kernels: dict[str, np.ndarray]) -> dict[str, list[Any]]:
    """A table of the joint kernels beside the label kernel, time-major: one row for each entry."""
    P = len(PATTERNS)
    Y = teacher.label_kernel(PATTERNS, len(next(iter(kernels.values()))) // P)
    rows, columns = np.indices(Y.shape).reshape(2, -1)
    table = {
        "t": rows // P + 1,
        "p": rows % P + 1,
        "t'": columns // P + 1,
        "p'": columns % P + 1,
        "label_kernel": Y.ravel(),
    }
    table |= {name: np.ravel(kernel) for name, kernel in kernels.items()}
    return {name: column.tolist() for name, column in table.items()}


def task(arch: str, supervised: Iterable[int] = SUPERVISED) -> Problem:
    """The panels' task; test patterns are the training patterns, at all times."""
    return TEACHER.problem(T, PATTERNS, supervised, arch=arch, w=W)


def outputs_at_width(solution: Solution, width: int) -> np.ndarray:
    """The theory's mean outputs at width N, to first order in 1/N, (P, n)."""
    from numerics.results.readout import mean_outputs

    return mean_outputs(solution) + output_shift(solution) / width


def judged_outputs(
    predicted: np.ndarray, mean: np.ndarray, standard_error: np.ndarray, *, rhat: float, ess: float
) -> dict[str, Any]:
    """z of every output; the verdict, by `numerics.checking.agreement`'s limit and whether the chains have mixed."""
    z = (mean - predicted) / standard_error
    limit = float(norm.isf(FAMILY_LEVEL / (2 * z.size)))
    largest = float(np.abs(z).max())
    return {
        "z": z.tolist(),
        "largest_z": largest,
        "z_limit": limit,
        "ess": ess,
        "rhat": rhat,
        "verdict": judged(largest <= limit, have_mixed(rhat, ess)),
    }


def solved(arch: str) -> Solution:
    """The theory's state of the panels' task."""
    return solve(task(arch, SUPERVISED))

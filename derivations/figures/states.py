"""The picture of a state or a simulation: its kernels on one colour scale, and its outputs beside the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from derivations.figures.panel import styled
from numerics.files import whole_file
from numerics.results.plotting import kernel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from numerics.inputs.problem import Problem
    from numerics.linalg import FloatArray

#: More curves of outputs than this are not told apart.
MOST_CURVES = 6


@dataclass(frozen=True, eq=False)
class Outputs:
    """Mean outputs to be drawn.

    Attributes:
        mean: (P, n), or (O, P, n).
        error: of the same shape, half the length of the bars; None for a line without.
    """

    mean: FloatArray
    error: FloatArray | None = None


def picture(problem: Problem, kernels: Mapping[str, FloatArray], outputs: Mapping[str, Outputs], path: Path) -> None:
    """Draw kernels side by side, and outputs against time.

    Args:
        problem: whose labels are drawn as open circles.
        kernels: title → kernel, (nP, nP).
        outputs: name → outputs; those without errors are lines, others points with bars.
        path: FILE.png, .pdf or .svg, written whole or not at all.
    """
    with styled():
        from matplotlib import pyplot as plt

        count = len(kernels)
        widths = [1.0] * count + [1.25]
        figure, axes = plt.subplots(1, count + 1, figsize=(2.1 * sum(widths), 2.2), width_ratios=widths)
        largest = max(float(np.abs(each).max()) for each in kernels.values())
        for ax, (title, each) in zip(axes, kernels.items(), strict=False):
            kernel(each, problem.P, ax, label=r"kernel $\Phi^{tt'}$", largest=largest)
            ax.set_title(title, loc="left")
        draw_outputs(problem, outputs, axes[-1])
        with whole_file(path) as temporary:
            figure.savefig(temporary)


def draw_outputs(problem: Problem, outputs: Mapping[str, Outputs], ax: Axes) -> None:
    """Outputs against their time, one colour for each pattern (and output); labels as open circles."""
    from matplotlib.ticker import MaxNLocator

    time = np.arange(2, problem.n + 2)
    y = problem.y.reshape(problem.P, problem.n, -1).transpose(2, 0, 1).reshape(-1, problem.n)
    for name, each in outputs.items():
        mean = each.mean.reshape(-1, problem.n)[:MOST_CURVES]
        error = None if each.error is None else each.error.reshape(-1, problem.n)
        for curve, values in enumerate(mean):
            color, label = f"C{curve % 7}", name if curve == 0 else None
            if error is None:
                ax.plot(time, values, "-", color=color, label=label)
            else:
                ax.errorbar(time, values, error[curve], fmt=".", ms=4, color=color, label=label, capsize=1.5)
    for curve, labels in enumerate(y[:MOST_CURVES]):
        ax.plot(time, labels, "o", ms=6, mfc="none", mew=0.8, color=f"C{curve % 7}", label=None if curve else "labels")
    left_out = len(y) - MOST_CURVES
    ax.set_title("outputs" if left_out <= 0 else f"first {MOST_CURVES} of {len(y)} outputs", loc="left")
    ax.axhline(0.0, color="0.8", lw=0.5, zorder=0)
    ax.set(xlabel="time $t$", ylabel="$f^t$")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize=6)

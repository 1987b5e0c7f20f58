"""Outputs against time, drawn: means as lines, their spread as bands, samples as points with bars, labels as circles.

Each pattern (and output) has one colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.results.plotting import lines

#: More curves of outputs than this are not told apart.
MOST_CURVES = 6


@dataclass(frozen=True, eq=False)
class Outputs:
    """Mean outputs to be drawn.

    Attributes:
        mean: (P, n), or (O, P, n).
        error: of the same shape, half the length of the bars of points; None for a line without.
        band: of the same shape, half the height of a line's band; None for a line without.
        held_out: whether the patterns are the problem's test patterns: dashed lines and open points, in colours of
            their own.
    """

    mean: FloatArray
    error: FloatArray | None = None
    band: FloatArray | None = None
    held_out: bool = False


def draw_outputs(problem: Problem, outputs: Mapping[str, Outputs], ax: Any, **style: Any) -> None:
    """Outputs against their time, one colour for each pattern (and output); labels as open circles.

    Args:
        problem: whose labels are drawn.
        outputs: name → outputs; those without errors are lines, others points with bars.
        ax: matplotlib axes.
        style: keywords of ``plot`` for the lines.
    """
    time, trained = np.arange(2, problem.n + 2), problem.P * problem.outputs
    for name, each in outputs.items():
        mean, error, band = (
            None if a is None else a.reshape(-1, problem.n)[:MOST_CURVES] for a in (each.mean, each.error, each.band)
        )
        assert mean is not None
        for curve, values in enumerate(mean):
            color = f"C{(curve + (min(trained, MOST_CURVES) if each.held_out else 0)) % 7}"
            label = name if curve == 0 else None
            if error is None:
                drawn = lines(style, color=color, label=label, linestyle="--" if each.held_out else "-")
                ax.plot(time, values, **{"marker": "." if len(time) == 1 else "", **drawn})
            else:
                face = "none" if each.held_out else color
                ax.errorbar(time, values, error[curve], fmt="o", ms=3, mfc=face, color=color, label=label, capsize=1.5)
            if band is not None:
                low, high = values - band[curve], values + band[curve]
                ax.fill_between(time, low, high, color=drawn["color"], alpha=0.2, lw=0)
    shown = {"labels": problem.y} if any(not each.held_out for each in outputs.values()) else {}
    if problem.y_test is not None and any(each.held_out for each in outputs.values()):
        shown["labels held out"] = problem.y_test
    for name, y in shown.items():
        start = 0 if name == "labels" else min(trained, MOST_CURVES)
        curves = y.reshape(len(y), problem.n, -1).transpose(2, 0, 1).reshape(-1, problem.n)
        for curve, labels in enumerate(curves[:MOST_CURVES]):
            mark = "o" if name == "labels" else "s"
            label = None if curve else name
            ax.plot(time, labels, mark, ms=6, mfc="none", mew=0.8, color=f"C{(curve + start) % 7}", label=label)
    most = max((each.mean.size // problem.n for each in outputs.values()), default=0)
    ax.set_title("outputs" if most <= MOST_CURVES else f"first {MOST_CURVES} of {most} outputs", loc="left")
    ax.axhline(0.0, color="0.8", lw=0.5, zorder=0)
    ax.set(xlabel="time $t$", ylabel="output $f^t$", xticks=time if len(time) <= 10 else time[:: len(time) // 6])
    ax.legend(fontsize="small")

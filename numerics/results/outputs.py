"""Outputs against time, drawn: means as lines, their spread as bands, samples as points with bars, labels as circles.

Each pattern (and output) has one colour, that the legend names; time is the hidden one, t = 1 … n, as in every table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.plotting import line_style, task_title

#: More curves of outputs than this are not told apart.
MOST_CURVES = 6
#: Letters of the two longest names of a legend that has two columns: axes have no room for more.
TWO_COLUMNS = 24
#: Height of a row of the legend, over that of the curves.
ROOM = 0.14
#: Grey of legend entries that stand for all curves; the mark of a mean whose sign is arbitrary.
_GREY = "0.25"
_SIGN: dict[str, Any] = {"marker": r"$\pm$", "ms": 7, "mew": 0.4, "ls": "", "color": _GREY, "zorder": 4}

#: (held out, number) of a curve → its colour.
Colours = Mapping[tuple[bool, int], str]


@dataclass(frozen=True, eq=False)
class Outputs:
    """Mean outputs to be drawn.

    Attributes:
        mean: (P, n), or (O, P, n).
        error: of the same shape, half the length of the bars of points; None for a line without.
        band: of the same shape, half the height of a line's band; None for a line without.
        held_out: whether the patterns are the problem's test patterns: dashed lines and open points, in colours of
            their own.
        sign_arbitrary: hidden times t, 1-based, at which a symmetry reverses the means: marked ±.
    """

    mean: FloatArray
    error: FloatArray | None = None
    band: FloatArray | None = None
    held_out: bool = False
    sign_arbitrary: tuple[int, ...] = ()


def draw_outputs(problem: Problem, outputs: Mapping[str, Outputs], ax: Any, **style: Any) -> None:
    """Outputs against hidden time, one colour for each pattern (and output); labels as open circles.

    Args:
        problem: whose labels are drawn.
        outputs: name → outputs; those without errors are lines, others points with bars.
        ax: matplotlib axes.
        style: keywords of ``plot`` for the lines.
    """
    colours = _colours(problem, outputs.values())
    for name, each in outputs.items():
        _draw_curves(name, each, colours, ax, style)
    _draw_labels(problem, {each.held_out for each in outputs.values()}, ax)
    if any(each.sign_arbitrary for each in outputs.values()):
        ax.plot([], [], **_SIGN, label="sign arbitrary")
    if len(colours) > 1:
        for held_out, curve in colours:
            ax.plot([], [], color=colours[held_out, curve], lw=3, label=_name(problem, held_out, curve, outputs))
    names = ax.get_legend_handles_labels()[1]
    entries, widest = len(names), sum(sorted(map(len, names))[-2:])
    most = max((each.mean.size // problem.n for each in outputs.values()), default=0)
    title = f"first {MOST_CURVES} of {most} outputs" if most > MOST_CURVES else None
    ncols = 1 + (entries > 5 and widest <= TWO_COLUMNS)
    low, high = ax.get_ylim()
    rows = -(-entries // ncols) + (title is not None)
    ax.set_ylim(low, high + ROOM * rows * (high - low))  # above the curves, whatever they are
    ax.legend(loc="upper left", title=title, ncols=ncols, fontsize="small", title_fontsize="small", handlelength=1.5)
    time = np.arange(1, problem.n + 1)
    ax.set_title(task_title(problem), loc="left")
    ax.axhline(0.0, color="0.8", lw=0.5, zorder=0)
    ticks = time if len(time) <= 10 else time[:: len(time) // 6]
    ax.set(xlabel="hidden time $t$", ylabel=r"output $f^{\,t+1}$", xticks=ticks)


def _draw_curves(name: str, drawn: Outputs, colours: Colours, ax: Any, style: dict[str, Any]) -> None:
    """A line or points for each pattern and output; the legend has the name in grey where colours are several."""
    n = drawn.mean.shape[-1]
    time, there = np.arange(1, n + 1), [t - 1 for t in drawn.sign_arbitrary]
    mean, error, band = (
        None if a is None else a.reshape(-1, n)[:MOST_CURVES] for a in (drawn.mean, drawn.error, drawn.band)
    )
    assert mean is not None
    line = line_style(style, linestyle="--" if drawn.held_out else "-", marker="." if n == 1 else "")
    for curve, values in enumerate(mean):
        color = colours[drawn.held_out, curve]
        label = name if len(colours) == 1 else None
        if error is None:
            ax.plot(time, values, **{"color": color, "label": label, **line})
        else:
            face = "none" if drawn.held_out else color
            ax.errorbar(time, values, error[curve], fmt="o", ms=3, mfc=face, color=color, label=label, capsize=1.5)
        if band is not None:
            low, high = values - band[curve], values + band[curve]
            ax.fill_between(time, low, high, color=line.get("color", color), alpha=0.2, lw=0)
        if there:
            ax.plot(time[there], values[there], **_SIGN)
    if len(colours) > 1:
        sign = line if error is None else {"marker": "o", "ms": 3, "ls": "", "mfc": "none" if drawn.held_out else _GREY}
        ax.plot([], [], **{"color": _GREY, "label": name, **sign})


def _draw_labels(problem: Problem, kinds: set[bool], ax: Any) -> None:
    """The labels of training patterns, of held-out ones, or of both."""
    trained = min(problem.P * problem.outputs, MOST_CURVES)
    for name, y, held_out, mark in (("labels", problem.y, False, "o"), ("labels held out", problem.y_test, True, "s")):
        if y is None or held_out not in kinds:
            continue
        curves = y.reshape(len(y), problem.n, -1).transpose(2, 0, 1).reshape(-1, problem.n)[:MOST_CURVES]
        for curve, labels in enumerate(curves):
            color = f"C{(curve + held_out * trained) % 7}"
            ax.plot(np.arange(1, problem.n + 1), labels, mark, ms=6, mfc="none", mew=0.8, color=color)
        color = _GREY if len(curves) > 1 or len(kinds) > 1 else "C0"
        ax.plot([], [], mark, ms=6, mfc="none", mew=0.8, color=color, label=name)


def _colours(problem: Problem, outputs: Iterable[Outputs]) -> Colours:
    """The colour of each curve, by (held out, number among these)."""
    trained = min(problem.P * problem.outputs, MOST_CURVES)
    counts = {each.held_out: min(each.mean.size // problem.n, MOST_CURVES) for each in outputs}
    return {
        (held_out, curve): f"C{(curve + held_out * trained) % 7}"
        for held_out, count in sorted(counts.items())
        for curve in range(count)
    }


def _name(problem: Problem, held_out: bool, curve: int, outputs: Mapping[str, Outputs]) -> str:
    patterns = next(each.mean.shape[-2] for each in outputs.values() if each.held_out is held_out)
    output, pattern = divmod(curve, patterns)
    name = f"held out {pattern + 1}" if held_out else f"pattern {pattern + 1}"
    return f"{name}, output {output + 1}" if problem.outputs > 1 else name

"""Time paths t3 ← t2 ← t1 by which two label messages reach an unsupervised kernel entry, and how the mask cuts them.

Each row is one path of second order in the labels (docs/theory.md section 7). Two messages meet at t2, where the prior
kernel links them: t1 → t2 above the line, t2 → t3 below it. A message is that of one product of labels, which may
have been moved along the kernel's diagonal (both of its times together); so may the pair (t3, t1) afterwards. The
DNN's mask keeps equal times only, so that no off-diagonal pair can move: crosses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from derivations.figures.panel import Effort, Panel, named, save_panel
from numerics.progress import Progress
from theory.perturbation import Path as TimePath
from theory.perturbation import cut_paths, paths

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = Panel(
    "6d",
    "propagator-paths",
    "Paths of the label messages",
    "Time paths t_3 ← t_2 ← t_1 by which second order in Y reaches an unsupervised kernel entry, for the RNN and the "
    "DNN. Arcs are pairs of labels, moved along time as said; straight arrows move the ends of a path on to those of "
    "the entry. The DNN's mask lets equal times alone pass: crosses mark where it cuts a path.",
)


T, SUPERVISED, ENTRY = 7, (1, 3, 6), (2, 3)
PATH_COLOURS = ("C0", "C2", "C3", "C4", "C5", "C6")
CUT_PATH, CUT_MARK = "0.55", "C1"
ROW, ARC = 3.8, 0.8


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Draw the diagram and save it in `out`, with a table of every path and whether the mask cuts it."""
    progress("drawing", 0, 0)
    table = path_table()
    summary = f"the mask cuts {sum(table['cut_by_mask'])} of {len(table['times'])} paths of second order"
    return save_panel(PANEL, out, {"": table}, draw, verdicts=["agrees"], summary=summary)


@cache
def path_table() -> dict[str, list[Any]]:
    """Every path of second order at the figure's supervision, one row each."""
    cut = {entry: {str(path) for path in found} for entry, found in cut_paths(T, 2, SUPERVISED).items()}
    rows = [
        (f"{t},{s}", " ".join(map(str, path.times)), str(path), str(path.weight), str(path) in cut.get((t, s), ()))
        for (t, s), found in sorted(paths(T, "rnn", 2, SUPERVISED).items())
        for path in found
    ]
    return named(("entry", "times", "path", "weight", "cut_by_mask"), rows)


def draw(T: int = T, supervised: tuple[int, ...] = SUPERVISED, entry: tuple[int, int] = ENTRY) -> Figure:
    """The second-order paths to one kernel entry: the RNN's above, the same paths cut by the DNN's mask below."""
    from matplotlib import pyplot as plt

    whole = paths(T, "rnn", 2, supervised).get(entry, ())
    if not whole:
        raise ValueError(f"entry: {entry} has no path of second order; accepted: an entry (t, t') with t ≤ t'")
    cut = {(path.labels, path.links) for path in cut_paths(T, 2, supervised).get(entry, ())}
    figure, both = plt.subplots(2, 1, figsize=(3.4, 0.8 + 1.5 * len(whole)), sharex=True)
    for axes, arch in zip(both, ("RNN", "DNN"), strict=True):
        gone = [arch == "DNN" and (path.labels, path.links) in cut for path in whole]
        _panel(axes, whole, gone, T - 1, supervised)
        count = f"{gone.count(False)} of {len(whole)} paths" if arch == "DNN" else f"{len(whole)} paths"
        axes.set_title(f"{arch}: {count} to $\\Delta_2^{{{entry[0]},{entry[1]}}}$", loc="left")
    both[1].set_xlabel("hidden time (squares: supervised)")
    return figure


def _panel(axes: Axes, rows: Sequence[TimePath], gone: Sequence[bool], n: int, supervised: tuple[int, ...]) -> None:
    for i, (path, is_cut) in enumerate(zip(rows, gone, strict=True)):
        _row(axes, path, -ROW * i, CUT_PATH if is_cut else PATH_COLOURS[i % len(PATH_COLOURS)], is_cut)
        for t in range(1, n + 1):
            on = t in supervised
            shape, size, fill = ("s", 5, "0.2") if on else ("o", 4, "white")
            axes.plot(t, -ROW * i, shape, ms=size, mec="0.2", mfc=fill, zorder=3)
    axes.set_xticks(range(1, n + 1))
    axes.set_xlim(0.4, n + 0.6)
    axes.set_ylim(-ROW * (len(rows) - 1) - 2.2, 1.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _row(axes: Axes, path: TimePath, height: float, colour: str, is_cut: bool) -> None:
    (link,), (shift,) = path.links, path.shifts
    t3, t1 = path.entry
    axes.axhline(height, color="0.85", linewidth=0.6, zorder=0)
    _message(axes, t1 + shift, link, (path.labels[1][1], path.labels[1][0]), height, 1, colour, is_cut)
    _message(axes, link, t3 + shift, (path.labels[0][1], path.labels[0][0]), height, -1, colour, is_cut)
    if shift:
        below = height - 1.8
        for time in (t3, t1):
            arrow = {"arrowstyle": "->", "color": colour, "linewidth": 0.9}
            axes.annotate("", (time, below), (time + shift, below), arrowprops=arrow)
            if is_cut and t3 != t1:
                axes.plot(time + shift / 2, below, "x", color=CUT_MARK, ms=5, mew=1.4, zorder=4)


def _message(
    axes: Axes, start: int, end: int, pair: tuple[int, int], height: float, side: int, colour: str, is_cut: bool
) -> None:
    """An arc from one time to the other, with the labels that it carries and how far they were moved."""
    line = "--" if is_cut else "-"
    steps = [k / 40 for k in range(41)]
    # half a sine wave; a loop where both times are equal
    wide = [start + (end - start) * s + (0.25 * math.sin(2 * math.pi * s) if start == end else 0) for s in steps]
    high = [height + side * ARC * math.sin(math.pi * s) for s in steps]
    axes.plot(wide[2:-3], high[2:-3], line, color=colour, linewidth=1.2)
    head = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.2, "shrinkB": 2.5, "mutation_scale": 7}
    axes.annotate("", (wide[-1], high[-1]), (wide[-4], high[-4]), arrowprops=head)
    moved = start - pair[0]
    how = f" moved {moved:+d}".replace("-", "−") if moved else ""
    middle, edge = (start + end) / 2, height + side * (ARC + 0.12)
    text = axes.text(
        middle, edge, f"$y^{pair[1]}y^{pair[0]}${how}", ha="center", va="bottom" if side > 0 else "top",
        fontsize=6.5, color=colour,
    )  # fmt: skip
    if is_cut and moved and pair[0] != pair[1]:
        axes.annotate(
            "×", (1, 0.5), xycoords=text, ha="left", va="center", fontsize=11, fontweight="bold", color=CUT_MARK
        )

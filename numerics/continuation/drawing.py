"""The pictures of a scan: branches along the parameter, joined where they meet, with special points and the loop.

A branch has one colour through its folds; full lines are minima of F, dashed ones are not. A branch that was followed
is a smooth curve, whatever the grid; where states of single values are joined, dots are what was solved. Arrows are the
jumps of the hysteresis loop.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np

from numerics.continuation.hysteresis import HysteresisLoop
from numerics.continuation.parameters import PARAMETERS
from numerics.continuation.scanned_branch import ScannedBranch
from numerics.continuation.special_points import SpecialPoint
from numerics.inputs.problem import Problem
from numerics.linalg import BoolArray, FloatArray
from numerics.plotting import line_style

Height = Literal["order_parameter", "free_energy"]

MARKERS = {"fold": "^", "pitchfork": "o", "branch-point": "s", "equal-free-energy": "d"}
NAMES = {"equal-free-energy": "equal free energy", "branch-point": "branch point"}


class Scanned(Protocol):
    """What a scan found, as far as it is drawn."""

    @property
    def problem(self) -> Problem: ...  # noqa: D102 (as in Scan, with all that follows)
    @property
    def parameter(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> FloatArray: ...  # noqa: D102
    @property
    def branches(self) -> tuple[ScannedBranch, ...]: ...  # noqa: D102
    @property
    def special_points(self) -> tuple[SpecialPoint, ...]: ...  # noqa: D102
    @property
    def loop(self) -> HysteresisLoop | None: ...  # noqa: D102


def draw_scan(found: Scanned, ax: Any, height: Height, **style: Any) -> None:
    """Every branch, the special points, and for the order parameter the jumps; `style` has keywords of ``plot``.

    On axes that hold curves already, colours go on and names in the legend begin with the network; `style`'s label
    names one curve.
    """
    network = f"{found.problem.network}: " if ax.has_data() else ""
    used = len({line.get_color() for line in ax.lines} & {f"C{k}" for k in range(7)})
    given = style.pop("label", None)
    numbers = list(dict.fromkeys(branch.number for branch in found.branches))
    named: set[int] = set()
    for branch in found.branches:
        value, stable, drawn, solved = _line(branch, found, height)
        color = f"C{(used + numbers.index(branch.number)) % 7}"
        for mask, line, width in ((stable[0], "-", 1.3), (stable[1], "--", 0.8)):
            dots = {"marker": ".", "ms": 3, "markevery": solved} if len(solved) else {}
            shown = np.where(mask, drawn, np.nan)
            ax.plot(value, shown, **{**dots, **line_style(style, color=color, linestyle=line, linewidth=width)})
        if branch.number not in named:
            named.add(branch.number)
            name = f"{network}{branch.name.rstrip('abcdefgh')}" if given is None else given if len(named) == 1 else None
            ax.plot([], [], **line_style(style, color=color, label=name))
    if any((~branch.stable & np.isfinite(branch.free_energy)).any() for branch in found.branches):
        ax.plot([], [], "--", color="0.25", lw=0.8, label="dashed: no minimum")
    _special_points(found, ax, height)
    if height == "order_parameter":
        _jumps(found, ax)
        T = found.problem.T
        ax.set_ylabel(rf"order parameter $\|{_kernel(found)}^{{{T - 1},{T - 2}}}\|$")
    else:
        ax.set_ylabel(r"free energy $F - F_\mathrm{lowest}$" if len(found.branches) > 1 else "free energy $F$")
    ax.set_xlabel(PARAMETERS[found.parameter].symbol)


def _kernel(found: Scanned) -> str:
    return "H" if found.problem.activation.name == "linear" else r"\Phi"


def _line(
    branch: ScannedBranch, found: Scanned, height: Height
) -> tuple[FloatArray, tuple[BoolArray, BoolArray], FloatArray, list[int]]:
    """A branch's values, where it is a minimum and where none, its heights, and places of those solved one by one."""
    if branch.curve is not None:
        value, order, free_energy, stable = branch.curve
        heights = order if height == "order_parameter" else free_energy - _lowest(found, value)
        return value, (stable == 1, stable != 1), heights, []
    own = [p for p in found.special_points if branch.name in p.names and found.value[0] < p.value < found.value[-1]]
    value = np.array([p.value for p in own])
    places = np.searchsorted(found.value, value)
    on_grid = (
        branch.order_parameter if height == "order_parameter" else branch.free_energy - _lowest(found, found.value)
    )
    heights = _at_values(on_grid, found, value)
    if height == "order_parameter":
        for k, point in enumerate(own):
            sizes = _heights(point, found)
            own_size = dict(zip(point.branches, sizes, strict=False)).get(branch.number, heights[k])
            heights[k] = own_size if point.branches else sizes[0]
    values, there = np.insert(found.value, places, value), np.insert(branch.stable, places, branch.stable[places])
    solved = np.flatnonzero(np.insert(np.ones(len(found.value), dtype=bool), places, False)).tolist()
    return values, (_with_neighbours(there), _with_neighbours(~there)), np.insert(on_grid, places, heights), solved


def _at_values(on_grid: FloatArray, found: Scanned, values: FloatArray) -> FloatArray:
    """Heights between the values of the grid; where the branch ends between two, of the nearer one that it reaches."""
    there = np.isfinite(on_grid)
    return np.interp(values, found.value[there], on_grid[there]) if there.any() else np.full(len(values), np.nan)


def _lowest(found: Scanned, values: FloatArray) -> FloatArray:
    """The lowest free energy of all branches at some values: those of the grid where branches are not followed.

    0 where there is one branch alone.
    """
    if len(found.branches) == 1:
        return np.zeros(len(values))
    energies = [
        branch.free_energy
        if branch.curve is None
        else np.interp(values, np.maximum.accumulate(branch.curve[0]), branch.curve[2], left=np.nan, right=np.nan)
        for branch in found.branches
    ]
    with np.errstate(invalid="ignore"):
        return np.asarray(np.fmin.reduce(energies))


def _heights(point: SpecialPoint, found: Scanned) -> tuple[float, ...]:
    """Order parameters of the branches that meet; where they are not followed, that of the one that goes through."""
    if point.branches:
        return point.order_parameter
    through = next(branch for branch in found.branches if branch.name == point.names[0])
    return (float(_at_values(through.order_parameter, found, np.array([point.value]))[0]),)


def _special_points(found: Scanned, ax: Any, height: Height) -> None:
    shown = set()
    for point in found.special_points:
        ax.axvline(point.value, color="0.6", lw=0.5, ls=":", zorder=0)
        if height != "order_parameter":
            continue
        sizes = sorted({round(size, 9) for size in _heights(point, found) if np.isfinite(size)})
        label = None if point.type in shown else NAMES.get(point.type, point.type)
        shown.add(point.type)
        ax.plot(
            [point.value] * len(sizes), sizes, MARKERS[point.type], color="0.25", ms=3.2, mfc="white", mew=0.7,
            zorder=4, label=label,
        )  # fmt: skip


def _jumps(found: Scanned, ax: Any) -> None:
    """Arrows of the hysteresis loop."""
    passages = () if found.loop is None else (found.loop.up, found.loop.down)
    jumps = [jump for passage in passages for jump in passage.transitions if not jump.continuous]
    for jump in jumps:
        start, end = ((jump.value, size) for size in jump.order_parameter)
        arrow = {"arrowstyle": "-|>", "color": "0.35", "lw": 0.9, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", xy=end, xytext=start, arrowprops=arrow)
    if jumps:
        ax.plot([], [], color="0.35", lw=0.9, marker=r"$\uparrow$", ms=5, ls="", label="jump of the loop")


def _with_neighbours(mask: BoolArray) -> BoolArray:
    """True also beside a true entry, so that the pieces of a line meet."""
    wider = mask.copy()
    wider[1:] |= mask[:-1]
    return wider

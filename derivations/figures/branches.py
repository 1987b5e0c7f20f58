"""The picture of a scan: order parameter and free energy of every branch, with names of branches and special points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from derivations.figures.panel import styled
from numerics.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from numerics.continuation.scanned import Scan, ScannedBranch
    from numerics.linalg import BoolArray, FloatArray

MARKERS = {"fold": "^", "pitchfork": "o", "branch-point": "s", "equal-free-energy": "d"}
NAMES = {"equal-free-energy": "equal free energy", "branch-point": "branch point"}


def picture(found: Scan, path: Path) -> None:
    """Full lines are minima, dashed ones are not; arrows are the jumps of the hysteresis loop."""
    from numerics.continuation.parameters import PARAMETERS

    with styled():
        from matplotlib import pyplot as plt

        figure, (above, below) = plt.subplots(2, 1, figsize=(3.4, 4.4), sharex=True)
        with np.errstate(invalid="ignore"):
            lowest = np.fmin.reduce([branch.free_energy for branch in found.branches])
        for index, branch in enumerate(found.branches):
            value, stable, heights = _line(branch, found, lowest)
            for axes, height in zip((above, below), heights, strict=True):
                for mask, style in ((stable, "-"), (~stable, "--")):
                    shown = np.where(_with_neighbours(mask), height, np.nan)
                    axes.plot(value, shown, style, color=f"C{index % 7}", lw=1.3 if style == "-" else 0.7)
            above.plot([], [], color=f"C{index % 7}", label=branch.name)
        _special_points(found, above, below)
        for passage in (found.loop.up, found.loop.down) if found.loop is not None else ():
            for jump in (t for t in passage.transitions if not t.continuous):
                above.annotate(
                    "",
                    xy=(jump.value, jump.order_parameter[1]),
                    xytext=(jump.value, jump.order_parameter[0]),
                    arrowprops={"arrowstyle": "-|>", "color": "0.35", "lw": 0.9, "shrinkA": 0, "shrinkB": 0},
                )
        wide = found.value[-1] / found.value[0] > 20 and found.value[1] / found.value[0] < 2
        T = found.problem.T
        above.set(ylabel=rf"order parameter $\|H^{{{T - 1},{T - 2}}}\|$", xscale="log" if wide else "linear")
        span = (found.value[0], found.value[-1])
        below.set(xlabel=PARAMETERS[found.parameter].symbol, ylabel=r"$F - F_\mathrm{lowest}$", xlim=span)
        figure.legend(loc="outside upper center", ncols=3, fontsize=6, title=_title(found), title_fontsize=7)
        with whole_file(path) as temporary:
            figure.savefig(temporary)


def _title(found: Scan) -> str:
    """The network and its task: what is held while the parameter changes."""
    held = [("kappa", r"\kappa"), ("u", "u"), ("v", "v"), ("w", "w")]
    numbers = [
        f"${symbol} = {getattr(found.problem, name):.4g}$"
        for name, symbol in held
        if name != found.parameter and (name == "kappa" or getattr(found.problem, name) != 1)
    ]
    network, activation = found.problem.network, found.problem.activation.name
    if activation != "linear":
        network = f"{activation} {network}"
    return ", ".join([network, f"$T = {found.problem.T}$", *numbers])


def _line(
    branch: ScannedBranch, found: Scan, lowest: FloatArray
) -> tuple[FloatArray, BoolArray, tuple[FloatArray, FloatArray]]:
    """A branch's values, where it is stable, and its heights, with its special points between those of the grid."""
    own = [p for p in found.special_points if branch.name in p.names and found.value[0] < p.value < found.value[-1]]
    value = np.array([p.value for p in own])
    places = np.searchsorted(found.value, value)
    sizes = np.interp(value, found.value, branch.order_parameter)
    for k, point in enumerate(own):
        if branch.number in point.branches:
            sizes[k] = point.order_parameter[point.branches.index(branch.number)]
    rise = branch.free_energy - lowest
    heights = (
        np.insert(branch.order_parameter, places, sizes),
        np.insert(rise, places, np.interp(value, found.value, rise)),
    )
    return np.insert(found.value, places, value), np.insert(branch.stable, places, branch.stable[places]), heights


def _special_points(found: Scan, above: Axes, below: Axes) -> None:
    shown = set()
    for point in found.special_points:
        for axes in (above, below):
            axes.axvline(point.value, color="0.6", lw=0.5, ls=":", zorder=0)
        sizes = sorted({round(size, 9) for size in point.order_parameter if np.isfinite(size)})
        label = None if point.type in shown else NAMES.get(point.type, point.type)
        shown.add(point.type)
        above.plot(
            [point.value] * len(sizes), sizes, MARKERS[point.type], color="0.25", ms=3.2, mfc="white", mew=0.7,
            zorder=4, label=label,
        )  # fmt: skip


def _with_neighbours(mask: BoolArray) -> BoolArray:
    """True also beside a true entry, so that the pieces of a line meet."""
    wider = mask.copy()
    wider[1:] |= mask[:-1]
    return wider

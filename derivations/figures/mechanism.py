"""Which orders in the labels, and which paths, reach unsupervised times.

One pattern of the rotation teacher, u = v = w = κ = 1. First order moves a pair of labels along the kernel's diagonals;
second order links two pairs and leaves no entry of the RNN's out. The DNN's mask keeps the off-diagonal to pairs of
supervised times.
"""

from __future__ import annotations

import math
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.panel import ARCHITECTURES, Effort, Panel, named, save_panel
from derivations.figures.verdicts import said
from numerics import solve
from numerics.checking.agreement import judged
from numerics.inputs.teachers import Teacher, rotation_teacher
from numerics.progress import Progress
from numerics.results.readout import mean_outputs
from theory.perturbation import cut_paths, paths, series, sharing_matrix, weight_steps
from theory.symbols import label, label_propagator, u, v, w

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

PANEL = Panel(
    "6e",
    "mechanism",
    "Which orders in the labels reach unsupervised times",
    "(a) Changes of the kernel of first and second order in Y, each over its largest entry (colours end at 0.6); "
    "frames: both times supervised. (b) Paths of second order to one unsupervised entry; the DNN's mask cuts all of "
    "them. (c) This entry and (d) an unsupervised output: sums to each order (lines) beside the full solution "
    "(circles).",
)


T, ANGLE, SUPERVISED = 7, 2 * math.pi / 5, (1, 3, 6)
ENTRY, TIME = (2, 3), 4
PATTERN = [[math.sqrt(2), 0.0]]
ORDERS = {1: ("C4", ":"), 2: ("C3", "-."), 4: ("C5", "--"), 8: ("C0", "-")}
AMPLITUDES = np.linspace(0.0, 0.6, 25)
#: Amplitude at which the sum to the largest order is compared with the full solution, and how closely they agree.
COMPARED, CLOSE = 0.2, 1e-3


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Expand, solve, draw and save; whether the expansion meets the full solution where it converges."""
    progress("solving at every amplitude", 0, 0)
    table = curves()
    difference = largest_difference(table)
    verdict = judged(difference < CLOSE, mixed=True)  # nothing is sampled
    summary = (
        f"the orders up to {max(ORDERS)} in Y {said([verdict], 'the full solution')} at amplitude {COMPARED}, "
        f"to {difference:.1e} of their size"
    )
    tables = {"curves": table, "changes": changes(), "paths": path_table()}
    return save_panel(PANEL, out, tables, partial(draw, table), verdicts=[verdict], summary=summary)


def teacher(amplitude: float) -> Teacher:
    """The rotation teacher."""
    return rotation_teacher(ANGLE, amplitude)


@cache
def expansion(arch: str) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Kernel (n, n) and outputs (n,) of each order in Y at amplitude 1: those at a are a^(2k) and a^(2k+1) times it."""
    n, order = T - 1, max(ORDERS)
    y = teacher(1.0).labels(PATTERN, n)[0]
    prior = {(t, t): 1.0 for t in range(1, n + 1)}
    messages = {(t, t): 0.5 for t in SUPERVISED}  # 1/(v h + κ)
    pairs = {(a, b): float(y[a - 1] * y[b - 1]) for a in SUPERVISED for b in SUPERVISED}
    steps = weight_steps(sharing_matrix(arch, n), 1.0, element=float)
    found = series(prior, messages, pairs, steps, order + 1, v=1.0)  # propagators end one order earlier
    kernels, propagators = (
        tuple(_dense(matrix, n) for matrix in orders) for orders in (found.kernel, found.propagator)
    )
    outputs = tuple(sum(kernels[k - j] @ propagators[j] @ y for j in range(k + 1)) for k in range(order + 1))
    return kernels, outputs


def _dense(matrix: Any, n: int) -> np.ndarray:
    dense = np.zeros((n, n))
    for (t, s), value in matrix.items():
        dense[t - 1, s - 1] = value
    return dense


def curves() -> dict[str, list[float]]:
    """The entry and the output against the amplitude: each order's sum, and the full solution, RNN and DNN."""
    table: dict[str, list[float]] = {"amplitude": AMPLITUDES.tolist()}
    i, j = ENTRY[0] - 1, ENTRY[1] - 1
    for arch in ARCHITECTURES:
        kernels, outputs = expansion(arch)
        for order in ORDERS:
            powers = [AMPLITUDES ** (2 * k) for k in range(order + 1)]
            table[f"{arch}_entry_order_{order}"] = sum(p * H[i, j] for p, H in zip(powers, kernels, strict=False))
            table[f"{arch}_output_order_{order}"] = sum(
                AMPLITUDES * p * f[TIME - 1] for p, f in zip(powers, outputs, strict=False)
            )
        full = [solve(teacher(float(a)).problem(T, PATTERN, SUPERVISED, arch=arch)) for a in AMPLITUDES]
        table[f"{arch}_entry_full"] = [solution.kernel[i, j] for solution in full]
        table[f"{arch}_output_full"] = [mean_outputs(solution)[0, TIME - 1] for solution in full]
    return {name: np.asarray(column, dtype=float).tolist() for name, column in table.items()}


def largest_difference(table: dict[str, list[float]]) -> float:
    """Of the largest order from the full solution, over the size of the latter, up to `COMPARED`; the DNN's size."""
    near = (np.array(table["amplitude"]) <= COMPARED + 1e-12) & (np.array(table["amplitude"]) > 0)
    worst = 0.0
    for what in ("entry", "output"):
        full = {arch: np.array(table[f"{arch}_{what}_full"])[near] for arch in ARCHITECTURES}
        last = {arch: np.array(table[f"{arch}_{what}_order_{max(ORDERS)}"])[near] for arch in ARCHITECTURES}
        size = np.abs(full["rnn"]).max()
        worst = max(worst, *(float(np.abs(full[arch] - last[arch]).max() / size) for arch in ARCHITECTURES))
    return worst


def changes() -> dict[str, list[Any]]:
    """Each kernel entry's change of first and second order at amplitude 1."""
    rows = [
        (arch, order, t + 1, s + 1, expansion(arch)[0][order][t, s])
        for arch in ARCHITECTURES for order in (1, 2) for t in range(T - 1) for s in range(T - 1)
    ]  # fmt: skip
    return named(("arch", "order", "t", "t'", "change"), rows)


@cache
def path_table() -> dict[str, list[Any]]:
    """Paths of second order to the entry, with what each contributes at amplitude 1."""
    y = teacher(1.0).labels(PATTERN, T - 1)[0]
    values = {label(t): y[t - 1] for t in SUPERVISED} | {label_propagator(t): 0.5 for t in SUPERVISED}
    values |= {u: 1, v: 1, w: 1}
    cut = {str(path) for path in cut_paths(T, 2, SUPERVISED).get(ENTRY, ())}
    rows = [
        (
            " ← ".join(map(str, path.times)),
            " ".join(f"$y^{a}y^{b}$" for a, b in path.labels),
            float(path.contribution.subs(values)),
            str(path) in cut,
        )
        for path in paths(T, "rnn", 2, SUPERVISED)[ENTRY]
    ]
    names = ("times", "labels", "contribution", "cut_by_mask")
    return named(names, rows)


def draw(table: dict[str, list[float]]) -> Figure:
    """Kernel changes, paths, and both curves."""
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(3.4, 4.7))
    (top,), (middle,), (bottom,) = figure.subfigures(
        3, 1, squeeze=False, height_ratios=(1.2, 1.1, 2)
    )  # rows with columns of their own
    kernels = top.subplots(1, 4, sharey=True)
    for axes, (arch, order) in zip(kernels, ((a, k) for a in ARCHITECTURES for k in (1, 2)), strict=True):
        image = _changes(axes, expansion(arch)[0][order], f"{arch.upper()}, $\\Delta_{order}$")
    kernels[0].set_ylabel("time $t$", labelpad=1)
    bar = top.colorbar(image, ax=list(kernels), extend="both", pad=0.02, aspect=12, ticks=(-0.6, 0, 0.6))
    bar.set_label("over largest", labelpad=0)
    _paths(middle.subplots())
    top.suptitle(" ", fontsize=5)  # room above the titles
    for part, letter in ((top, "a"), (middle, "b")):
        part.text(0.005, 0.985, f"({letter})", va="top")
    pair = bottom.subplots(1, 2)
    for axes, what in zip(pair, ("entry", "output"), strict=True):
        _curves(axes, table, what)
    bottom.legend(
        *pair[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, handlelength=1.8, columnspacing=1.0
    )
    return figure


def _letter(axes: Axes, letter: str, left: float) -> None:
    axes.text(left, 1.05, f"({letter})", transform=axes.transAxes, in_layout=False)


def _changes(axes: Axes, change: np.ndarray, title: str) -> AxesImage:
    from matplotlib.patches import Rectangle

    size = np.abs(change).max()
    image = axes.imshow(change / size, cmap="RdBu_r", vmin=-0.6, vmax=0.6, extent=(0.5, T - 0.5, T - 0.5, 0.5))
    for t in SUPERVISED:
        for s in SUPERVISED:
            axes.add_patch(Rectangle((s - 0.5, t - 0.5), 1, 1, fill=False, ec="k", lw=0.6))
    axes.set_title(title, fontsize=7)
    axes.set(xticks=SUPERVISED, yticks=SUPERVISED, xlabel="$t'$")
    axes.tick_params(length=2, pad=1.5)
    return image


def _paths(axes: Axes) -> None:
    """One bar for each path, and one for their sum."""
    table = path_table()
    names = [f"{times}:  {labels}" for times, labels in zip(table["times"], table["labels"], strict=True)]
    names.append(f"sum: $\\Delta_2^{{{ENTRY[0]},{ENTRY[1]}}}$; the mask cuts all of them")
    values = np.array([*table["contribution"], sum(table["contribution"])])
    places = np.arange(len(values))
    axes.barh(places, values, color=["C2"] * (len(names) - 1) + ["C0"], height=0.65)
    for place, value, name in zip(places, values, names, strict=True):
        axes.text(value + 0.02 * values.max(), float(place), name, va="center", fontsize=7)
    axes.set_title(" ", fontsize=7)  # room for the letter
    axes.set(
        yticks=[],
        ylim=(-0.5, len(names) - 0.2),
        xticks=(0, 0.2, 0.4, 0.6),
        xlim=(0, 2.5 * values.max()),
        xlabel=r"contribution / $a^4$",
    )
    axes.invert_yaxis()


def _curves(axes: Axes, table: dict[str, list[float]], what: str) -> None:
    amplitude = np.array(table["amplitude"])
    full = np.array(table[f"rnn_{what}_full"])
    for order, (colour, line) in ORDERS.items():
        axes.plot(amplitude, table[f"rnn_{what}_order_{order}"], line, color=colour, label=f"RNN to $Y^{order}$")
    axes.plot(amplitude[::2], full[::2], "o", color="k", mfc="white", ms=3.5, label="RNN, full")
    axes.plot(amplitude, table[f"dnn_{what}_full"], "-", color="C1", lw=2.4, alpha=0.6, label="DNN, full")
    span = np.abs(full).max()
    axes.set_ylim(min(full.min(), 0) - 0.3 * span, max(full.max(), 0) + 0.3 * span)
    axes.set_xlabel("amplitude $a$")
    axes.set_title(f"$H^{{{ENTRY[0]},{ENTRY[1]}}}$" if what == "entry" else f"output $f$ at $t={TIME}$")
    _letter(axes, "c" if what == "entry" else "d", -0.2)

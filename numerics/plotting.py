"""Results that draw themselves. The one module of numerics that uses matplotlib, and only when something is drawn.

A class that takes part has `draw`; colours and sizes are those of the matplotlib style in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numerics.errors import InputError
from numerics.linalg import BoolArray, FloatArray


class Drawn:
    """A result that draws itself."""

    def title(self) -> str:
        """What it is, in a few words."""
        return type(self).__name__

    def draw(self, ax: Any, **style: Any) -> None:
        """Draw on matplotlib axes; the style is that of `plot`."""
        raise NotImplementedError

    def plot(self, ax: Any = None, **style: Any) -> Any:
        """Draw on matplotlib axes; returns these.

        Args:
            ax: matplotlib axes; unless given the current ones, or those of a new figure where something is drawn there.
            style: keywords of matplotlib for what is drawn: of ``imshow`` for a kernel (``cmap``, ``vmax``, …), of
                ``plot`` for curves (``color``, ``lw``, …), of ``pcolormesh`` for a map, of ``scatter`` for labels.
        """
        ax = axes_for(ax)
        self.draw(ax, **style)
        return ax


def axes_for(ax: Any) -> Any:
    """The axes that were given; else the current ones while nothing is drawn on them, then those of a new figure.

    Raises:
        InputError: they are no axes.
    """
    if ax is not None:
        if not hasattr(ax, "imshow"):
            raise InputError(f"ax: is of type {type(ax).__name__}; accepted: matplotlib axes")
        return ax
    from matplotlib import pyplot as plt

    current = plt.gca()
    return plt.figure().gca() if current.has_data() else current


def plot(result: Any, ax: Any = None, **style: Any) -> Any:
    """Draw a result: kernels as colours, curves as lines (`Solution`, `Simulation`, `Scan`, `Landscape`, …).

    Args:
        result: any result; or a list of states and simulations, whose kernels are drawn side by side on one colour
            scale.
        ax: matplotlib axes, as of the result's own ``plot``.
        style: keywords of matplotlib, as of the result's own ``plot``.

    Returns:
        The axes.

    Raises:
        InputError: it is no result, or results of a list have no kernel, or kernels of different sizes.
    """
    if isinstance(result, list | tuple) and result and all(isinstance(each, Drawn) for each in result):
        return _plot_together(result, ax, style)
    if not isinstance(result, Drawn):
        empty = isinstance(result, list | tuple) and not result
        wrong = "is empty" if empty else f"is of type {type(result).__name__}"
        accepted = "a result, such as solve(problem) or simulate(problem, 64), or a list of states and simulations"
        raise InputError(f"result: {wrong}; accepted: {accepted}")
    return result.plot(ax, **style)


def _plot_together(results: Sequence[Any], ax: Any, style: dict[str, Any]) -> Any:
    kernels = [(each.title(), each.matrix(), each.matrix_patterns()) for each in results]
    sizes = {None if matrix is None or P == 0 else (len(matrix), P) for _, matrix, P in kernels}
    if len(sizes) > 1 or None in sizes:
        raise InputError("result: is a list of other things than kernels of one size; accepted: states and simulations")
    ax = axes_for(ax)
    titled = [(title, matrix) for title, matrix, _ in kernels]
    side_by_side(titled, kernels[0][2], ax, **{"label": kernel_label(results[0].problem.kernel_symbol), **style})
    return ax


def task_title(problem: Any, without: str = "") -> str:
    """The title of a problem's picture: its network, T, κ, and u, v, w where these are not 1; `without` one of them."""
    held = [("kappa", r"\kappa"), ("u", "u"), ("v", "v"), ("w", "w")]
    numbers = [
        f"${symbol} = {getattr(problem, name):.4g}$"
        for name, symbol in held
        if name != without and (name == "kappa" or getattr(problem, name) != 1)
    ]
    return ", ".join([problem.model, f"$T = {problem.T}$", *numbers])


def line_style(style: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Keywords of matplotlib's ``plot``: those given, under their full names, before the defaults."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return {**defaults, **normalize_kwargs(style, Line2D)}


def kernel_label(symbol: str) -> str:
    """What the colours of a kernel with this symbol are."""
    return f"kernel ${symbol}^{{tt'}}$".replace("Φ", r"\Phi")


def kernel(
    matrix: FloatArray,
    P: int,
    ax: Any,
    *,
    label: str = "kernel",
    symmetric: bool = False,
    largest: float | None = None,
    **style: Any,
) -> None:
    """A time-major kernel (nP, nP) as colours, with lines between the times.

    `symmetric` puts 0 in the middle; `largest` is the end of the colour scale, that several kernels may share; `style`
    has keywords of ``imshow``.
    """
    n = len(matrix) // P
    _image(matrix, ax, label, symmetric, largest, style)
    middle = np.arange(n) * P + (P - 1) / 2
    ax.set(xticks=middle, yticks=middle, xticklabels=range(1, n + 1), yticklabels=range(1, n + 1))
    if P > 1:
        for edge in np.arange(1, n) * P - 0.5:
            ax.axhline(edge, color="w", lw=0.5)
            ax.axvline(edge, color="w", lw=0.5)
    ax.set(xlabel="time $t'$", ylabel="time $t$")


def side_by_side(
    kernels: Sequence[tuple[str, FloatArray]], P: int, ax: Any, *, label: str = "kernel", **style: Any
) -> None:
    """Kernels (nP, nP) of one size, each under its title, as one image with one colour scale."""
    from matplotlib import rcParams
    from matplotlib.patches import Rectangle

    size = len(kernels[0][1])
    n, gap = size // P, max(1, size // 8)
    starts = np.arange(len(kernels)) * (size + gap)
    whole = np.full((size, len(kernels) * (size + gap) - gap), np.nan)
    for start, (title, matrix) in zip(starts, kernels, strict=True):
        whole[:, start : start + size] = matrix
        place = (start + (size - 1) / 2, -0.5)
        frame = {"ec": rcParams["axes.edgecolor"], "lw": rcParams["axes.linewidth"]}
        ax.add_patch(Rectangle((start - 0.5, -0.5), size, size, fill=False, clip_on=False, **frame))
        ax.annotate(title, place, xytext=(0, 4), textcoords="offset points", ha="center", va="bottom")
        if P > 1:
            edges = np.arange(1, n) * P - 0.5
            ax.hlines(edges, start - 0.5, start + size - 0.5, color="w", lw=0.5)
            ax.vlines(start + edges, -0.5, size - 0.5, color="w", lw=0.5)
    _image(whole, ax, label, False, None, style)
    ax.spines[:].set_visible(False)
    middle = np.arange(n) * P + (P - 1) / 2
    ax.set(yticks=middle, yticklabels=range(1, n + 1), xticks=np.add.outer(starts, middle).ravel())
    ax.set(xticklabels=[*range(1, n + 1)] * len(kernels), xlabel="time $t'$", ylabel="time $t$")


def _image(
    matrix: FloatArray, ax: Any, label: str, symmetric: bool, largest: float | None, style: dict[str, Any]
) -> None:
    """A matrix as colours, NaN where nothing is drawn."""
    largest = float(np.nanmax(np.abs(matrix))) if largest is None else largest
    both_signs = symmetric or bool(np.nanmin(matrix) < -0.05 * largest)
    limits = (-largest, largest) if both_signs else (0.0, largest)
    if "norm" not in style:  # which has limits of its own
        style = {"vmin": limits[0], "vmax": limits[1], **style}
    image = ax.imshow(matrix, **{"cmap": "RdBu_r" if both_signs else "viridis", **style})
    ax.figure.colorbar(image, ax=ax, label=label)


def branch(
    x: FloatArray, y: FloatArray, stable: BoolArray, ax: Any, *, color: str, label: str | None = None, **style: Any
) -> None:
    """A curve, full where its states are stable and dashed where they are not; `style` has keywords of ``plot``."""
    drawn = line_style(style, color=color, label=label)
    ax.plot(x, np.where(stable, y, np.nan), **{"linestyle": "-", **drawn})
    ax.plot(x, np.where(stable, np.nan, y), **{"linestyle": "--", **drawn, "label": None})


def whole_ticks(ax: Any) -> None:
    """Ticks at whole numbers on both axes."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.set_major_formatter(ScalarFormatter())


def order_parameter_axes(T: int, ax: Any) -> None:
    """The labels of the order parameter against the signal."""
    ax.set(xlabel=r"signal $\lambda$", ylabel=rf"order parameter $H^{{{T - 1},{T - 2}}}$")

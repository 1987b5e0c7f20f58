"""Results that draw themselves. The one module of numerics that uses matplotlib, and only when something is drawn.

A class that takes part has `draw`; colours and sizes are those of the matplotlib style in force.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.errors import InputError
from numerics.linalg import BoolArray, FloatArray


class Drawn:
    """A result that draws itself."""

    def draw(self, ax: Any, **style: Any) -> None:
        """Draw on matplotlib axes; the style is that of `plot`."""
        raise NotImplementedError

    def plot(self, ax: Any = None, **style: Any) -> Any:
        """Draw on matplotlib axes, the current ones unless given; returns the axes.

        Args:
            ax: matplotlib axes.
            style: keywords of matplotlib for what is drawn: of ``imshow`` for a kernel (``cmap``, ``vmax``, …), of
                ``plot`` for curves (``color``, ``lw``, …), of ``pcolormesh`` for a map, of ``scatter`` for labels.
        """
        if ax is None:
            from matplotlib import pyplot as plt

            ax = plt.gca()
        self.draw(ax, **style)
        return ax


def plot(result: Any, ax: Any = None, **style: Any) -> Any:
    """Draw a result: kernels as colours, curves as lines (`Solution`, `Simulation`, `Scan`, `Landscape`, …).

    Args:
        result: any result.
        ax: matplotlib axes; the current ones unless given.
        style: keywords of matplotlib, as of the result's own ``plot``.

    Returns:
        The axes.

    Raises:
        InputError: it is no result.
    """
    if not isinstance(result, Drawn):
        raise InputError(
            f"result: is a {type(result).__name__}; accepted: a result, such as a Solution or a Simulation"
        )
    return result.plot(ax, **style)


def lines(style: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Keywords of matplotlib's ``plot``: those given, under their full names, before the defaults."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return {**defaults, **normalize_kwargs(style, Line2D)}


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
    largest = float(np.abs(matrix).max()) if largest is None else largest
    both_signs = symmetric or bool(matrix.min() < -0.05 * largest)
    limits = (-largest, largest) if both_signs else (0.0, largest)
    if "norm" not in style:  # which has limits of its own
        style = {"vmin": limits[0], "vmax": limits[1], **style}
    image = ax.imshow(matrix, **{"cmap": "RdBu_r" if both_signs else "viridis", **style})
    middle = np.arange(n) * P + (P - 1) / 2
    ax.set(xticks=middle, yticks=middle, xticklabels=range(1, n + 1), yticklabels=range(1, n + 1))
    if P > 1:
        for edge in np.arange(1, n) * P - 0.5:
            ax.axhline(edge, color="w", lw=0.5)
            ax.axvline(edge, color="w", lw=0.5)
    ax.set(xlabel="time $t'$", ylabel="time $t$")
    ax.figure.colorbar(image, ax=ax, label=label)


def branch(
    x: FloatArray, y: FloatArray, stable: BoolArray, ax: Any, *, color: str, label: str | None = None, **style: Any
) -> None:
    """A curve, full where its states are stable and dashed where they are not; `style` has keywords of ``plot``."""
    drawn = lines(style, color=color, label=label)
    ax.plot(x, np.where(stable, y, np.nan), **{"linestyle": "-", **drawn})
    ax.plot(x, np.where(stable, np.nan, y), **{"linestyle": "--", **drawn, "label": None})


def order_parameter_axes(T: int, ax: Any) -> None:
    """The labels of the order parameter against the signal."""
    ax.set(xlabel=r"signal $\lambda$", ylabel=rf"order parameter $H^{{{T - 1},{T - 2}}}$")

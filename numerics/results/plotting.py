"""Results that draw themselves. The one module of numerics that uses matplotlib, and only when something is drawn.

Each function draws on the `axes` given, or on the current ones, and returns them; colours and sizes are those of the
matplotlib style in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from numerics.errors import InputError
from numerics.linalg import FloatArray

if TYPE_CHECKING:
    from numerics.checking.agreement import Agreement
    from numerics.endpoint_task.batch import EndpointBatch
    from numerics.endpoint_task.landscape import Landscape
    from numerics.endpoint_task.scan import EndpointScan


class Drawn:
    """A result that draws itself."""

    def plot(self, ax: Any = None) -> Any:
        """Draw on matplotlib axes, the current ones unless given (`numerics.plot`); returns the axes."""
        return plot(self, ax)


def plot(result: Any, ax: Any = None) -> Any:
    """Draw a result: kernels as colours, scans and batches as the order parameter against λ, landscapes as F.

    Args:
        result: a `Solution`, `NonlinearSolution`, `Simulation` (its mean kernel), `EndpointScan`, `EndpointBatch`,
            `Landscape` or `Agreement` (its z-scores).
        ax: matplotlib axes; the current ones unless given.

    Returns:
        The axes.

    Raises:
        InputError: nothing is known about how to draw it.
    """
    kind = type(result).__name__
    if kind not in _PAINTERS:
        raise InputError(f"result: is a {kind}; accepted: {', '.join(_PAINTERS)}")
    if ax is None:
        from matplotlib import pyplot as plt

        ax = plt.gca()
    _PAINTERS[kind](result, ax)
    return ax


def kernel(matrix: FloatArray, P: int, ax: Any, *, label: str = "kernel", symmetric: bool = False) -> None:
    """A time-major kernel (nP, nP) as colours, with lines between the times; `symmetric` puts 0 in the middle."""
    n = len(matrix) // P
    largest = float(np.abs(matrix).max())
    both_signs = symmetric or bool(matrix.min() < -0.05 * largest)
    limits = (-largest, largest) if both_signs else (0.0, largest)
    image = ax.imshow(matrix, cmap="RdBu_r" if both_signs else "viridis", vmin=limits[0], vmax=limits[1])
    middle = np.arange(n) * P + (P - 1) / 2
    ax.set(xticks=middle, yticks=middle, xticklabels=range(1, n + 1), yticklabels=range(1, n + 1))
    if P > 1:
        for edge in np.arange(1, n) * P - 0.5:
            ax.axhline(edge, color="w", lw=0.5)
            ax.axvline(edge, color="w", lw=0.5)
    ax.set(xlabel="time $t'$", ylabel="time $t$")
    ax.figure.colorbar(image, ax=ax, label=label)


def _solution(result: Any, ax: Any) -> None:
    kernel(result.kernel, result.problem.P, ax, label=r"kernel $\Phi^{tt'}$")
    ax.set_title(f"{result.problem.network}, {result.branch}", loc="left")


def _simulation(result: Any, ax: Any) -> None:
    kernel(result.kernel_mean, result.problem.P, ax, label=r"mean kernel $\Phi^{tt'}$")
    ax.set_title(f"{result.problem.network}, $N = {result.width}$", loc="left")


def _agreement(result: Agreement, ax: Any) -> None:
    kernel(result.z, 1, ax, label="difference, in standard errors", symmetric=True)
    ax.set_title("agrees" if result.agrees else "disagrees", loc="left")


def _scan(result: EndpointScan, ax: Any) -> None:
    for index, branch in enumerate(result.branches):
        for there, style in ((branch.stable, "-"), (~branch.stable, "--")):
            shown = np.where(there, branch.order_parameter, np.nan)
            ax.plot(result.signal, shown, style, color=f"C{index}", label=branch.name if style == "-" else None)
    for point in result.special_points:
        ax.axvline(point.signal, color="0.6", lw=0.6, ls=":", zorder=0)
    _order_parameter_axes(result.T, ax)
    ax.legend()


def _batch(result: EndpointBatch, ax: Any) -> None:
    order = np.argsort(result.signal, kind="stable")
    for there, style in ((result.stable, "-"), (~result.stable, "--")):
        ax.plot(result.signal[order], np.where(there, result.order_parameter, np.nan)[order], style, color="C0")
    _order_parameter_axes(result.T, ax)


def _order_parameter_axes(T: int, ax: Any) -> None:
    ax.set(xlabel=r"signal $\lambda$", ylabel=rf"order parameter $H^{{{T - 1},{T - 2}}}$")


def _landscape(result: Landscape, ax: Any) -> None:
    order = np.argsort(result.correlation)
    ax.plot(result.correlation[order], result.free_energy[order])
    ax.set(xlabel="correlation of the last two times $q$", ylabel="free energy $F$")


_PAINTERS = {
    "LinearSolution": _solution,
    "NonlinearSolution": _solution,
    "Simulation": _simulation,
    "EndpointScan": _scan,
    "EndpointBatch": _batch,
    "Landscape": _landscape,
    "Agreement": _agreement,
}

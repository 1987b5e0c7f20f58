"""`unrolled landscape endpoint`: the free energy along the order parameter, and a cut through the coherent minima."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.free_parameter import require_picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from numerics.endpoint_task.landscape import Landscape

#: Largest correlation of the landscape, and the extent of the cut in units of the coherent minimum.
EDGE, ACROSS, UP = 0.98, 1.8, (-0.6, 2.0)


@click.command("landscape")
@click.argument("problem", metavar="endpoint", shell_complete=lambda ctx, param, typed: ["endpoint"])
@click.option("--T", "T", type=int, required=True, help="Index of the last output, at least 4.")
@click.option("--signal", type=float, required=True, help="λ = y²/(v w^(T-2) u).")
@click.option("--kappa", type=float, default=1.0, show_default=True, help="Noise, K = κ/N.")
@click.option("--points", type=click.IntRange(3, 2001), default=81, show_default=True, help="Points along each axis.")
@click.option("--plane", is_flag=True, help="The two-dimensional cut as well (beyond the transition).")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Picture: FILE.png, .pdf or .svg.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    problem: str,
    T: int,
    signal: float,
    kappa: float,
    points: int,
    plane: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """The RNN's free energy with all but the order parameter minimised out, in units u = v = w = 1.

    Exit status 1 if a constrained minimum was not reached.
    """
    if problem != "endpoint":
        raise click.UsageError(f"PROBLEM: is {problem!r}; accepted: endpoint")
    require_picture(out)
    import numpy as np

    from numerics.endpoint_task import landscape as landscapes

    with output.working("landscape") as told:
        curve = landscapes.landscape(T, signal, np.linspace(-EDGE, EDGE, points), kappa, progress=told)
        axes = np.linspace(-ACROSS, ACROSS, points), np.linspace(*UP, points)
        told("landscape: the plane", 0, 0)
        cut = landscapes.plane(T, signal, *axes, kappa) if plane else None
    if out is not None:
        picture(curve, axes, cut, rf"RNN, $T = {T}$, $\lambda = {signal:g}$, $\kappa = {kappa:g}$", out)
    if as_json:
        fields = landscape_fields(curve)
        if cut is not None:
            fields["plane"] = {"x": axes[0], "y": axes[1], "free_energy": output_rows(cut)}
        output.print_json(fields)
    else:
        print_landscape(curve, points)
        if out is not None:
            click.echo(out)
    return 0 if np.isfinite(curve.free_energy).all() else 1


def landscape_fields(curve: Landscape) -> dict[str, Any]:
    """Arrays along the order parameter; null where the constrained minimum was not reached."""
    return {
        "correlation": curve.correlation,
        "order_parameter": curve.order_parameter,
        "free_energy": output_rows(curve.free_energy),
        "residual": curve.residual,
        "minima": minima(curve),
    }


def output_rows(values: NDArray[np.float64]) -> Any:
    """Nested lists with None where a value is undefined."""
    import numpy as np

    rows = values.astype(object)
    rows[~np.isfinite(values)] = None
    return rows


def minima(curve: Landscape) -> list[dict[str, float]]:
    """Minima of the curve, located between its points."""
    return [{"order_parameter": psi, "free_energy": F} for psi, F in curve.turning_points()]


def print_landscape(curve: Landscape, points: int) -> None:
    """A table for people, of at most 21 points."""
    rows = [
        [f"{q:.4g}", f"{psi:.6g}", f"{F:.10g}", f"{residual:.0e}"]
        for q, psi, F, residual in list(
            zip(curve.correlation, curve.order_parameter, curve.free_energy, curve.residual, strict=True)
        )[:: max(1, points // 20)]
    ]
    output.print_table("Landscape", ["correlation", "order parameter", "free energy", "residual"], rows)
    rounding = 1e-9 * float(abs(curve.order_parameter).max())
    places = [(0.0 if abs(psi) < rounding else psi, F) for psi, F in curve.turning_points()]
    found = ", ".join(f"{psi:.4g} (F = {F:.6g})" for psi, F in places)
    click.echo(f"{'Minimum' if len(places) == 1 else 'Minima'} of the curve at order parameter {found}")


def picture(
    curve: Landscape,
    axes: tuple[NDArray[np.float64], NDArray[np.float64]],
    cut: NDArray[np.float64] | None,
    problem: str,
    path: Path,
) -> None:
    """F along the order parameter and, where asked for, contours of the cut with its minima at (±1, 1)."""
    import numpy as np

    from derivations.figures.panel import styled
    from numerics.files import whole_file

    with styled():
        from matplotlib import pyplot as plt
        from matplotlib.patheffects import withStroke
        from matplotlib.ticker import MaxNLocator

        count = 1 if cut is None else 2
        figure, panels = plt.subplots(1, count, figsize=(3.4 * count, 2.6), squeeze=False)
        line, rise = panels[0, 0], curve.free_energy - np.nanmin(curve.free_energy)
        curve.draw(line)
        barrier = rise[len(rise) // 2]
        top = 4 * barrier if barrier > 0 else 0.2
        shown = np.abs(curve.order_parameter[rise < top]).max()
        line.set(xlim=(-1.1 * shown, 1.1 * shown), ylim=(-0.05 * top, top))
        line.set_title(problem, loc="left")
        if cut is not None:
            across, up = axes
            height = cut - np.nanmin(cut)
            origin = height[np.argmin(np.abs(up)), np.argmin(np.abs(across))]
            levels = MaxNLocator(16).tick_values(0.0, 2.0 * origin)  # round numbers, of which the scale shows some
            plane = panels[0, 1]
            filled = plane.contourf(across, up, height, levels=levels, cmap="viridis", extend="max")
            middle = len(rise) // 2
            lowest = rise[middle] < min(rise[middle - 1], rise[middle + 1])  # the incoherent state, metastable
            plane.plot([-1, 1], [1, 1], "o", color="white", mec="black", ms=5)
            plane.plot(0, 0, "o" if lowest else "X", color="white", mec="black", ms=5)
            outlined = {"color": "w", "path_effects": [withStroke(linewidth=1.5, foreground="0.2")]}
            for name, place, below in (("incoherent", (0, 0), -14), ("coherent", (-1, 1), 7), ("coherent", (1, 1), 7)):
                plane.annotate(name, place, (0, below), textcoords="offset points", ha="center", **outlined)
            plane.set(
                xlabel=r"part of $H$ that $W \to -W$ reverses",
                ylabel=r"part of $H$ that $W \to -W$ keeps",
                title="straight cut through these states",
            )
            figure.colorbar(filled, ax=plane, label=r"free energy $F - F_\mathrm{lowest}$", format="%g")
        with whole_file(path) as temporary:
            figure.savefig(temporary)

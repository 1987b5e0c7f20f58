"""`unrolled sweep PROBLEM`: the lowest state over a grid of parameters; an interrupted sweep resumes."""

from __future__ import annotations

import itertools
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.free_parameter import MOST_VALUES, VariesSignal
from derivations.commands.problems import ParameterType, problem_options

if TYPE_CHECKING:
    from numerics.inputs.problem import Problem
    from numerics.sweeping import Sweep

NUMERIC = ("signal", "kappa", "u", "v", "w", "rho", "skip", "bias")
AXES = (*NUMERIC, "arch")


class Axis(ParameterType):
    """``name=first:last:count`` or ``name=value,value,…``."""

    name = "axis"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[Any, ...]]:
        """``"signal=1:3:3"`` → ("signal", (1.0, 2.0, 3.0))."""
        if isinstance(value, tuple | list):
            return tuple(value)
        name, equals, text = value.partition("=")
        if name not in AXES or not equals or not text:
            accepted = f"name=first:last:count or name=value,…, with name one of {', '.join(AXES)}"
            self.fail(f"is {value!r}; accepted: {accepted}", param, ctx)
        if name == "arch":
            return name, tuple(text.split(","))
        try:
            if ":" in text:
                first, last, count = text.split(":")
                low, high, number = float(first), float(last), int(count)
                if not 2 <= number <= MOST_VALUES or not (math.isfinite(low) and math.isfinite(high)):
                    raise ValueError
                return name, tuple(low + (high - low) * k / (number - 1) for k in range(number))
            return name, tuple(float(part) for part in text.split(","))
        except ValueError:
            self.fail(
                f"is {value!r}; accepted: {name}=first:last:count, count from 2 to {MOST_VALUES}, or {name}=value,…",
                param,
                ctx,
            )


@click.command("sweep", cls=VariesSignal)
@problem_options
@click.option(
    "--over",
    "axes",
    type=Axis(),
    multiple=True,
    required=True,
    help="An axis: signal=1:40:20, kappa=0.5,1, arch=rnn,dnn; give it several times for a grid.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where finished points are kept; the same folder resumes.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the labelled array: FILE.nc.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    problem: Problem, axes: tuple[tuple[str, tuple[Any, ...]], ...], directory: Path, out: Path | None, as_json: bool
) -> int:
    """Solve PROBLEM at every combination of the axes' values, on all cores.

    The signal is the λ of an endpoint problem, which then needs no --signal; of any other it multiplies every label's
    square. The other parameters change with labels fixed. --out needs xarray (the extra "sweeps"). Exit status 1 if a
    point did not converge.
    """
    if out is not None and out.suffix != ".nc":
        raise click.UsageError(f"--out: is {str(out)!r}; accepted: a file name ending in .nc")
    names = [name for name, _ in axes]
    if len(set(names)) < len(names):
        raise click.UsageError(f"--over: names {', '.join(names)}; accepted: each parameter once")
    from numerics.continuation.parameters import changed
    from numerics.files import write_netcdf
    from numerics.sweeping import sweep

    with output.working("points") as told:
        result = sweep(partial(changed, problem), dict(axes), directory, progress=told)
    if out is not None:
        write_netcdf(result.to_xarray(), out)
    if as_json:
        output.print_json(sweep_fields(result, dict(axes)))
    else:
        print_sweep(result)
        if out is not None:
            click.echo(out)
    return 0 if bool(result.converged.all()) else 1


def sweep_fields(result: Sweep, axes: dict[str, Any]) -> dict[str, Any]:
    """The axes, and nested arrays over them in this order; null where a number is undefined."""
    import numpy as np

    from numerics.sweeping import KEPT_ARRAYS, KEPT_SCALARS

    fields: dict[str, Any] = {"axes": axes}
    for name in (*KEPT_SCALARS, "order_parameter", *KEPT_ARRAYS):
        array = getattr(result, name)
        values = array
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            values = values.astype(object)
            values[~np.isfinite(array)] = None
        fields[name] = values
    return fields


def print_sweep(result: Sweep) -> None:
    """One row for each point, at most forty."""
    names = [name for name, _ in result.axes]
    rows = []
    for k, point in enumerate(itertools.islice(itertools.product(*(values for _, values in result.axes)), 40)):
        rows.append(
            [
                *(value if isinstance(value, str) else f"{value:.6g}" for value in point),
                f"{result.free_energy.flat[k]:.10g}",
                "coherent" if result.coherent.flat[k] else "incoherent",
                f"{result.residual.flat[k]:.0e}",
                "yes" if result.converged.flat[k] else "no",
            ]
        )
    output.print_table("Lowest states", [*names, "free energy", "branch", "residual", "converged"], rows)
    if result.free_energy.size > len(rows):
        click.echo(f"{result.free_energy.size} points; the first {len(rows)} are shown.")

"""`unrolled scan endpoint`: every branch along the signal, with its special points, and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.problems import ParameterType, bad_input

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from numerics.endpoint_task.scan import EndpointScan

PICTURES = (".png", ".pdf", ".svg")


class SignalRange(ParameterType):
    """``first:last:count``, evenly spaced signals."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float, int]:
        """``"1:40:200"`` → (1.0, 40.0, 200)."""
        try:
            first, last, count = value.split(":")
            low, high, number = float(first), float(last), int(count)
        except ValueError:
            self.fail(f"is {value!r}; accepted: first:last:count, such as 1:40:200", param, ctx)
        if not (0 < low < high < float("inf") and number >= 2):
            self.fail(f"is {value!r}; accepted: first:last:count with 0 < first < last and count ≥ 2", param, ctx)
        return low, high, number


@click.command("scan")
@click.argument("problem", metavar="endpoint")
@click.option("--T", "T", type=int, required=True, help="Index of the last output, 3 to 12.")
@click.option("--signal", type=SignalRange(), required=True, help="first:last:count, such as 1:40:200.")
@click.option("--kappa", type=float, default=1.0, show_default=True, help="Noise, K = κ/N.")
@click.option("--arch", default="rnn", show_default=True, help="rnn or dnn.")
@click.option("--activation", default="linear", show_default=True, help="linear, erf, tanh or relu.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Picture: FILE.png, .pdf or .svg.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    problem: str,
    T: int,
    signal: tuple[float, float, int],
    kappa: float,
    arch: str,
    activation: str,
    out: Path | None,
    as_json: bool,
) -> int:
    """Follow every stationary state of endpoint supervision along λ, in units u = v = w = 1.

    Special points are pitchforks, folds, and signals at which two stable states have the same free energy. The states
    at each signal have to pass a count, Σ(-1)^index = 1, that a missing branch breaks; exit status 1 if they do not, or
    if a bound on the work was met. A nonlinear network is solved at each signal, seconds each for T ≤ 4, and its
    pitchfork is found; exit status 1 if a state did not reach its tolerance.
    """
    if problem != "endpoint":
        raise click.UsageError(f"PROBLEM: is {problem!r}; accepted: endpoint")
    if out is not None and out.suffix not in PICTURES:
        raise click.UsageError(f"--out: is {str(out)!r}; accepted: a file name ending in {', '.join(PICTURES)}")
    import numpy as np

    from numerics.endpoint_task.scan import scan_endpoint

    converged = True
    with bad_input():
        if activation == "linear":
            found = scan_endpoint(T, np.linspace(*signal), kappa, arch)
        else:
            from derivations.commands.nonlinear_scan import scan

            found, converged = scan(T, np.linspace(*signal), kappa, arch, activation)
    if out is not None:
        picture(found, out)
    if as_json:
        output.print_json(scan_fields(found))
    else:
        print_scan(found)
        if out is not None:
            click.echo(out)
    if found.incomplete.any():
        click.echo(f"Incomplete: {found.counted}", err=True)
    if not found.finished:
        click.echo(found.status, err=True)
    if not converged:
        click.echo("Not converged: at some signals the averages' error is above tolerance, or Newton failed.", err=True)
    return 0 if converged and found.finished and not found.incomplete.any() else 1


def scan_fields(found: EndpointScan) -> dict[str, Any]:
    """Arrays along λ for each branch, over the signals at which it exists."""
    import numpy as np

    branches = []
    for branch in found.branches:
        there = np.isfinite(branch.free_energy)
        branches.append(
            {
                "name": branch.name,
                "branch": branch.name.split("-")[0],
                "signal": found.signal[there],
                "order_parameter": branch.order_parameter[there],
                "free_energy": branch.free_energy[there],
                "stable": branch.stable[there],
                "residual": branch.residual[there],
                "kernel": branch.kernel[there],
            }
        )
    points = [
        {"type": point.type, "signal": point.signal, "interval": point.interval, "branches": point.branches}
        for point in found.special_points
    ]
    fields = {"T": found.T, "arch": found.arch, "kappa": found.kappa, "branches": branches, "special_points": points}
    if found.index_sums is not None:
        fields |= {"index_sums_hold": not found.incomplete.any(), "incomplete": found.signal[found.incomplete]}
        fields["status"] = found.status
    return fields


def print_scan(found: EndpointScan) -> None:
    """Special points and branches as tables for people."""
    import numpy as np

    output.print_table(
        f"Special points ({found.arch.upper()}, T = {found.T}, κ = {found.kappa:g})",
        ["type", "signal", "within", "branches"],
        [
            [
                point.type,
                f"{point.signal:.12g}",
                f"{point.interval[1] - point.interval[0]:.0e}",
                ", ".join(point.branches),
            ]
            for point in found.special_points
        ],
    )
    rows = []
    for branch in found.branches:
        there = np.isfinite(branch.free_energy)
        if there.any():
            signal, stable = found.signal[there], branch.stable[there]
            rows.append(
                [
                    branch.name,
                    f"{signal.min():.6g} … {signal.max():.6g}",
                    f"{stable.sum()} of {there.sum()}",
                    f"{branch.order_parameter[there][-1]:.6g}",
                    f"{branch.residual[there].max():.0e}",
                ]
            )
    output.print_table(
        "Branches",
        ["name", "signals", "stable points", "order parameter at the last", "largest residual"],
        rows,
    )
    if found.index_sums is not None:
        click.echo(found.counted)


def picture(found: EndpointScan, path: Path) -> None:
    """Order parameter and free energy against λ: full lines are stable, dashed ones are not."""
    import numpy as np

    from derivations.figures.panel import styled
    from numerics.files import whole_file

    with styled():
        from matplotlib import pyplot as plt

        figure, (above, below) = plt.subplots(2, 1, figsize=(3.4, 4.2), sharex=True)
        incoherent = found.branches[0].free_energy
        for index, branch in enumerate(found.branches):
            relative = branch.free_energy - incoherent
            # the line's style changes at special points, between the points of the grid
            own = np.sort([point.signal for point in found.special_points if branch.name in point.branches])
            own = own[(own > found.signal[0]) & (own < found.signal[-1])]
            places = np.searchsorted(found.signal, own)
            signal = np.insert(found.signal, places, own)
            stable = np.insert(branch.stable, places, branch.stable[places])
            for axes, value in ((above, branch.order_parameter), (below, relative)):
                line = np.insert(value, places, np.interp(own, found.signal, value))
                for mask, style in ((stable, "-"), (~stable, "--")):
                    shown = np.where(_with_neighbours(mask), line, np.nan)
                    axes.plot(signal, shown, style, color=f"C{index % 7}", lw=1.2 if style == "-" else 0.8)
        for point in found.special_points:
            for axes in (above, below):
                axes.axvline(point.signal, color="0.6", lw=0.5, ls=":")
        above.set_ylabel(rf"order parameter $H^{{{found.T - 1},{found.T - 2}}}$")
        below.set(xlabel=r"signal $\lambda$", ylabel=r"$F - F_\mathrm{incoherent}$")
        with whole_file(path) as temporary:
            figure.savefig(temporary)


def _with_neighbours(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True also beside a true entry, so that the pieces of a line meet."""
    wider = mask.copy()
    wider[1:] |= mask[:-1]
    return wider

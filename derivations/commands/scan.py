"""`unrolled scan PROBLEM`: every branch along a parameter, with special points, the hysteresis loop and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.free_parameter import Over, VariesSignal, require_picture
from derivations.commands.problems import problem_options

if TYPE_CHECKING:
    from numerics.continuation.hysteresis import HysteresisLoop, Passage
    from numerics.continuation.scanned import Scan
    from numerics.continuation.scanned_branch import ScannedBranch
    from numerics.continuation.special_points import SpecialPoint
    from numerics.inputs.problem import Problem


@click.command("scan", cls=VariesSignal)
@problem_options
@click.option(
    "--over",
    type=Over(),
    required=True,
    help="What varies, labels fixed: signal=1:40:200 (first:last:count), kappa=…, u, v, w, rho, skip or bias.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Picture: FILE.png, .pdf or .svg.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(problem: Problem, over: tuple[str, float, float, int], out: Path | None, as_json: bool) -> int:
    """Follow every stationary state of PROBLEM along one parameter: endpoint, sequence, or a FILE.npz.

    The signal is the λ of an endpoint problem, whose range --signal 1:40:200 gives too; of any other it multiplies
    every label's square. Special points are pitchforks, folds, branch points, and values at which two minima have the
    same free energy. The hysteresis loop follows the lowest state adiabatically up and down again. At each value the
    states are counted: Σ(-1)^index over them is 1 unless a branch is missing. A nonlinear network is solved at each
    value (seconds each for one pattern and T ≤ 4), and the pitchfork of its incoherent state is located. Exit status 1
    if a count fails, a bound on the work was met, a branch or the loop is lost, or a state did not reach its tolerance.
    """
    require_picture(out)
    import numpy as np

    from numerics.continuation.scan import scan

    name, *ends = over
    with output.working("scan") as progress:
        found = scan(problem, {name: np.linspace(*ends)}, progress=progress)  # type: ignore[call-overload]
    if out is not None:
        from derivations.figures.branches import picture

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
    if not found.converged:
        click.echo("Not converged: at some values the averages' error is above tolerance, or Newton failed.", err=True)
    return 0 if found.converged and found.finished and not found.incomplete.any() else 1


def scan_fields(found: Scan) -> dict[str, Any]:
    """Arrays along the parameter for each branch, over the values at which it exists, and what happens on the way."""
    problem, signal = found.problem, found.parameter == "signal"
    fields: dict[str, Any] = {"parameter": found.parameter, "range": [found.value[0], found.value[-1]]}
    fields |= {"T": problem.T, "arch": problem.arch}
    fields |= {name: getattr(problem, name) for name in ("kappa", "u", "v", "w") if name != found.parameter}
    fields["branches"] = [_branch_fields(branch, found) for branch in found.branches]
    fields["special_points"] = [_point_fields(point, signal) for point in found.special_points]
    if found.index_sums is not None:
        fields |= {"index_sums_hold": not found.incomplete.any(), "incomplete": found.value[found.incomplete]}
    if found.problem.activation.name == "linear":
        fields["stable"] = [{"branch": number, "range": span} for number, *span in found.stable_ranges]
        fields["hysteresis"] = loop_fields(found.loop)
    return fields | {"status": found.status, "converged": found.converged}


def _branch_fields(branch: ScannedBranch, found: Scan) -> dict[str, Any]:
    import numpy as np

    there = np.isfinite(branch.free_energy)
    value = found.value[there]
    fields = {"name": branch.name, "branch": branch.kind, "number": branch.number, "lag_period": branch.lag}
    fields |= {"value": value} | ({"signal": value} if found.parameter == "signal" else {})
    for name in ("order_parameter", "free_energy", "stable", "negative", "residual", "kernel"):
        values = getattr(branch, name)[there]
        if name != "negative":
            fields[name] = values
        elif np.isfinite(values).all():
            fields[name] = values.astype(int)
    return fields | {"ends": branch.ends}


def _point_fields(point: SpecialPoint, signal: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": point.type, "value": point.value}
    if signal:
        fields["signal"] = point.value
    fields |= {"interval": point.interval, "branches": point.names}
    return fields | ({"order_parameter": point.order_parameter} if point.order_parameter else {})


def loop_fields(loop: HysteresisLoop | None) -> dict[str, Any] | None:
    """Both passages, and the intervals over which they differ."""
    if loop is None:
        return None
    return {"up": _passage_fields(loop.up), "down": _passage_fields(loop.down), "width": loop.width}


def _passage_fields(passage: Passage) -> dict[str, Any]:
    names = ("branch", "value", "order_parameter", "free_energy")
    jumps = ("value", "branches", "order_parameter", "free_energy", "continuous")
    return {
        "legs": [{name: getattr(leg, name) for name in names} for leg in passage.legs],
        "transitions": [{name: getattr(jump, name) for name in jumps} for jump in passage.transitions],
    }


def print_scan(found: Scan) -> None:
    """Special points, branches and the loop as tables for people."""
    import numpy as np

    problem, name = found.problem, found.parameter
    along = f"points along {name} ({problem.network}, T = {problem.T})"
    points = [
        [p.type, f"{p.value:.12g}", f"{p.interval[1] - p.interval[0]:.0e}", ", ".join(p.names)]
        for p in found.special_points
    ]
    if points:
        output.print_table(f"Special {along}", ["type", name, "within", "branches"], points)
    else:
        click.echo(f"No special {along}.")
    rows = []
    for branch in found.branches:
        there = np.isfinite(branch.free_energy)
        if there.any():
            value, stable = found.value[there], branch.stable[there]
            rows.append(
                [
                    branch.name,
                    f"{value.min():.5g}" + (f" … {value.max():.5g}" if len(value) > 1 else ""),
                    f"{stable.sum()} of {there.sum()}",
                    f"{branch.order_parameter[there][-1]:.6g}",
                    f"{branch.residual[there].max():.0e}",
                ]
            )
    header = ["name", name, "stable", "last order parameter", "residual"]
    output.print_table("Branches", header, rows)
    if found.index_sums is not None:
        click.echo(found.counted)
    if found.loop is None:
        return
    names = {branch.number: branch.name.rstrip("abcdefgh") for branch in found.branches}
    jumps = [
        [
            direction,
            f"{jump.value:.9g}",
            " → ".join(names.get(number, str(number)) for number in jump.branches),
            f"{jump.order_parameter[0]:.5g} → {jump.order_parameter[1]:.5g}",
            "continuous" if jump.continuous else "jump",
        ]
        for direction, passage in (("up", found.loop.up), ("down", found.loop.down))
        for jump in passage.transitions
    ]
    if not jumps:
        click.echo("No transition of the lowest state on the way up or down: no hysteresis loop.")
        return
    title = "Hysteresis loop" if found.loop.width else "Transitions on the way up and down: no hysteresis loop"
    output.print_table(title, ["way", name, "branches", "order parameter", "transition"], jumps)

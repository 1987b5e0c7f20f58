"""`unrolled continue PROBLEM`: every branch in the signal, the noise or a prior width, with its hysteresis loop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.free_parameter import Range, VariesSignal, require_picture
from derivations.commands.problems import problem_options

if TYPE_CHECKING:
    from numerics.continuation.branch import Branch
    from numerics.continuation.diagram import Diagram
    from numerics.continuation.hysteresis import Hysteresis, Sweep
    from numerics.inputs.problem import Problem

PARAMETERS = ("signal", "kappa", "u", "v", "w")
#: Points drawn for each step of a branch.
BETWEEN = 20
SYMBOLS = {"signal": r"signal $\lambda$", "kappa": r"noise $\kappa$", "u": "$u$", "v": "$v$", "w": "$w$"}


@click.command("continue", cls=VariesSignal)
@problem_options
@click.option(
    "--parameter", default="signal", show_default=True, help=f"What varies, labels fixed: {', '.join(PARAMETERS)}."
)
@click.option("--range", "span", type=Range(), required=True, help="low:high of the parameter, such as 1:40.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Picture: FILE.png, .pdf or .svg.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(problem: Problem, parameter: str, span: tuple[float, float], out: Path | None, as_json: bool) -> int:
    """Follow every stationary state of PROBLEM along one parameter: endpoint, sequence, or a FILE.npz.

    The signal multiplies every label's square: the λ of an endpoint problem, which then needs no --signal. Special
    points are pitchforks, folds, branch points, and values at which two minima have the same free energy; the loop is
    that of the state followed adiabatically up and down. Branches that leave the range are followed outside, as they
    may return. Exit status 1 if a bound on the work was met, or a branch or the loop is lost.
    """
    require_picture(out)
    from numerics.continuation.hysteresis import hysteresis

    found = follow(problem, parameter, span)
    loop: Hysteresis | None = None
    status = found.status
    try:
        loop = hysteresis(found)
    except ArithmeticError as error:
        status += f" No loop: {error}."
    if out is not None:
        picture(found, loop, out)
    if as_json:
        output.print_json({**diagram_fields(found), "hysteresis": loop_fields(loop), "status": status})
    else:
        print_diagram(found, loop, status)
        if out is not None:
            click.echo(out)
    return 0 if found.finished and loop is not None else 1


def follow(problem: Problem, parameter: str, span: tuple[float, float]) -> Diagram:
    """The diagram, with a progress bar on standard error if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    from numerics.continuation.diagram import diagram

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("branches", total=None)
        return diagram(
            problem,
            parameter,  # type: ignore[arg-type]
            span,
            progress=lambda done, known: bar.update(task, completed=done, total=known),
        )


def diagram_fields(found: Diagram) -> dict[str, Any]:
    """Arrays along each branch, and the special points."""
    branches = [
        {
            "number": number,
            "lag_period": branch.track.period,
            "value": branch.value,
            "order_parameter": branch.order_parameter,
            "free_energy": branch.free_energy,
            "negative": branch.negative,
            "residual": branch.residual,
            "kernel": branch.kernels,
            "ends": branch.ends,
        }
        for number, branch in enumerate(found.branches)
    ]
    points = [
        {
            "type": point.type,
            "value": point.value,
            "interval": point.interval,
            "branches": point.branches,
            "order_parameter": point.order_parameter,
        }
        for point in found.special_points
    ]
    stable = [
        {"branch": piece.number, "range": [float(found.family.value(bound)) for bound in piece.bounds]}
        for piece in found.stable_pieces
    ]
    return {
        "parameter": found.family.parameter,
        "range": found.span,
        "branches": branches,
        "special_points": points,
        "stable": stable,
    }


def loop_fields(loop: Hysteresis | None) -> dict[str, Any] | None:
    """Both sweeps, and the intervals over which they differ."""
    if loop is None:
        return None
    return {"up": _sweep_fields(loop.up), "down": _sweep_fields(loop.down), "width": loop.width}


def _sweep_fields(sweep: Sweep) -> dict[str, Any]:
    legs = [
        {
            "branch": leg.number,
            "value": leg.value,
            "order_parameter": leg.order_parameter,
            "free_energy": leg.free_energy,
        }
        for leg in sweep.legs
    ]
    transitions = [
        {
            "value": jump.value,
            "branches": jump.branches,
            "order_parameter": jump.order_parameter,
            "free_energy": jump.free_energy,
            "continuous": jump.continuous,
        }
        for jump in sweep.transitions
    ]
    return {"legs": legs, "transitions": transitions}


def print_diagram(found: Diagram, loop: Hysteresis | None, status: str) -> None:
    """Special points, stable stretches and the loop as tables for people."""
    name = found.family.parameter
    output.print_table(
        f"Special points along {name}",
        ["type", name, "within", "branches"],
        [
            [
                point.type,
                f"{point.value:.12g}",
                f"{point.interval[1] - point.interval[0]:.0e}",
                ", ".join(map(str, point.branches)),
            ]
            for point in found.special_points
        ],
    )
    rows = []
    for number, branch in enumerate(found.branches):
        stable = [piece for piece in found.stable_pieces if piece.number == number]
        rows.append(
            [
                str(number),
                f"{branch.value.min():.6g} … {branch.value.max():.6g}",
                ", ".join("{:.6g} … {:.6g}".format(*map(found.family.value, piece.bounds)) for piece in stable)
                or "nowhere",
                f"{branch.negative.min()} to {branch.negative.max()}",
                f"{branch.residual.max():.0e}",
            ]
        )
    output.print_table("Branches", ["branch", name, "stable", "negative eigenvalues", "largest residual"], rows)
    click.echo(status)
    if loop is None:
        return
    jumps = [
        [
            direction,
            f"{jump.value:.12g}",
            f"{jump.branches[0]} → {jump.branches[1]}",
            f"{jump.order_parameter[0]:.6g} → {jump.order_parameter[1]:.6g}",
            "continuous" if jump.continuous else "jump",
        ]
        for direction, sweep in (("up", loop.up), ("down", loop.down))
        for jump in sweep.transitions
    ]
    output.print_table("Adiabatic loop", ["sweep", name, "branches", "order parameter", "transition"], jumps)


def picture(found: Diagram, loop: Hysteresis | None, path: Path) -> None:
    """Order parameter and free energy along the parameter: full lines are minima, dashed ones are not."""
    from derivations.figures.panel import styled
    from numerics.files import whole_file

    with styled():
        from matplotlib import pyplot as plt

        figure, (above, below) = plt.subplots(2, 1, figsize=(3.4, 4.4), sharex=True)
        lines = [line(branch) for branch in found.branches]
        for number, drawn in enumerate(lines):
            lowest = drawn["free_energy"] - _lowest(found, lines, drawn["value"])
            for axes, height in ((above, drawn["order_parameter"]), (below, lowest)):
                axes.plot(drawn["value"], height, "--", color=f"C{number % 7}", lw=0.7)
                for piece in (p for p in found.stable_pieces if p.number == number):
                    part = slice(piece.first * BETWEEN, piece.last * BETWEEN + 1)
                    axes.plot(drawn["value"][part], height[part], "-", color=f"C{number % 7}", lw=1.4)
        for point in found.special_points:
            marker = {"fold": "^", "pitchfork": "o", "branch-point": "s", "equal-free-energy": "d"}[point.type]
            sizes = sorted({round(size, 9) for size in point.order_parameter})
            above.plot([point.value] * len(sizes), sizes, marker, color="0.25", ms=3.2, mfc="white", mew=0.7, zorder=4)
        for sweep in (loop.up, loop.down) if loop is not None else ():
            for jump in (t for t in sweep.transitions if not t.continuous):
                above.annotate(
                    "",
                    xy=(jump.value, jump.order_parameter[1]),
                    xytext=(jump.value, jump.order_parameter[0]),
                    arrowprops={"arrowstyle": "-|>", "color": "0.35", "lw": 0.9, "shrinkA": 0, "shrinkB": 0},
                )
        wide = found.span[1] / found.span[0] > 20
        above.set(ylabel=r"order parameter $\|H^{T-1,T-2}\|$", xscale="log" if wide else "linear")
        below.set(xlabel=SYMBOLS[found.family.parameter], ylabel=r"$F - F_\mathrm{lowest}$", xlim=found.span)
        with whole_file(path) as temporary:
            figure.savefig(temporary)


def line(branch: Branch) -> dict[str, Any]:
    """The branch as a smooth curve: ``BETWEEN`` points for each step, in between by monotonic cubics in arclength."""
    import numpy as np
    from scipy.interpolate import PchipInterpolator

    weights = np.arange(BETWEEN) / BETWEEN
    steps = branch.lengths[:-1, None] + weights * np.diff(branch.lengths)[:, None]
    fine = np.append(steps.ravel(), branch.lengths[-1])
    names = ("value", "order_parameter", "free_energy")
    return {name: PchipInterpolator(branch.lengths, getattr(branch, name))(fine) for name in names}


def _lowest(found: Diagram, lines: list[dict[str, Any]], value: Any) -> Any:
    """The lowest free energy of all branches at the given values."""
    import numpy as np

    from numerics.continuation.branch import monotonic_pieces

    lowest = np.full(value.shape, np.inf)
    for branch, drawn in zip(found.branches, lines, strict=True):
        for first, last in monotonic_pieces(branch):
            x, F = (drawn[name][first * BETWEEN : last * BETWEEN + 1] for name in ("value", "free_energy"))
            order = np.argsort(x)
            lowest = np.minimum(lowest, np.interp(value, x[order], F[order], left=np.inf, right=np.inf))
    return lowest

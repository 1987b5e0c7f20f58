"""`unrolled solve PROBLEM`: the stationary kernels of the free energy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.free_parameter import require_picture
from derivations.commands.problems import problem_options
from derivations.commands.states import (
    all_converged,
    odds_at,
    odds_fields,
    prediction_fields,
    print_overview,
    print_state,
    print_weights,
    state_fields,
)

if TYPE_CHECKING:
    from numerics.inputs.problem import Problem
    from numerics.predictors.predictions import Predictions
    from numerics.results.solution import Solution


@click.command("solve")
@problem_options
@click.option("--all-branches", is_flag=True, help="Every stationary state found, in order of free energy.")
@click.option(
    "--width",
    type=int,
    help="Network width N: adds fluctuations of kernel and outputs, and their mean; the odds of several minima.",
)
@click.option(
    "--digits",
    type=int,
    help="Adds kernel_exact, the kernel to this many digits, at λ and κ as written (endpoint, T ≤ 5).",
)
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), help="File to resume a nonlinear problem from and save to."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Picture: FILE.png, .pdf or .svg.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    problem: Problem,
    all_branches: bool,
    width: int | None,
    digits: int | None,
    checkpoint: Path | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Solve the saddle-point equations of PROBLEM: endpoint, sequence, or a FILE.npz.

    Prints the state of lowest free energy. Exit status 1 if the solver did not reach its tolerance, or with
    --all-branches if their signed count shows that some are missing.
    """
    require_picture(out)
    from numerics import predict, solve, solve_all
    from numerics.inputs.scalars import integer
    from numerics.results.solutions import Solutions

    if digits is not None and problem.activation.name != "linear":
        raise click.UsageError(f"--digits: does not apply to {problem.activation}; accepted: --activation linear")
    if width is not None:
        integer(width, "--width", 1)
    if digits is not None:
        from numerics.endpoint_task.digits import kernel_digits, require_digits  # needs SymPy

        require_digits(problem, digits)
    with output.working("solving") as told:
        options: dict[str, Any] = {"progress": told, "checkpoint": checkpoint}
        every = all_branches
        solutions = solve_all(problem, **options) if every else Solutions((solve(problem, **options),))
        outputs = [predict(solution, width, progress=told) for solution in solutions]
        odds = odds_at(solutions, width, told)
        told("fluctuations" if width else "predictions", 0, 0)
        states = [
            state_fields(solution, width) | odds_fields(solution, odds) | prediction_fields(found)
            for solution, found in zip(solutions, outputs, strict=True)
        ]
        if digits is not None:
            told("digits", 0, 0)
            for solution, fields in zip(solutions, states, strict=True):
                fields["kernel_exact"] = kernel_digits(solution, digits)
    if out is not None:
        draw(solutions[0], outputs[0], out)
    if as_json:
        even = {} if odds is None or odds.even_width is None else {"even_width": odds.even_width}
        output.print_json({"branches": states, **even} if all_branches else states[0])
    else:
        if len(solutions) > 1:
            print_overview(solutions)
        if odds is not None:
            print_weights(solutions, odds)
        for position, (solution, fields, found) in enumerate(zip(solutions, states, outputs, strict=True)):
            print_state(solution, fields, found, position + 1 if len(solutions) > 1 else None)
        if out is not None:
            click.echo(out)
    if solutions.incomplete:
        count = solutions.index_sum
        click.echo(f"Incomplete: the signed count of states, Σ(-1)^index, is {count}; it must be 1.", err=True)
    return 0 if all_converged(solutions) and not solutions.incomplete else 1


def draw(solution: Solution, found: Predictions, out: Path) -> None:
    """The picture of a state, the lowest one of several."""
    from derivations.figures.states import picture

    title = f"{solution.problem.network}, {solution.branch}"
    picture(solution.problem, {title: solution.kernel}, found.lines(), out)

"""Nonlinear networks in `solve`: the conjugate-kernel state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from derivations import output

if TYPE_CHECKING:
    from numerics.inputs.problem import Problem
    from numerics.results.solution import Solution


def solve_command(problem: Problem, *, all_branches: bool, width: int | None, digits: int | None, as_json: bool) -> int:
    """`solve` for a nonlinear network; exit status 1 where the averages' error is above tolerance, or Newton failed."""
    from derivations.commands.solve import print_solution
    from numerics import solve, solve_all
    from numerics.errors import InputError
    from numerics.results.solutions import Solutions

    for flag, value in (("--width", width), ("--digits", digits)):
        if value is not None:
            raise InputError(f"{flag}: does not apply to {problem.activation}; accepted: --activation linear")
    with output.working("solving") as doing:
        every = all_branches
        solutions = solve_all(problem, progress=doing) if every else Solutions((solve(problem, progress=doing),))
    states = [solution_fields(solution) for solution in solutions]
    if as_json:
        output.print_json({"branches": states} if all_branches else states[0])
    else:
        for solution, fields in zip(solutions, states, strict=True):
            print_solution(solution, fields)
            print_engine(solution)
        print_minima(solutions[0])
    return warned(solutions)


def solution_fields(solution: Solution) -> dict[str, Any]:
    """The contract's fields of one state, with the averages' engine and the error that it leaves in the kernel."""
    import numpy as np

    from numerics.nonlinear.solution import NonlinearSolution
    from numerics.predictors import observables

    assert isinstance(solution, NonlinearSolution)
    names = ("kernel", "conjugate", "free_energy", "energy", "entropy", "residual", "stable", "branch")
    known: dict[str, Any] = {"sign_arbitrary": solution.sign_arbitrary} if solution.sign_arbitrary else {}
    if np.isfinite(solution.kernel_error).all():
        known["kernel_error"] = solution.kernel_error
    if solution.minima:
        known["minima"] = solution.minima
    if solution.next_free_energy is not None:
        known["next_free_energy"] = solution.next_free_energy
    return {name: getattr(solution, name) for name in names} | {
        "prediction": observables.predict(solution),
        "coherence": observables.temporal_coherence(solution),
        "autocorrelation": observables.autocorrelation(solution),
        "engine": solution.engine,
        **known,
        "converged": solution.converged,
        "status": solution.status,
    }


def print_engine(solution: Solution) -> None:
    """What the averages were computed with, and how well."""
    from numerics.nonlinear.solution import NonlinearSolution

    assert isinstance(solution, NonlinearSolution)
    worst = float(solution.kernel_error.max())
    click.echo(f"Averages: {solution.engine}, {solution.points} points; largest error of a kernel entry {worst:.1e}")


def print_minima(lowest: Solution) -> None:
    """What the state was compared with."""
    if lowest.minima and lowest.next_free_energy is None:
        click.echo("Minima compared: 1; the search has met no other.")
    elif lowest.minima and lowest.next_free_energy is not None:
        above = output.number(lowest.next_free_energy - lowest.free_energy, 3)
        click.echo(f"Minima compared: {lowest.minima}; F of the next one is {above} above.")


def warned(solutions: Sequence[Solution]) -> int:
    """Exit status; what did not reach its tolerance is said on standard error."""
    for solution in solutions:
        if not solution.converged:
            click.echo(f"Not converged: {solution.status}.", err=True)
    return 0 if all(solution.converged for solution in solutions) else 1

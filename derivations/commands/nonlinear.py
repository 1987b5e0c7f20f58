"""Nonlinear networks in `solve` and `check`: the conjugate-kernel state, and its comparison with sampled networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derivations.commands import output
from derivations.commands.simulate import run, simulation_fields

if TYPE_CHECKING:
    from numerics.agreement import Agreement, WidthTrend
    from numerics.nonlinear.solution import NonlinearSolution
    from numerics.problem import Problem
    from numerics.sampling import Simulation

#: Fractions of the width at which `check` simulates: as many as the polynomial 1, 1/N, 1/N² has coefficients.
DIVISORS = (4, 2, 1)
#: Smallest width of `check`: its quarter still is a network.
SMALLEST_WIDTH = 64


def solve_command(problem: Problem, *, all_branches: bool, width: int | None, digits: int | None, as_json: bool) -> int:
    """`solve` for a nonlinear network; exit status 1 where the averages' error is above tolerance, or Newton failed."""
    from derivations.commands.solve import print_solution
    from numerics.nonlinear.search import solve_all_nonlinear, solve_nonlinear
    from numerics.problem import InputError

    for flag, value in (("--width", width), ("--digits", digits)):
        if value is not None:
            raise InputError(f"{flag}: does not apply to {problem.activation}; accepted: --activation linear")
    with output.working("solving") as doing:
        if all_branches:
            solutions = solve_all_nonlinear(problem, progress=doing)
        else:
            solutions = [solve_nonlinear(problem, progress=doing)]
    states = [solution_fields(solution) for solution in solutions]
    if as_json:
        output.print_json({"branches": states} if all_branches else states[0])
    else:
        for solution, fields in zip(solutions, states, strict=True):
            print_solution(solution, fields)
            print_engine(solution)
    return warned(solutions)


def solution_fields(solution: NonlinearSolution) -> dict[str, Any]:
    """The contract's fields of one state, with the averages' engine and the error that it leaves in the kernel."""
    import numpy as np

    from numerics.predictors import observables

    names = ("kernel", "conjugate", "free_energy", "energy", "entropy", "residual", "stable", "branch")
    known = {"kernel_error": solution.kernel_error} if np.isfinite(solution.kernel_error).all() else {}
    return {name: getattr(solution, name) for name in names} | {
        "prediction": observables.predict(solution),
        "coherence": observables.temporal_coherence(solution),
        "autocorrelation": observables.autocorrelation(solution),
        "engine": solution.engine,
        **known,
        "converged": solution.converged,
        "status": solution.status,
    }


def print_engine(solution: NonlinearSolution) -> None:
    """What the averages were computed with, and how well."""
    worst = float(solution.kernel_error.max())
    click.echo(f"Averages: {solution.engine}, {solution.points} points; largest error of a kernel entry {worst:.1e}")


def warned(solutions: list[NonlinearSolution]) -> int:
    """Exit status; what did not reach its tolerance is said on standard error."""
    for solution in solutions:
        if not solution.converged:
            click.echo(f"Not converged: {solution.status}.", err=True)
    return 0 if all(solution.converged for solution in solutions) else 1


def check_command(problem: Problem, *, as_json: bool, **options: Any) -> int:
    """`check` for a nonlinear network: sampled kernels of three widths, taken to N → ∞ by their measured trend."""
    from numerics.nonlinear.search import solve_nonlinear
    from numerics.problem import InputError

    if options["width"] < SMALLEST_WIDTH:
        raise InputError(
            f"--width: is {options['width']}; accepted: an integer ≥ {SMALLEST_WIDTH} for a nonlinear check"
        )
    with output.working("solving") as doing:
        solution = solve_nonlinear(problem, progress=doing)
    simulations = simulated(problem, options)
    trend, verdict, simulations = compare(solution, simulations)
    agrees = verdict.agrees and solution.converged
    reason = verdict.reason if solution.converged else f"the theory has not converged: {solution.status}"
    if as_json:
        output.print_json(
            {
                "theory": solution_fields(solution),
                "simulation": simulation_fields(simulations[-1]),
                "widths": [simulation.width for simulation in simulations],
                "kernel_limit": trend.limit,
                "kernel_limit_standard_error": trend.limit_standard_error,
                "kernel_shift": trend.coefficients[1],
                "cka": verdict.cka,
                "z": verdict.z,
                "z_limit": verdict.z_limit,
                "agrees": agrees,
                "reason": reason,
            }
        )
    else:
        print_comparison(solution, simulations, trend, verdict)
        click.echo(f"{'Agrees' if agrees else 'DISAGREES'}: {reason}.")
    return 0 if agrees else 1


def simulated(problem: Problem, options: dict[str, Any]) -> list[Simulation]:
    """One simulation for each width, smallest first; a checkpoint folder has one folder for each."""
    simulations = []
    for divisor in DIVISORS:
        width = options["width"] // divisor
        folder = options["checkpoint"]
        place = {"width": width, "checkpoint": None if folder is None else Path(folder) / f"width-{width}"}
        simulations.append(run(problem, **{**options, **place}))
    return simulations


def compare(
    solution: NonlinearSolution, simulations: list[Simulation]
) -> tuple[WidthTrend, Agreement, list[Simulation]]:
    """The trend of the sampled kernels, its limit against the theory, and the simulations in the theory's basin.

    No shift at finite N is known for a nonlinear network, so that ``Φ_∞ + a/N + b/N²`` is fitted to three widths.
    """
    import numpy as np

    from numerics import agreement
    from numerics.symmetry import gauge

    kernel = solution.kernel
    if solution.branch == "coherent" and simulations[0].has_sign_symmetry:
        simulations = [simulation.gauge_fixed() for simulation in simulations]
        kernel = gauge.positive_basin(kernel, solution.problem.P)
    trend = agreement.width_trend(
        [s.width for s in simulations],
        [s.kernel_mean for s in simulations],
        [s.kernel_standard_error for s in simulations],
        order=len(DIVISORS) - 1,
    )
    verdict = agreement.compare(
        kernel,
        trend.limit,
        np.hypot(trend.limit_standard_error, solution.kernel_error),
        rhat=max(s.rhat for s in simulations),
        ess=min(s.ess for s in simulations),
    )
    return trend, verdict, simulations


def print_comparison(
    solution: NonlinearSolution, simulations: list[Simulation], trend: WidthTrend, verdict: Agreement
) -> None:
    """The independent entries of theory, limit and simulations side by side."""
    problem = solution.problem
    rows = []
    for i in range(problem.n * problem.P):
        for j in range(i, problem.n * problem.P):
            name = f"{output.index_name(i, problem.P)}, {output.index_name(j, problem.P)}"
            sampled = [output.number(s.kernel_mean[i, j], 4) for s in simulations]
            limit = f"{trend.limit[i, j]:.4g} ± {trend.limit_standard_error[i, j]:.1g}"
            rows.append([name, output.number(solution.kernel[i, j]), limit, *sampled, f"{verdict.z[i, j]:+.2f}"])
    widths = [f"N = {s.width}" for s in simulations]
    output.print_table(
        f"Kernel of the {problem.activation} {problem.arch.upper()}; limit by the trend 1, 1/N, 1/N² over the widths",
        ["entry", "theory N → ∞", "limit N → ∞", *widths, "z"],
        rows,
    )
    print_engine(solution)
    output.print_table(
        "Simulations",
        ["quantity", *widths],
        [
            ("effective samples", *(output.number(s.ess, 4) for s in simulations)),
            ("R-hat", *(f"{s.rhat:.4f}" for s in simulations)),
            ("seconds", *(output.number(s.seconds, 3) for s in simulations)),
        ],
    )
    click.echo(f"Alignment (CKA) of the limit with the theory: {verdict.cka:.6f}")

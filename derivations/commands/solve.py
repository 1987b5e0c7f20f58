"""`unrolled solve PROBLEM`: the stationary kernels of the free energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.problems import problem_options

if TYPE_CHECKING:
    from numerics.inputs.problem import Problem
    from numerics.results.solution import Solution


@click.command("solve")
@problem_options
@click.option("--all-branches", is_flag=True, help="Every stationary state found, in order of free energy.")
@click.option("--width", type=int, help="Network width N: adds kernel_sd, the kernel's fluctuations at this width.")
@click.option("--digits", type=int, help="Adds kernel_exact, the kernel to this many digits (endpoint, T ≤ 5).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(problem: Problem, all_branches: bool, width: int | None, digits: int | None, as_json: bool) -> int:
    """Solve the saddle-point equations of PROBLEM: endpoint, sequence, or a FILE.npz.

    Prints the state of lowest free energy. Exit status 1 if the solver did not reach its tolerance, or with
    --all-branches if their signed count shows that some are missing.
    """
    from numerics import solve, solve_all
    from numerics.errors import InputError
    from numerics.results.solutions import Solutions

    if width is not None and width < 1:
        raise InputError(f"--width: is {width}; accepted: an integer ≥ 1")
    if digits is not None and not 16 <= digits <= 1000:
        raise InputError(f"--digits: is {digits}; accepted: an integer from 16 to 1000")
    if problem.activation.name != "linear":
        from derivations.commands import nonlinear

        return nonlinear.solve_command(problem, all_branches=all_branches, width=width, digits=digits, as_json=as_json)
    solutions = solve_all(problem) if all_branches else Solutions((solve(problem),))
    states = [solution_fields(solution, width) for solution in solutions]
    if digits is not None:
        for solution, fields in zip(solutions, states, strict=True):
            fields["kernel_exact"] = polished(solution, digits)
    if as_json:
        output.print_json({"branches": states} if all_branches else states[0])
    else:
        for solution, fields in zip(solutions, states, strict=True):
            print_solution(solution, fields)
    if solutions.incomplete:
        count = solutions.index_sum
        click.echo(f"Incomplete: the signed count of states, Σ(-1)^index, is {count}; it must be 1.", err=True)
        return 1
    return 0 if all(solution.converged for solution in solutions) else 1


def solution_fields(solution: Solution, width: int | None = None) -> dict[str, Any]:
    """The contract's fields of one stationary state."""
    from numerics.predictors import finite_width, observables

    fields: dict[str, Any] = {
        "kernel": solution.kernel,
        "free_energy": solution.free_energy,
        "energy": solution.energy,
        "entropy": solution.entropy,
        "residual": solution.residual,
        "stable": solution.stable,
        "branch": solution.branch,
        "prediction": observables.predict(solution),
        "converged": solution.converged,
        "status": solution.status,
        "minima": solution.minima,
    }
    if solution.next_free_energy is not None:
        fields["next_free_energy"] = solution.next_free_energy
    if solution.sign_arbitrary:
        fields["sign_arbitrary"] = solution.sign_arbitrary
    if solution.problem.arch == "rnn":
        fields["outliers"] = observables.outliers(solution)
    if width is not None and solution.stable:
        fields["kernel_sd"] = finite_width.kernel_sd(solution, width)
    return fields


def polished(solution: Solution, digits: int) -> list[list[str]]:
    """The kernel of an endpoint problem to many digits, by Newton in mpmath on the lowered stationarity conditions."""
    import mpmath
    import numpy as np

    from numerics.endpoint_task.batch import LONGEST, lowered_endpoint
    from numerics.errors import InputError
    from numerics.linear.newton import polish

    problem = solution.problem
    n = problem.n
    single = problem.P == 1 and problem.D == 1 and problem.supervised.tolist() == [n - 1]
    if not (single and abs(problem.x[0, 0, 0]) == 1 and not problem.x[0, 1:].any() and 3 <= problem.T <= LONGEST):
        raise InputError(f"--digits: does not apply to this problem; accepted: endpoint with T from 3 to {LONGEST}")
    signal = problem.labels[0] ** 2 / (problem.v * problem.w ** (n - 1) * problem.u)
    # the decimals that were given, not the binary fractions nearest to them
    parameters: Any = [f"{value:.15g}" for value in (signal, problem.kappa, problem.u, problem.v, problem.w)]
    upper = np.triu_indices(n)
    entries, _ = polish(lowered_endpoint(problem.T, problem.arch), solution.kernel[upper], parameters, digits=digits)
    kernel = [[""] * n for _ in range(n)]
    for i, j, entry in zip(*upper, entries, strict=True):
        kernel[i][j] = kernel[j][i] = mpmath.nstr(entry, digits)
    return kernel


def print_solution(solution: Solution, fields: dict[str, Any]) -> None:
    """One stationary state as tables for people."""
    from numerics.results.display import sign_fact

    problem = solution.problem
    names = [output.index_name(index, problem.P) for index in range(problem.n * problem.P)]
    stability = "stable" if solution.stable else "unstable"
    output.print_table(
        f"Kernel Φ ({problem.network}, {solution.branch}, {stability})",
        ["", *names],
        output.kernel_rows(solution.kernel, problem.n, problem.P),
    )
    if "kernel_sd" in fields:
        output.print_table(
            "Standard deviation of the kernel at this width",
            ["", *names],
            output.kernel_rows(fields["kernel_sd"], problem.n, problem.P),
        )
    if "kernel_exact" in fields:
        for i, row in enumerate(fields["kernel_exact"]):
            for j in range(i, len(names)):
                click.echo(f"Φ[{names[i]}, {names[j]}] = {row[j]}")
    scalars = [(name, output.number(fields[name], 10)) for name in ("free_energy", "energy", "entropy")]
    scalars.append(("residual", f"{solution.residual:.1e}"))
    scalars.append(("status", solution.status))
    if solution.next_free_energy is not None:
        above = output.number(solution.next_free_energy - solution.free_energy, 3)
        scalars.append(("minima compared", f"{solution.minima}; F of the next one is {above} above"))
    else:
        scalars.append(("minima compared", str(solution.minima)))
    output.print_table("State", ["quantity", "value"], scalars)
    output.print_table(
        "Prediction ⟨f^(t+1)⟩",
        ["pattern", *(f"t={t + 1}" for t in range(problem.n))],
        [[str(p + 1), *(output.number(f) for f in row)] for p, row in enumerate(fields["prediction"])],
    )
    for name, fact in sign_fact(solution.sign_arbitrary):
        click.echo(f"{name.capitalize()} {fact}")
    if "outliers" in fields:
        outliers = [f"{z.real:.6g}{z.imag:+.6g}i" if z.imag else f"{z.real:.6g}" for z in fields["outliers"]]
        click.echo(f"Outlier eigenvalues of W (bulk radius √w): {', '.join(outliers) or 'none'}")

"""`unrolled check PROBLEM`: theory against simulation, entry by entry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derivations.commands import output
from derivations.commands.problems import problem_options
from derivations.commands.simulate import run, simulation_fields, simulation_options
from derivations.commands.solve import solution_fields

if TYPE_CHECKING:
    from numerics.agreement import Agreement
    from numerics.problem import FloatArray, Problem
    from numerics.sampling import Simulation
    from numerics.solution import Solution


#: Another stable state whose weight at width N, ``exp(-N ΔF)`` relative to the lowest, exceeds this is worth a word.
VISIBLE = 1e-3
#: Effective draws from the kernel's density below which its mean is not believed.
SMALLEST_ESS = 1000.0


@click.command("check")
@problem_options
@simulation_options
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Folder to resume from and to save to.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(problem: Problem, as_json: bool, **options: Any) -> int:
    """Solve PROBLEM, simulate it, and compare the kernels: endpoint, sequence, or a FILE.npz.

    The prediction is the theory's mean kernel at this width; each difference is divided by its standard error. For a
    nonlinear network that mean is not known: N/4 and N/2 are simulated too, and the limit N → ∞ of the trend in 1/N is
    compared. Exit status 1 if any entry disagrees, or the solver or the chains did not converge.
    """
    from numerics.saddle import search as saddle

    if problem.activation != "linear":
        from derivations.commands import nonlinear

        return nonlinear.check_command(problem, as_json=as_json, **options)
    solution = saddle.solve(problem)
    comparison = compare(solution, run(problem, **options))
    agreement = comparison.agreement
    agrees = agreement.agrees and solution.converged
    if as_json:
        output.print_json(
            {
                "theory": solution_fields(solution, options["width"]),
                "simulation": simulation_fields(comparison.simulation),
                "kernel_finite_width": comparison.predicted,
                "cka": agreement.cka,
                "z": agreement.z,
                "z_limit": agreement.z_limit,
                "agrees": agrees,
                "reason": agreement.reason,
            }
        )
    else:
        print_comparison(comparison)
        click.echo(f"{'Agrees' if agrees else 'DISAGREES'}: {agreement.reason}.")
    warn_of_others(solution, options["width"])
    return 0 if agrees else 1


def warn_of_others(solution: Solution, width: int) -> None:
    """Say on standard error that networks of this width visit another stable state too."""
    import math

    from numerics.saddle import search, trust_region

    if len(solution.reduced) > trust_region.DENSE_MODES:
        return
    gaps = [state.free_energy - solution.free_energy for state in search.search_all(solution.problem) if state.stable]
    near = [gap for gap in gaps if 1e-9 < gap < -math.log(VISIBLE) / width]
    if near:
        click.echo(
            f"note: another stable state has a free energy only {min(near):.2g} higher; of networks of width {width}, "
            f"{math.exp(-width * min(near)):.1g} times as many are in that state, and the sampled mean is over both",
            err=True,
        )


@dataclass(frozen=True, eq=False)
class Comparison:
    """A solved problem, its simulation, and how they agree.

    Attributes:
        solution: the theory's state of lowest free energy, N → ∞.
        simulation: with the sign symmetry removed where the state is coherent.
        predicted: the kernel predicted at the simulated width.
        agreement: the verdict.
    """

    solution: Solution
    simulation: Simulation
    predicted: FloatArray
    agreement: Agreement


def compare(solution: Solution, simulation: Simulation) -> Comparison:
    """Compare a simulation with the theory's state, in the same sign of the order parameter."""
    import numpy as np

    from numerics import agreement

    one_sign = solution.branch == "coherent" and simulation.has_sign_symmetry
    predicted, uncertainty = finite_width_kernel(solution, simulation.width, one_sign)
    if one_sign:
        simulation = simulation.gauge_fixed()
        P, n = solution.problem.P, solution.problem.n
        if np.trace(solution.order_parameter) < 0:
            sign = np.kron((-1.0) ** np.add.outer(np.arange(n), np.arange(n)), np.ones((P, P)))
            predicted = sign * predicted
    verdict = agreement.compare(
        predicted,
        simulation.kernel_mean,
        np.hypot(simulation.kernel_standard_error, uncertainty),
        rhat=simulation.rhat,
        ess=simulation.ess,
    )
    return Comparison(solution, simulation, predicted, verdict)


def finite_width_kernel(solution: Solution, width: int, one_sign: bool) -> tuple[FloatArray, FloatArray]:
    """The theory's mean kernel at width N, and its standard error.

    From the exact density of the kernel where that can be sampled; else with the shift to first order in 1/N, and for
    the largest kernels at N → ∞.
    """
    import numpy as np

    from numerics.predictors import finite_width

    size = len(solution.reduced)
    if size * (size + 1) // 2 <= finite_width.LARGEST_SAMPLED and width >= size:
        mean = finite_width.kernel_mean(solution, width, one_sign=one_sign)
        if mean.ess >= SMALLEST_ESS:
            return mean.kernel, mean.standard_error
    exact = np.zeros_like(solution.kernel)
    if size <= finite_width.LARGEST_DIMENSION:
        return solution.kernel + finite_width.kernel_shift(solution) / width, exact
    click.echo("note: the kernel is too large for its 1/N shift; compared with the theory at N → ∞", err=True)
    return solution.kernel, exact


def print_comparison(comparison: Comparison) -> None:
    """The independent entries of both kernels side by side."""
    problem = comparison.solution.problem
    simulation, z = comparison.simulation, comparison.agreement.z
    rows = []
    for i in range(problem.n * problem.P):
        for j in range(i, problem.n * problem.P):
            rows.append(
                [
                    f"{output.index_name(i, problem.P)}, {output.index_name(j, problem.P)}",
                    output.number(comparison.solution.kernel[i, j]),
                    output.number(comparison.predicted[i, j]),
                    output.number(simulation.kernel_mean[i, j]),
                    f"{simulation.kernel_standard_error[i, j]:.1e}",
                    f"{z[i, j]:+.2f}",
                ]
            )
    output.print_table(
        f"Kernel of the {problem.arch.upper()} at N = {simulation.width}",
        ["entry", "theory N → ∞", f"theory N = {simulation.width}", "simulated", "standard error", "z"],
        rows,
    )
    output.print_table(
        "Simulation",
        ["quantity", "value"],
        [
            ("alignment (CKA)", f"{comparison.agreement.cka:.6f}"),
            ("effective samples", output.number(simulation.ess, 4)),
            ("R-hat", f"{simulation.rhat:.4f}"),
            ("seconds", output.number(simulation.seconds, 3)),
        ],
    )

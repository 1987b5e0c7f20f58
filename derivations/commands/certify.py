"""`unrolled certify PROBLEM`: a proof in ball arithmetic that a true state lies next to each computed one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.problems import problem_options

if TYPE_CHECKING:
    from numerics.certificate.certify import Certificate
    from numerics.inputs.problem import Problem
    from numerics.results.solution import Solution


@click.command("certify")
@problem_options
@click.option("--all-branches", is_flag=True, help="Every stationary state found, in order of free energy.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(problem: Problem, all_branches: bool, as_json: bool) -> int:
    """Prove that a stationary kernel lies within a stated radius of the solved one, and its Hessian's signature.

    Linear networks, at most 24 rows of the unknown matrix (times × rank of the inputs). The proof is for the labels as
    double precision has them, √λ rounded, so that digits beyond the 16th are not those of solve --digits. Needs
    python-flint (the extra "certify"). Exit status 1 if a state is not proved; its status says why.
    """
    from numerics import solve, solve_all
    from numerics.certificate.certify import certifiable, certify

    certifiable(problem)  # before the search, which takes long where the problem is too large
    with output.working("solving") as told:
        solutions = solve_all(problem, progress=told) if all_branches else (solve(problem, progress=told),)
        proofs = []
        for number, solution in enumerate(solutions):
            told(f"proof {number + 1} of {len(solutions)}", number, len(solutions))
            proofs.append(certify(solution))
    if as_json:
        states = [certificate_fields(s, c) for s, c in zip(solutions, proofs, strict=True)]
        output.print_json({"branches": states} if all_branches else states[0])
    else:
        print_certificates(solutions, proofs)
    return 0 if all(certificate.proved for certificate in proofs) else 1


def certificate_fields(solution: Solution, certificate: Certificate) -> dict[str, Any]:
    """What is proved of one state; nothing but the status where nothing is."""
    fields: dict[str, Any] = {
        "proved": certificate.proved,
        "status": certificate.status,
        "branch": solution.branch,
        "kernel": solution.kernel,
    }
    if certificate.proved:
        fields |= {
            "radius": certificate.radius,
            "negative": certificate.negative,
            "free_energy": certificate.free_energy,
            "digits": certificate.digits,
        }
    return fields


def print_certificates(solutions: Sequence[Solution], proofs: list[Certificate]) -> None:
    """One table of what is proved, and the kernels' digits."""
    rows = []
    for solution, certificate in zip(solutions, proofs, strict=True):
        if certificate.proved:
            proved = [f"{certificate.radius:.1e}", str(certificate.negative), f"{solution.free_energy:.10g}"]
        else:
            proved = ["", "", ""]
        rows.append([solution.branch, "yes" if certificate.proved else "no", *proved])
    output.print_table("Certificates", ["branch", "proved", "radius", "negative eigenvalues", "free energy"], rows)
    for certificate in proofs:
        click.echo(certificate.status)
        if certificate.proved:
            click.echo("F is between {:.17g} and {:.17g}".format(*certificate.free_energy))
            output.print_entries(certificate.solution.problem, certificate.digits)

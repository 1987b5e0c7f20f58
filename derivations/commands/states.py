"""A stationary state as `solve`, `check` and others give it: the contract's fields, and tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from derivations import output

#: Size of the smallest eigenvalue up to which a state is at a critical point: its sign is that of rounding.
CRITICAL = 1e-9
#: The next order is mentioned where it exceeds this share of the 1/N shift.
ENOUGH = 0.2

if TYPE_CHECKING:
    from numerics.checking.phase_weights import PhaseWeights
    from numerics.inputs.problem import Problem
    from numerics.linalg import FloatArray
    from numerics.predictors.predictions import Predictions
    from numerics.progress import Progress
    from numerics.results.solution import Solution


def state_fields(solution: Solution, width: int | None = None) -> dict[str, Any]:
    """The contract's fields of one stationary state; those of `width` where fluctuations are known."""
    import numpy as np

    from numerics.errors import NotSolvedError
    from numerics.linear.solution import LinearSolution
    from numerics.nonlinear.solution import NonlinearSolution
    from numerics.predictors import observables, weight_spectrum
    from numerics.results.readout import mean_outputs

    names = ("kernel", "free_energy", "energy", "entropy", "residual", "stable", "branch", "converged", "status")
    fields: dict[str, Any] = {name: getattr(solution, name) for name in names}
    fields |= {
        "prediction": mean_outputs(solution),
        "coherence": observables.temporal_coherence(solution),
        "autocorrelation": observables.autocorrelation(solution),
        "minima": solution.minima or None,
        "next_free_energy": solution.next_free_energy,
        "sign_arbitrary": solution.sign_arbitrary or None,
    }
    linear = isinstance(solution, LinearSolution)
    if linear or solution.converged:
        fields["outliers"] = _of_matrices(solution, observables.outliers(solution))
        fields["singular_outliers"] = _of_matrices(solution, weight_spectrum.singular_outliers(solution))
    if width is not None and solution.stable:
        from numerics.predictors import finite_width

        with suppress(NotSolvedError):  # too few points for so many entries
            fields["kernel_sd"] = finite_width.kernel_sd(solution, width)
            fields["kernel_shift"] = finite_width.kernel_shift(solution)
            left = finite_width.next_order(solution, width)
            fields["kernel_next_order"] = left if np.isfinite(left).all() else None
    if isinstance(solution, NonlinearSolution):
        fields |= {"conjugate": solution.conjugate, "engine": solution.engine}
        fields["free_energy_error"] = solution.free_energy_error
        if np.isfinite(solution.kernel_error).all():
            fields |= {"kernel_error": solution.kernel_error, "largest_error": solution.largest_error}
    return {name: value for name, value in fields.items() if value is not None}


def order_note(shift: FloatArray, left: FloatArray) -> str | None:
    """What is said where the next order in 1/N, of size `left`, may not be small beside the shift at the width."""
    import numpy as np

    size = float(np.linalg.norm(shift))
    if not np.isfinite(left).all():
        return "the network is too narrow for an expansion in 1/N, as it is near a transition"
    if np.linalg.norm(left) <= ENOUGH * size:
        return None
    return (
        f"the next order is {np.linalg.norm(left) / size:.0%} of the shift (up to {left.max():.2g} in a kernel entry); "
        "near a transition the expansion in 1/N fails"
    )


def print_order(solution: Solution, shift: FloatArray, left: FloatArray | None, named: str = "") -> None:
    """The mean kernel's shift at a width, and how large the next order in 1/N is, None where it is not known.

    `named` begins what is said on standard error.
    """
    import numpy as np

    from numerics.nonlinear.solution import NonlinearSolution

    said = f"Shift of the mean kernel at this width: up to {output.number(float(np.abs(shift).max()), 3)}"
    click.echo(said if left is None else f"{said}; next order in 1/N: {output.number(float(left.max()), 2)}")
    if left is None and isinstance(solution, NonlinearSolution):
        left = np.full_like(shift, np.inf)
    if left is not None and (note := order_note(shift, left)):
        click.echo(f"{named}First order in 1/N may not be enough: {note}.", err=True)


def prediction_fields(found: Predictions) -> dict[str, Any]:
    """What is known of outputs beside the training patterns' means: of test patterns, and at a width."""
    fields = {
        "prediction_sd": found.sd,
        "prediction_shift": found.shift,
        "test_prediction": found.test_mean,
        "test_prediction_sd": found.test_sd,
        "test_prediction_shift": found.test_shift,
        "missing": found.missing or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def odds_at(solutions: Sequence[Solution], width: int | None, progress: Progress | None = None) -> PhaseWeights | None:
    """The weights of several minima at a width; why there are none is told on standard error."""
    from numerics import phase_weights
    from numerics.errors import InputError, NotSolvedError

    if width is None or sum(solution.stable for solution in solutions) < 2:
        return None
    try:
        return phase_weights(solutions, width, progress=progress)
    except (InputError, NotSolvedError) as error:
        click.echo(f"Weights of the minima at this width are not known: {error}.", err=True)
        return None


def odds_fields(solution: Solution, odds: PhaseWeights | None) -> dict[str, Any]:
    """The weight of a state that is one of several minima."""
    if odds is None:
        return {}
    beyond, error = odds.next_order, odds.next_order_error
    for position, phase in enumerate(odds.phases):
        if phase.state is solution:
            fields: dict[str, Any] = {
                "weight": phase.weight,
                "log_weight": phase.log_weight,
                "weight_error": phase.weight_error,
                "weight_rests_on": phase.basis,
            }
            if beyond is not None:
                fields |= {"log_odds_next_order": beyond[position], "log_odds_next_order_error": error[position]}
            return fields
    return {}


def print_predictions(found: Predictions, named: str = "") -> None:
    """Outputs as a table: by pattern and time, or, of means alone, a row for each pattern; `named` as `print_order`."""
    if found.width is None and found.test_mean is None:
        output.print_outputs("Prediction ⟨f^(t+1)⟩", found.mean)
    else:
        header, *rows = found.table()
        shown = rows[: output.MOST_ROWS]
        output.print_table("Predictions", header, shown)
        if len(rows) > len(shown):
            click.echo(f"{len(shown)} of {len(rows)} rows; all: with --json.")
    for sentence in found.missing:
        click.echo(f"{named}{sentence[0].upper()}{sentence[1:]}.", err=True)


def _of_matrices(solution: Solution, found: tuple[Any, ...]) -> Any:
    """One list where there is one W, else one for each W^(s)."""
    return next(iter(found), []) if solution.problem.arch == "rnn" else list(found)


def _rows(problem: Problem, found: Any) -> Any:
    """A list for each W."""
    return [found] if problem.arch == "rnn" else found


def _complex(z: complex) -> str:
    return f"{z.real:.6g}{z.imag:+.6g}i" if z.imag else f"{z.real:.6g}"


def _listed(rows: list[str]) -> str:
    """Those of each W, or none of any."""
    return "; ".join(row or "none" for row in rows) if any(rows) else "none"


def print_state(solution: Solution, fields: dict[str, Any], outputs: Predictions, number: int | None = None) -> None:
    """One stationary state as tables; `number` is its place in those of `print_overview`."""
    width, named = outputs.width, "" if number is None else f"State {number}: "
    from numerics.display import sign_fact

    problem = solution.problem
    n, P = problem.n, problem.P
    title = f"{named}Kernel {problem.kernel_symbol} ({problem.network}, {solution.branch}, {_stability(solution)})"
    output.print_kernel(title, solution.kernel, n, P)
    if "kernel_sd" in fields:
        output.print_kernel("Standard deviation of the kernel at this width", fields["kernel_sd"], n, P)
    if width is not None and "kernel_shift" in fields:
        print_order(solution, fields["kernel_shift"] / width, fields.get("kernel_next_order"), named)
    exact = fields.get("kernel_exact", ())
    output.print_entries(problem, [row[j] for i, row in enumerate(exact) for j in range(i, len(row))])
    scalars = [(name, output.number(fields[name], 10)) for name in ("free_energy", "energy", "entropy")]
    scalars += [("residual", f"{solution.residual:.1e}"), ("status", solution.status)]
    if solution.next_free_energy is not None and solution.stable:
        above = output.number(solution.next_free_energy - solution.free_energy, 3)
        scalars.append(("minima compared", f"{solution.minima}; F of the next one is {above} above"))
    elif solution.minima and solution.stable:
        scalars.append(("minima compared", str(solution.minima)))
    output.print_table("State", ["quantity", "value"], scalars)
    print_predictions(outputs, named)
    for name, fact in sign_fact(solution.sign_arbitrary):
        click.echo(f"{name.capitalize()} {fact}")
    each = "" if problem.arch == "rnn" else "; for each W^(s) in turn"
    if "outliers" in fields:
        shown = [", ".join(_complex(value) for value in row) for row in _rows(problem, fields["outliers"])]
        click.echo(f"Outlier eigenvalues of W (bulk radius √w{each}): {_listed(shown)}")
    if "singular_outliers" in fields:
        shown = [", ".join(map(output.number, row)) for row in _rows(problem, fields["singular_outliers"])]
        click.echo(f"Singular values of W beyond the bulk (2√w{each}): {_listed(shown)}")
    print_averages(solution)


def _stability(state: Solution) -> str:
    """In a word: at a critical point the sign of the smallest curvature is that of rounding."""
    if not state.stable and state.converged and abs(state.hessian_smallest) <= CRITICAL:
        return "critical"
    return "stable" if state.stable else "unstable"


def print_overview(solutions: Sequence[Solution]) -> None:
    """One row for each of several states."""
    rows = [
        [
            str(position + 1),
            output.number(state.free_energy, 8),
            state.branch,
            _stability(state),
            output.number(output.order_parameter(state), 5),
            f"{state.residual:.0e}",
        ]
        for position, state in enumerate(solutions)
    ]
    header = ["state", "free energy", "branch", "stability", "order parameter", "residual"]
    output.print_table(f"{len(solutions)} stationary states, in order of free energy", header, rows)


def print_weights(solutions: Sequence[Solution], odds: PhaseWeights) -> None:
    """One row for each minimum, the heaviest first, and the width of even odds."""
    numbers = {id(state): position + 1 for position, state in enumerate(solutions)}
    beyond, error = odds.next_order, odds.next_order_error
    orders = (
        ["not known"] * len(error)
        if beyond is None
        else [f"{b:.2g} ± {e:.1g}" for b, e in zip(beyond, error, strict=True)]
    )
    rows = [
        [
            str(numbers[id(phase.state)]),
            f"{phase.weight:.3g} ± {phase.weight_error:.1g}",
            output.number(phase.log_weight, 5),
            order if position else "",
            phase.basis,
        ]
        for position, (phase, order) in enumerate(zip(odds.phases, orders, strict=True))
    ]
    header = ["state", "weight", "log of weight", "next order of odds", "rests on"]
    output.print_table(f"Weights of the minima at N = {odds.width}", header, rows)
    if odds.even_width is not None:
        click.echo(f"The two heaviest have even odds at N = {output.number(odds.even_width, 4)}")
    if odds.caution is not None:
        click.echo(f"{odds.caution[0].upper()}{odds.caution[1:]}.", err=True)


def print_averages(solution: Solution) -> None:
    """What a nonlinear network's averages were computed with, and how well."""
    from numerics.nonlinear.solution import NonlinearSolution

    if isinstance(solution, NonlinearSolution):
        told = f"largest error of a kernel entry {solution.largest_error:.1e}"
        click.echo(f"Averages: {solution.engine}, {solution.points} points; {told}")


def all_converged(solutions: Iterable[Solution]) -> bool:
    """Whether every state converged; standard error names those that did not."""
    failed = [solution for solution in solutions if not solution.converged]
    for solution in failed:
        said = solution.status.rstrip(".")
        line = said if said.lower().startswith("not converged") else f"not converged: {said}"
        click.echo(f"{line[0].upper()}{line[1:]}.", err=True)
    return not failed

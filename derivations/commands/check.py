"""`unrolled check PROBLEM`: theory against simulation, entry by entry, in every phase."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.free_parameter import require_picture
from derivations.commands.problems import problem_options
from derivations.commands.simulate import simulation_fields, simulation_options
from derivations.commands.states import order_note, print_averages, state_fields

if TYPE_CHECKING:
    from numerics.checking.agreement import Agreement
    from numerics.checking.check import Check, PhaseCheck
    from numerics.inputs.problem import Problem
    from numerics.linalg import FloatArray

#: Entries of a kernel that a table shows.
MOST_ENTRIES = 15


@click.command("check")
@problem_options
@simulation_options
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Folder to resume from and to save to.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Picture: FILE.png, .pdf or .svg.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(problem: Problem, out: Path | None, as_json: bool, **options: Any) -> int:
    """Solve PROBLEM, simulate it, and compare the kernels: endpoint, sequence, or a FILE.npz.

    Chains start in every minimum of the free energy that is found. The command computes which of these phases carries
    the weight at this width, and compares each with the chains that stay in it. Of chains that move between phases the
    draws in each phase are compared with it or, of a linear network's that have mixed, all draws with the mean over the
    phases. The prediction is the theory's mean kernel at this width, for a nonlinear network
    to first order in 1/N. Each difference is divided by its standard error, which includes the size of the next order.
    Control variates take noise out of the sampled mean. The share of the predicted 1/N shift that is seen in all
    entries together must be 1. The work grows with the number of minima, chains and steps (warm-up included). Exit
    status 1 if an entry or that share disagrees, if the solver or the chains did not converge, or if an entry differs
    from the limit N → ∞ where the shift at this width is not known.
    """
    require_picture(out)
    from numerics.checking.check import check

    with output.working("solving") as progress:
        checked = check(problem, progress=progress, eigenvalues=as_json, **options)
    if out is not None:
        draw(checked, out)
    if as_json:
        output.print_json(fields_of(checked))
    else:
        print_check(checked)
        if out is not None:
            click.echo(out)
    for note in notes(checked):
        click.echo(f"note: {note}", err=True)
    return 0 if checked.agrees else 1


def draw(checked: Check, out: Path) -> None:
    """Theory and simulation side by side, in the phase that carries most weight."""
    from derivations.figures.states import picture
    from numerics.results.outputs import Outputs
    from numerics.results.readout import mean_outputs

    part, simulation = checked.phases[0], checked.simulation
    kernels = {
        f"theory, $N = {simulation.width}$": part.predicted,
        f"sampled, $N = {simulation.width}$": simulation.kernel_mean,
    }
    outputs = {
        r"theory, $N \to \infty$": Outputs(mean_outputs(checked.solution)),
        "sampled, ± 2 standard errors": Outputs(simulation.prediction, 2 * simulation.prediction_standard_error),
    }
    picture(checked.problem, kernels, outputs, out)


def fields_of(checked: Check) -> dict[str, Any]:
    """The contract's fields of a check."""
    heaviest, verdict = checked.phases[0], checked.agreement
    fields: dict[str, Any] = {
        "theory": state_fields(heaviest.phase.state, checked.width),
        "simulation": simulation_fields(heaviest.simulation),
        "kernel_finite_width": heaviest.predicted,
        "cka": None if verdict is None else verdict.cka,
        "z": None if verdict is None else verdict.z,
        "z_limit": None if verdict is None else verdict.z_limit,
        **shift_fields(verdict),
        "agrees": checked.agrees,
        "verdict": checked.verdict,
        "reason": checked.reason,
    }
    if len(checked.phases) > 1:
        fields["phases"] = [phase_fields(part, position) for position, part in enumerate(checked.phases)]
    return fields


def shift_fields(verdict: Agreement | None) -> dict[str, float]:
    """The share of the predicted shift that is seen, and its error, where the shift is known."""
    seen = None if verdict is None else verdict.shift
    return {} if seen is None else {"shift_share": seen.share, "shift_share_error": seen.error}


def phase_fields(part: PhaseCheck, position: int) -> dict[str, Any]:
    """One of several phases."""
    phase, verdict = part.phase, part.agreement
    fields = {
        "free_energy": phase.state.free_energy,
        "branch": phase.state.branch,
        "kernel": phase.state.kernel,
        "kernel_finite_width": part.predicted,
        "weight": phase.weight,
        "weight_error": phase.weight_error,
        "weight_rests_on": phase.basis,
        "stays": part.stays,
        "sampled_share": part.shares,
        "own_share": part.shares[position],
        "kernel_mean": part.simulation.kernel_mean,
        "agrees": None if verdict is None else verdict.agrees,
        "z": None if verdict is None else verdict.z,
        **shift_fields(verdict),
    }
    return {name: value for name, value in fields.items() if value is not None}


def notes(checked: Check) -> list[str]:
    """What should be known of the comparison beside its verdict."""
    from numerics.checking.phase_weights import PhaseWeights

    said = []
    parts = checked.phases
    if len(parts) > 1:
        said.append(
            f"the free energy has {len(parts)} minima; of networks of width {checked.width}, "
            + ", ".join(f"{part.phase.weight:.2g} are at F = {part.phase.state.free_energy:.6g}" for part in parts)
        )
        if parts[0].phase.basis == "free energy":
            said.append("these weights follow from N F alone: the fluctuations around the minima are not known")
        elif caution := PhaseWeights(checked.width, tuple(part.phase for part in parts), None).caution:
            said.append(caution)
    for part in parts:
        if not part.phase.at_width:
            said.append(
                f"the 1/N shift at F = {part.phase.state.free_energy:.6g} is not known; compared with the theory at "
                "N → ∞, where a difference decides nothing"
            )
        left, shift = part.phase.next_order, part.phase.kernel - part.phase.state.kernel
        if left is not None and part.phase.at_width and (order := order_note(shift, left)):
            said.append(f"first order in 1/N may not be enough at F = {part.phase.state.free_energy:.6g}: {order}")
    return said


def print_check(checked: Check) -> None:
    """The verdict, the phases, and the independent entries of both kernels side by side."""
    click.echo(f"{checked.verdict.capitalize()}: {checked.reason}.")
    if len(checked.phases) > 1:
        print_phases(checked)
    for part in checked.phases:
        if part.agreement is not None:
            print_kernels(checked, part)


def print_phases(checked: Check) -> None:
    """The minima, their weights, and where the chains that started in them are."""
    rows = [
        [
            str(position + 1),
            output.number(part.phase.state.free_energy, 8),
            part.phase.state.branch,
            f"{part.phase.weight:.3g} ± {part.phase.weight_error:.1g}",
            part.phase.basis,
            ", ".join(f"{share:.3f}" for share in part.shares),
        ]
        for position, part in enumerate(checked.phases)
    ]
    output.print_table(
        f"Phases at N = {checked.width}",
        ["phase", "free energy", "branch", "weight", "weight rests on", "its chains' share in each phase"],
        rows,
    )


def entries(problem: Problem, z: FloatArray) -> list[tuple[str, tuple[int, int]]]:
    """Name and place of the independent entries of a kernel: all of a small one, else those that differ most."""
    names = [output.index_name(index, problem.P) for index in range(problem.n * problem.P)]
    places = [(i, j) for i in range(len(names)) for j in range(i, len(names))]
    if len(places) > MOST_ENTRIES:
        places = sorted(sorted(places, key=lambda at: -abs(z[at]))[:MOST_ENTRIES])
    return [(f"{names[i]}, {names[j]}", (i, j)) for i, j in places]


def _shown(problem: Problem) -> str:
    """Which entries a table shows, if not all."""
    rows = problem.n * problem.P
    count = rows * (rows + 1) // 2
    return f"; the {MOST_ENTRIES} of {count} entries that differ most" if count > MOST_ENTRIES else ""


def print_kernels(checked: Check, part: PhaseCheck) -> None:
    """The kernel in one phase: theory and simulation."""
    verdict, simulation, state = part.agreement, part.simulation, part.phase.state
    assert verdict is not None
    problem = checked.problem
    kernels = [output.without_rounding(each) for each in (state.kernel, part.predicted, verdict.mean)]
    rows = [
        [
            name,
            *(output.number(kernel[at]) for kernel in kernels),
            f"{verdict.standard_error[at]:.1e}",
            f"{verdict.z[at]:+.2f}",
        ]
        for name, at in entries(problem, verdict.z)
    ]
    output.print_table(
        f"Kernel of the {problem.network} at N = {simulation.width}, F = {state.free_energy:.6g}{_shown(problem)}",
        ["entry", "theory N → ∞", f"theory N = {simulation.width}", "simulated", "std error", "z"],
        rows,
    )
    print_averages(state)
    print_chains(part)


def print_chains(part: PhaseCheck) -> None:
    """How well the chains have sampled."""
    assert part.agreement is not None
    run = part.simulation
    output.print_table(
        "Simulation",
        ["quantity", f"N = {run.width}"],
        [
            ("effective samples", output.number(run.ess, 4)),
            ("R-hat", f"{run.rhat:.4f}"),
            ("seconds", output.number(run.seconds, 3)),
        ],
    )
    if part.agreement.shift is not None:
        without = part.agreement.shift.z_without
        click.echo(
            f"Share of the predicted 1/N shift that is seen: {part.agreement.shift} (without it, z = {without:.1f})"
        )
    click.echo(f"Alignment (CKA) with the theory: {part.agreement.cka:.6f}")

"""`unrolled simulate PROBLEM`: sample the weights of a network of finite width."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.free_parameter import require_picture
from derivations.commands.problems import problem_options

if TYPE_CHECKING:
    from numerics.inputs.problem import Problem
    from numerics.sampling.result import Simulation


#: Kernels of more rows have their standard errors in a table of their own.
MOST_WITH_ERRORS = 4


def simulation_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a simulation to a command."""

    @click.option("--width", type=int, default=256, show_default=True, help="Network width N.")
    @click.option("--sampler", default="hmc", show_default=True, help="hmc (no discretisation bias) or sgld.")
    @click.option("--chains", type=int, default=4, show_default=True, help="Independent chains.")
    @click.option("--steps", type=int, help="Steps of each chain after warm-up (a default for each sampler).")
    @click.option("--seed", type=int, default=0, show_default=True, help="Seed; the same seed repeats bit for bit.")
    @click.option("--workers", type=int, help="Processes; the result does not depend on it. [default: the cores]")
    @functools.wraps(function)
    def command(*args: Any, **options: Any) -> Any:
        return function(*args, **options)

    return command


@click.command("simulate")
@problem_options
@simulation_options
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Folder to resume from and to save to.")
@click.option("--both-signs", is_flag=True, help="Means over both signs of a coherent network, as they were drawn.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Picture: FILE.png, .pdf or .svg.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(problem: Problem, both_signs: bool, out: Path | None, as_json: bool, **options: Any) -> int:
    """Sample the weights of PROBLEM's network: endpoint, sequence, or a FILE.npz.

    Where W → -W is a symmetry and the network coherent, its two signs are equivalent states. The mean over both
    describes neither, so that every draw is taken to positive order parameter before means are taken. Exit status 1
    if the chains have not mixed: R-hat above 1.05, or fewer than 100 effective samples.
    """
    require_picture(out)
    drawn = run(problem, **options)
    result = drawn.both_signs() if both_signs else drawn.one_sign()
    with output.working("means and standard errors"):
        fields = simulation_fields(result) | _phase_fields(drawn, fixed=not both_signs and result is not drawn)
    if out is not None:
        draw(result, out)
    if as_json:
        output.print_json(fields)
    else:
        print_simulation(result, fields)
        if out is not None:
            click.echo(out)
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    return 1 if result.warnings else 0


def _phase_fields(drawn: Simulation, *, fixed: bool) -> dict[str, Any]:
    """The sign of each chain's draws, and whether means are of draws taken to one sign."""
    if drawn.positive_share is None:
        return {}
    return {
        "sign_fixed": fixed,
        "positive_share": drawn.positive_share,
        "sign_flips": drawn.sign_flips,
        "binder_cumulant": drawn.binder_cumulant,
    }


def draw(result: Simulation, out: Path) -> None:
    """The picture of a simulation."""
    from derivations.figures.states import picture
    from numerics.results.outputs import Outputs

    outputs = Outputs(result.prediction, 2 * result.prediction_standard_error)
    title = f"{result.problem.network}, $N = {result.width}$"
    picture(result.problem, {title: result.kernel_mean}, {"mean, ± 2 standard errors": outputs}, out)


def run(problem: Problem, **options: Any) -> Simulation:
    """Run the simulation, and show how far it is."""
    from numerics.sampling import simulate

    with output.working("simulation") as told:
        return simulate(problem, progress=told, **options)


def simulation_fields(result: Simulation) -> dict[str, Any]:
    """The contract's fields of a simulation."""
    names: tuple[str, ...] = ("width", "sampler", "seed", "chains", "draws", "ess", "rhat", "acceptance")
    names += ("kernel_mean", "kernel_standard_error", "kernel_sd", "prediction", "prediction_standard_error")
    fields = {name: getattr(result, name) for name in names}
    outliers, controlled = result.outliers, result.kernel_controlled
    return fields | {
        # with control variates, where W is integrated out and there are draws enough
        "kernel_controlled_mean": None if controlled is None else controlled.mean,
        "kernel_controlled_standard_error": None if controlled is None else controlled.standard_error,
        # eigenvalues of W itself; the simulation's are in units of √w
        "outliers": None if outliers is None else math.sqrt(result.problem.w) * outliers,
        "coherence": result.coherence,
        "autocorrelation": result.autocorrelation,
        "seconds": result.seconds,
        "step_size": result.step_size,
        "kernel_bias": result.kernel_bias,
        "sign_flips": result.sign_flips,
        "warnings": result.warnings or None,
    }


def print_simulation(result: Simulation, fields: dict[str, Any]) -> None:
    """A simulation as tables for people."""
    n, P = result.problem.n, result.problem.P
    mean, error = fields["kernel_mean"], fields["kernel_standard_error"]
    title = f"Sampled kernel {result.problem.kernel_symbol} ({result.problem.network}, N = {result.width})"
    if n * P <= MOST_WITH_ERRORS:
        names = [output.index_name(index, P) for index in range(n * P)]
        pairs = (zip(m, e, strict=True) for m, e in zip(output.without_rounding(mean), error, strict=True))
        rows = [[name, *(f"{m:.4g} ± {e:.1g}" for m, e in row)] for name, row in zip(names, pairs, strict=True)]
        output.print_table(f"{title}, mean ± standard error", ["", *names], rows)
    else:
        output.print_kernel(f"{title}, mean", mean, n, P)
        output.print_kernel("Standard errors", error, n, P)
    output.print_outputs("Mean outputs f^(t+1)", fields["prediction"])
    steps = f"{result.chains} × {result.draws} draws by {result.sampler}, seed {result.seed}"
    scalars = [("chains", steps), ("effective samples", output.number(result.ess, 4)), ("R-hat", f"{result.rhat:.4f}")]
    scalars += [] if result.acceptance is None else [("acceptance", output.number(result.acceptance, 4))]
    scalars += [("seconds", output.number(result.seconds, 3))]
    shares = fields.get("positive_share")
    if shares is not None:
        said = ", ".join(f"{share:.2f}" for share in shares)
        scalars.append(("positive order parameter, by chain", said))
        taken = "draws taken to positive order parameter" if fields["sign_fixed"] else "left as drawn"
        scalars.append(("sign (W → -W is a symmetry)", taken))
    output.print_table("Chains", ["quantity", "value"], scalars)
    if fields["kernel_bias"] is not None:
        worst = max(abs(b) / e for b, e in zip(fields["kernel_bias"].flat, error.flat, strict=True) if e > 0)
        click.echo(f"Estimated bias of the Langevin step: at most {worst:.2g} standard errors of an entry")
    elif result.bias_squared is not None:
        click.echo("Bias of the Langevin step: not known, the step is too large for an estimate of first order")

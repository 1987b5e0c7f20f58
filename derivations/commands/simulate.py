"""`unrolled simulate PROBLEM`: sample the weights of a network of finite width."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.problems import problem_options

if TYPE_CHECKING:
    from numerics.inputs.problem import Problem
    from numerics.sampling.result import Simulation


#: Steps after warm-up, where they are not trajectories.
DEFAULT_STEPS = {"sgld": 40_000}


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
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(problem: Problem, as_json: bool, **options: Any) -> int:
    """Sample the weights of PROBLEM's network: endpoint, sequence, or a FILE.npz."""
    result = run(problem, **options)
    fields = simulation_fields(result)
    if as_json:
        output.print_json(fields)
    else:
        print_simulation(result, fields)
    return 0


def run(problem: Problem, *, sampler: str, steps: int | None, **options: Any) -> Simulation:
    """Run the simulation with a progress bar on standard error if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    from numerics.sampling import simulate

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(f"{sampler}, N = {options['width']}", total=None)
        return simulate(
            problem,
            **default_steps(sampler, steps),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            **options,
        )


def default_steps(sampler: str, steps: int | None) -> dict[str, Any]:
    """The sampler and its number of steps, the default where none is given."""
    return {"sampler": sampler, "steps": DEFAULT_STEPS.get(sampler, 1000) if steps is None else steps}


def simulation_fields(result: Simulation) -> dict[str, Any]:
    """The contract's fields of a simulation."""
    names = ("kernel_mean", "kernel_standard_error", "kernel_sd", "ess", "rhat", "prediction", "acceptance")
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
    }


def print_simulation(result: Simulation, fields: dict[str, Any]) -> None:
    """A simulation as tables for people."""
    problem = result.problem
    names = [output.index_name(index, problem.P) for index in range(problem.n * problem.P)]
    mean, error = fields["kernel_mean"], fields["kernel_standard_error"]
    rows = [
        [name, *(f"{m:.4g} ± {e:.1g}" for m, e in zip(mean[i], error[i], strict=True))] for i, name in enumerate(names)
    ]
    output.print_table("Sampled kernel Φ, mean ± standard error", ["", *names], rows)
    shown = ("ess", "rhat", "acceptance", "seconds")
    scalars = [(name, output.number(fields[name], 4)) for name in shown if fields[name] is not None]
    output.print_table("Chains", ["quantity", "value"], scalars)
    if fields["kernel_bias"] is not None:
        worst = max(abs(b) / e for b, e in zip(fields["kernel_bias"].flat, error.flat, strict=True) if e > 0)
        click.echo(f"Estimated bias of the Langevin step: at most {worst:.2g} standard errors of an entry")
    elif result.bias_squared is not None:
        click.echo("Bias of the Langevin step: not known, the step is too large for an estimate of first order")

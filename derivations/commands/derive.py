"""`unrolled derive WHAT`: exact results, as text, LaTeX or JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from derivations.commands import output

if TYPE_CHECKING:
    from sympy import Expr, Symbol

#: A result: names and values in the order in which they are shown.
Fields = dict[str, Any]

ACCEPTED_T = "an integer ≥ 3, or symbolic"


@click.command("derive")
@click.argument("what", metavar="WHAT")
@click.option("--T", "T", default="4", show_default=True, help="Index of the last output, or 'symbolic'.")
@click.option("--kappa", default="symbolic", show_default=True, help="A rational number such as 1/2, or 'symbolic'.")
@click.option("--arch", default="rnn", show_default=True, help="rnn or dnn.")
@click.option("--order", type=int, default=2, show_default=True, help="perturbation: order in Y.")
@click.option("--supervise", default=None, help="perturbation: supervised hidden times. [default: the last]")
@click.option("--format", "form", default="text", show_default=True, help="text, latex or json.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(
    what: str, T: str, kappa: str, arch: str, order: int, supervise: str | None, form: str, as_json: bool
) -> int:
    """Derive an exact result of the linear theory with endpoint supervision.

    WHAT is free-energy, stationarity, critical-point, coherent-branch, outlier-threshold or perturbation.
    """
    if what not in RESULTS:
        raise click.UsageError(f"WHAT: is {what!r}; accepted: {', '.join(RESULTS)}")
    if form not in ("text", "latex", "json"):
        raise click.UsageError(f"--format: is {form!r}; accepted: text, latex, json")
    if arch not in ("rnn", "dnn"):
        raise click.UsageError(f"--arch: is {arch!r}; accepted: rnn or dnn")
    horizon, noise = _horizon(T), _noise(kappa)
    try:
        fields = RESULTS[what](T=horizon, kappa=noise, arch=arch, order=order, supervise=supervise)
    except ValueError as error:
        raise click.UsageError(f"{error}") from None
    if as_json or form == "json":
        output.print_json(fields)
    elif form == "latex":
        click.echo(latex_document_body(fields))
    else:
        for line in text_lines(fields):
            click.echo(line)
    return 0

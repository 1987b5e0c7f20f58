"""`unrolled reproduce`: the poster's panels, each a picture and the numbers behind it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from derivations.commands import output
from derivations.commands.problems import bad_input

#: Panel name → what it shows. The module `derivations.figures.<name>` makes it.
PANELS = {
    "order-parameter": "H^(T-1,T-2) against λ at T = 4: theory for RNN and DNN, simulated networks as points",
    "propagator-paths": "the time paths that second order in Y adds to the kernel, and those that the DNN's mask cuts",
}


@click.command("reproduce")
@click.argument("panels", metavar="[PANEL]...", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for pictures and numbers.")
@click.option("--quick", is_flag=True, help="Shorter simulations, larger error bars.")
@click.option("--list", "list_panels", is_flag=True, help="Name the panels.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(panels: tuple[str, ...], out: Path | None, quick: bool, list_panels: bool, as_json: bool) -> int:
    """Remake the poster's panels: PNG, PDF and SVG, with the numbers as CSV. All panels unless some are named.

    A run that was interrupted goes on where it stopped when it is called again with the same folder.
    """
    unknown = [name for name in panels if name not in PANELS]
    if unknown:
        raise click.UsageError(f"PANEL: is {unknown[0]!r}; accepted: {', '.join(PANELS)}")
    if list_panels:
        if as_json:
            output.print_json({"panels": PANELS})
        else:
            output.print_table("Panels", ["name", "shows"], PANELS.items())
        return 0
    if out is None:
        raise click.UsageError("--out: is missing; accepted: a folder for pictures and numbers")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--out: cannot be made ({error.strerror}); accepted: a folder to write to") from None
    chosen = panels or tuple(PANELS)
    made: dict[str, Any] = {name: make_panel(name, out, quick) for name in chosen}
    if as_json:
        output.print_json({"panels": made})
    else:
        for result in made.values():
            for path in result["files"]:
                click.echo(path)
            click.echo(result["summary"])
    return 0 if all(result["agrees"] for result in made.values()) else 1


def make_panel(name: str, out: Path, quick: bool) -> dict[str, Any]:
    """Make one panel under a progress bar; its files, and whether theory and simulation agree."""
    from rich.console import Console
    from rich.progress import Progress

    from derivations.figures.panel import Effort

    module = importlib.import_module(f"derivations.figures.{name.replace('-', '_')}")
    effort = Effort(quick=quick, workers=os.cpu_count() or 1)
    with bad_input(), Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(name, total=1.0)
        return module.make(
            out, effort, lambda done, what: progress.update(task, completed=done, description=f"{name}: {what}")
        )

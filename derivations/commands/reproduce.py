"""`unrolled reproduce`: the poster's panels, each a picture and the numbers behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from derivations import output
from derivations.figures.panels import MINUTES, NAMES, make_panel, panel
from numerics.files import refused_if_unwritable


@click.command("reproduce")
@click.argument("panels", metavar="[PANEL]...", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for pictures and numbers.")
@click.option("--quick", is_flag=True, help="Shorter simulations, larger error bars.")
@click.option("--list", "list_panels", is_flag=True, help="Name the panels.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(panels: tuple[str, ...], out: Path | None, quick: bool, list_panels: bool, as_json: bool) -> int:
    """Remake the poster's panels: PNG, PDF and SVG, with the numbers as CSV. All panels unless some are named, by the
    names or numbers that --list shows.

    A run that was interrupted goes on where it stopped when it is called again with the same folder.
    """
    panels = tuple(_name_of(name) for name in panels)
    unknown = [name for name in panels if name not in NAMES]
    if unknown:
        raise click.UsageError(f"PANEL: is {unknown[0]!r}; accepted: {', '.join(NAMES)}, or a number that --list shows")
    if list_panels:
        list_them(as_json)
        return 0
    if out is None:
        raise click.UsageError("--out: is missing; accepted: a folder for pictures and numbers")
    made: dict[str, Any] = {}
    with refused_if_unwritable(f"--out: {out}", "a folder to write to"):
        out.mkdir(parents=True, exist_ok=True)
        for name in [name for name in NAMES if name in panels or not panels]:
            made[name] = make_panel(name, out, quick)
            if not as_json:
                report(made[name], out)
    if as_json:
        output.print_json({"panels": made})
    return 0 if all(result["agrees"] for result in made.values()) else 1


def _name_of(word: str) -> str:
    """The name of a panel that is given by its number, as --list shows it."""
    if word in NAMES or not word[:1].isdigit():
        return word
    return next((name for name in NAMES if panel(name).number == word), word)


def list_them(as_json: bool) -> None:
    """Number, name, minutes and title of every panel; with --json also the captions."""
    listed = {name: panel(name) for name in NAMES}
    if as_json:
        times = {name: dict(zip(("quick", "full"), MINUTES[name], strict=True)) for name in NAMES}
        fields = {name: {**each.fields(), "minutes": times[name]} for name, each in listed.items()}
        output.print_json({"panels": fields})
        return
    rows = [(each.number, name, *(f"{m:g}" for m in MINUTES[name]), each.title) for name, each in listed.items()]
    header = ["panel", "name", "quick", "full", "shows"]
    output.print_table("Panels, numbered by the poster's sections; minutes on two cores", header, rows)
    quick, full = (sum(times) for times in zip(*MINUTES.values(), strict=True))
    click.echo(f"All of them: about {quick:.0f} minutes with --quick, {full / 60:.0f} hours without.")


def report(record: dict[str, Any], out: Path) -> None:
    """Where the files of one panel are, and what it found."""
    for name in record["files"]:
        click.echo(out / name)
    click.echo(record["summary"])

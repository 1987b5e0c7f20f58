"""`unrolled report --out DIR`: one HTML page with panels, checks, derivations and an interactive figure."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import click

from derivations import output
from derivations.figures.verdicts import said, together

#: What the page is called in the folder; the finished runs that it was made from are beside it.
PAGE = "report.html"


@click.command("report")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the page and its runs.")
@click.option("--quick", is_flag=True, help="Shorter simulations, larger error bars.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(out: Path | None, quick: bool, as_json: bool) -> int:
    """Write one HTML page that needs no network: every panel, the checks, the derivations, and an interactive figure.

    Panels, simulations and derivations that are finished in the folder are taken from there, so that an interrupted run
    goes on where it stopped. Exit status 1 if theory and simulation disagree somewhere; the page says where.
    """
    if out is None:
        raise click.UsageError("--out: is missing; accepted: a folder for the page and its runs")
    require_notebooks()
    from derivations.report.page import report_page
    from numerics.files import refused_if_unwritable, write_text

    with refused_if_unwritable(f"--out: {out}", "a folder to write to"):
        out.mkdir(parents=True, exist_ok=True)
        content = collected(out, quick)
        write_text(out / PAGE, report_page(**content))
    verdicts = [item.verdict for item in (*content["panels"], *content["checks"])]
    agrees = together(verdicts) == "agrees"
    if as_json:
        output.print_json(
            {
                "page": str(out / PAGE),
                "agrees": agrees,
                "panels": {item.panel.name: item.verdict == "agrees" for item in content["panels"]},
                "checks": {item.command: item.largest for item in content["checks"]},
                "derivations": {item.name: item.assertions for item in content["derivations"]},
            }
        )
    else:
        click.echo(out / PAGE)
        click.echo(f"Simulations {said(verdicts, 'the theory', why='chains have not mixed somewhere')}.")
    return 0 if agrees else 1


def require_notebooks() -> None:
    """Refuse before anything is made if the derivations could not be executed."""
    absent = [name for name in ("jupytext", "nbclient", "ipykernel") if importlib.util.find_spec(name) is None]
    if absent:
        raise click.UsageError(
            f"report: {absent[0]} is not installed; accepted: an installation with the extra, unrolled[notebooks]"
        )


def collected(out: Path, quick: bool) -> dict[str, Any]:
    """Everything that the page shows, made or taken from `out`."""
    from datetime import UTC, datetime

    from derivations.figures.panels import NAMES
    from derivations.report.checks import checks, shared_options
    from derivations.report.derivation import Derivation, derivation
    from derivations.report.notebooks import executed, scripts_in_order
    from derivations.report.panels import shown_panel
    from derivations.report.transition import interactive_data
    from numerics.machine import examine

    # before the progress bar below: each panel shows its own
    panels = [shown_panel(name, out, quick) for name in NAMES]
    scripts = scripts_in_order()
    with output.working("checks") as told:
        total = len(scripts) + 2
        found = checks(out, quick, lambda what, done, cases: told(what, done / cases, total))
        proofs: list[Derivation] = []
        for script in scripts:
            told(script.stem, 1 + len(proofs), total)
            proofs.append(derivation(script.stem, executed(script, out / "derivations"), heading=3))
        told("branches", 1 + len(scripts), total)
        branches = interactive_data()
    return {
        "quick": quick,
        "panels": panels,
        "checks": found,
        "check_options": shared_options(quick),
        "derivations": proofs,
        "branches": branches,
        "machine": examine(),
        "made_on": datetime.now(UTC).strftime("%-d %B %Y"),
    }

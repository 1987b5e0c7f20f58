"""`make derivations`: execute every literate derivation and write it as a notebook and as HTML."""

from __future__ import annotations

import os
from pathlib import Path

import click

from derivations.files import write_text

APPENDIX = Path(__file__).with_name("appendix")


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.argument("names", nargs=-1)
def main(out: Path, names: tuple[str, ...]) -> None:
    """Execute the derivations (all, or those whose file names begin with NAMES)."""
    scripts = [path for path in sorted(APPENDIX.glob("*.py")) if not names or path.name.startswith(names)]
    if not scripts:
        raise click.UsageError(f"NAMES: none begins with {', '.join(names)}")
    for script in scripts:
        click.echo(f"{script.stem} …", err=True)
        notebook, page = execute(script)
        write_text(out / f"{script.stem}.ipynb", notebook)
        write_text(out / f"{script.stem}.html", page)
        click.echo(out / f"{script.stem}.html")


def execute(script: Path) -> tuple[str, str]:
    """Run the derivation in `script` cell by cell; the executed notebook and its HTML page.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed, so that an assertion of the derivation does not hold.
    """
    import jupytext
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    notebook = jupytext.read(script)
    # Cells import theory and numerics: from the root of the project, wherever this was called.
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": os.fspath(APPENDIX.parents[1])}},
    ).execute()
    page, _ = HTMLExporter().from_notebook_node(notebook)
    return nbformat.writes(notebook), page


if __name__ == "__main__":
    main()

"""`make derivations` and `make notebooks`: literate scripts are run and written as notebooks and pages of HTML."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from numerics.files import write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
APPENDIX = ROOT / "derivations" / "appendix"
NOTEBOOKS = ROOT / "docs" / "notebooks"


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option(
    "--scripts",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=APPENDIX,
    help="Folder of literate scripts.  [default: the derivations]",
)
@click.argument("names", nargs=-1)
def main(out: Path, scripts: Path, names: tuple[str, ...]) -> None:
    """Execute the scripts (all, or those whose file names begin with NAMES)."""
    from derivations.report.page import derivation_page

    chosen = [path for path in scripts_in_order(scripts) if not names or path.name.startswith(names)]
    if not chosen:
        raise click.UsageError(f"NAMES: none begins with {', '.join(names)}")
    for script in chosen:
        click.echo(f"{script.stem} …", err=True)
        page = out / f"{script.stem}.html"
        write_text(page, derivation_page(script.stem, executed(script, out), folded=scripts.resolve() == APPENDIX))
        click.echo(page)


def scripts_in_order(folder: Path = APPENDIX) -> list[Path]:
    """The literate scripts of a folder, the derivations by default."""
    return sorted(folder.resolve().glob("[0-9]*.py"))


def executed(script: Path, folder: Path) -> NotebookNode:
    """The executed notebook of `script`, kept in `folder` and run again only if a source has changed.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed, so that an assertion of the derivation does not hold.
    """
    import nbformat

    path = folder / f"{script.stem}.ipynb"
    state = sources_digest(script)
    try:
        kept = nbformat.read(path, as_version=4)
        if kept.metadata["unrolled"]["sources"] == state:
            return kept
    except (OSError, KeyError, nbformat.reader.NotJSONError, nbformat.ValidationError):
        pass  # absent, damaged, or made by something else
    notebook = execute(script)
    notebook.metadata["unrolled"] = {"sources": state}
    write_text(path, nbformat.writes(notebook))
    return notebook


def sources_digest(script: Path) -> str:
    """Changes with the script, with `theory` and `numerics`, and with the version of SymPy."""
    import sympy

    digest = hashlib.sha256(sympy.__version__.encode())
    for path in (script, *sorted((ROOT / "theory").rglob("*.py")), *sorted((ROOT / "numerics").rglob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def execute(script: Path) -> NotebookNode:
    """Run the derivation in `script` cell by cell.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed, so that an assertion of the derivation does not hold.
    """
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.read(script)
    # Cells import theory and numerics: from the root of the project, wherever this was called.
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": os.fspath(ROOT)}},
        extra_arguments=["--log-level=ERROR"],
    ).execute()
    return notebook


if __name__ == "__main__":
    main()

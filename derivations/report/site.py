"""`make docs`: a landing page, README, the pages of docs/, notebooks, derivations and the API reference.

A small website that needs no network. Formulas are typeset by the browser.
"""

from __future__ import annotations

import inspect
import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import click

from derivations.report.derivation import derivation
from derivations.report.links import dead_links
from derivations.report.notebooks import APPENDIX, NOTEBOOKS, executed, scripts_in_order
from derivations.report.page import Site, font_style, site_style
from derivations.report.reference import write_reference
from derivations.report.typeset import document
from numerics.files import write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
#: Pages, README first; links between them and to other files of the project are kept.
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/theory.md",
    "docs/how-do-i.md",
    "docs/real-data.md",
    "docs/gallery.md",
)
#: What a package's names are for, in the landing page's order.
SUBJECTS = {
    "inputs": "A task",
    "tasks": "A task",
    "solving": "Its states",
    "linear": "Its states",
    "nonlinear": "Its states",
    "continuation": "Along a parameter",
    "endpoint_task": "Endpoint supervision of one pattern",
    "predictors": "What follows from a state",
    "sampling": "Sampled networks",
    "checking": "Theory against sampled networks",
    "certificate": "Proofs",
    "results": "Results",
}


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of executed notebooks; what is missing there is run. Without it they are shown as they are written.",
)
def main(out: Path, runs: Path | None) -> None:
    """Build the pages and the API reference, and fail if a link leads nowhere."""
    write_text(out / "style.css", site_style())
    write_text(out / "font.css", font_style())
    for name in DOCUMENTS:
        write_document(ROOT / name, out)
    notebooks = write_notebooks(NOTEBOOKS, "notebooks", out, runs)
    derivations = write_notebooks(APPENDIX, "derivations", out, runs)
    write_reference(out / "api")
    landing = Site("index.html").landing(notebooks, derivations, public_names(), runs is not None)
    write_text(out / "index.html", landing)
    dead = dead_links(out)
    if dead:
        raise click.ClickException("dead links: " + ", ".join(dead))
    click.echo(out / "index.html")


def write_document(source: Path, out: Path) -> None:
    """One Markdown page as HTML, with the files that it shows or links to beside it."""
    name = source.relative_to(ROOT).with_suffix(".html")
    markup = document(source.read_text(encoding="utf-8"))
    for address in re.findall(r'(?:src|href)="([^"#:]+)(?:#[^"]*)?"', markup):
        linked = (source.parent / unquote(address)).resolve()
        if linked.is_file() and linked.suffix != ".md":
            copy = out / linked.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(linked, copy)
    markup = re.sub(r'(href="[^":]+)\.md((?:#[^"]*)?")', r"\1.html\2", markup)
    # cited by their number, whatever their title is
    markup = re.sub(r'<h2 id="(\d+)-[^"]*">', r'<h2 id="section-\1">', markup)
    site = Site(name.as_posix())
    write_text(out / name, site.page(_with_code_broken(_with_code_linked(markup, site.root))))


def _with_code_linked(markup: str, root: str) -> str:
    """Files that a page names lead to their place in the reference, and derivations to their page.

    Derivations name each other by the file alone.
    """

    def linked(name: re.Match[str]) -> str:
        file = Path(name[1]) if "/" in name[1] else APPENDIX.relative_to(ROOT) / name[1]
        page = file.parent if file.name == "__init__.py" else file.with_suffix("")
        if not (ROOT / file).is_file():
            return name[0]
        if file.parts[:2] == ("derivations", "appendix"):
            return f'<a href="{root}derivations/{page.name}.html">{name[0]}</a>'
        return f'<a href="{root}api/{page.as_posix()}.html">{name[0]}</a>'

    return re.sub(r"<code>((?:(?:theory/|numerics/|derivations/appendix/)[\w/]+|\d\d_\w+)\.py)</code>", linked, markup)


def _with_code_broken(markup: str) -> str:
    """Paths of files and modules may be parted behind a stroke, a low line or a module's dot; options may not."""
    option = r"--[a-z][a-z-]*"
    whole = r'<span class="whole">\g<0></span>'
    markup = re.sub(rf"<code>[^<]*{option}[^<]*</code>", lambda found: re.sub(option, whole, found[0]), markup)
    markup = re.sub(
        r"<code>\w+(\.\w+)+</code>", lambda found: re.sub(r"\.(?!(py|npz|json|png)<)", ".<wbr>", found[0]), markup
    )
    path = r"<code>[\w.-]+/[\w./-]*</code>"
    return re.sub(path, lambda found: re.sub(r"(?<!<)([/_]+)(?=[\w.])", r"\1<wbr>", found[0]), markup)


def write_notebooks(folder: Path, name: str, out: Path, runs: Path | None) -> list[tuple[str, str]]:
    """The literate scripts of a folder as pages; returns address and title of each."""
    parts = []
    for script in scripts_in_order(folder):
        if runs is not None:
            click.echo(f"{script.stem} …", err=True)
        notebook = as_written(script) if runs is None else executed(script, runs)
        parts.append(derivation(script.stem, notebook, heading=1, folded=folder == APPENDIX))
    pages = [(f"{name}/{part.name}.html", part.title) for part in parts]
    for place, part in enumerate(parts):
        before = pages[place - 1] if place else None
        after = pages[place + 1] if place + 1 < len(pages) else None
        heading = f"<h1>{part.title}</h1>\n"
        site = Site(pages[place][0], f"index.html#{name}")
        body = _with_code_broken(_with_code_linked(part.body, site.root))
        write_text(out / pages[place][0], site.page(heading + body, before, after))
    return pages


def as_written(script: Path) -> NotebookNode:
    """A literate script that was not run."""
    import jupytext

    notebook = jupytext.read(script)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    return notebook


def public_names() -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Subjects, and of each name that `import unrolled` gives its address, the name, and a sentence as HTML."""
    unrolled, theory = import_module("unrolled"), import_module("theory")
    groups: dict[str, list[tuple[str, str, str]]] = {subject: [] for subject in SUBJECTS.values()}
    for name in unrolled.__all__:
        value = getattr(unrolled, name)
        if name in ("theory", "numerics"):
            continue
        if inspect.ismodule(value):
            address = f"api/{value.__name__.replace('.', '/')}.html"
        else:
            address = f"api/unrolled.html#{name}"
        package = (value.__name__ if inspect.ismodule(value) else value.__module__).split(".")[1]
        groups.setdefault(SUBJECTS.get(package, "Further"), []).append((address, name, _sentence(value)))
    groups["Exact results"] = [
        (f"api/theory.html#{name}", f"theory.{name}", _sentence(getattr(theory, name)))
        for name in theory.__all__
        if not inspect.ismodule(getattr(theory, name))
    ]
    return [(subject, names) for subject, names in groups.items() if names]


def _sentence(value: object) -> str:
    """The first sentence of a docstring, as HTML."""
    text = inspect.getdoc(value) or ""
    paragraph = text.partition("\n\n")[0] + " "
    # punctuation within brackets, of two levels at most, ends no sentence
    first = re.match(r"(?:\((?:\([^()]*\)|[^()])*\)|[^()])*?[.:;](?=\s|$)", paragraph, flags=re.DOTALL)
    first_one = first[0] if first else paragraph
    sentence = re.sub(r"\s*\(docs/theory\.md[^)]*\)", "", first_one).rstrip(":;.").replace("``", "`")
    return re.sub(r"</?p>\s*", "", document(" ".join(sentence.split()) + "."))


if __name__ == "__main__":
    main()

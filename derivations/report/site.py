"""`make docs`: README, the pages of docs/ and the API reference as a small website that needs no network."""

from __future__ import annotations

import pkgutil
import re
import shutil
import warnings
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urldefrag

import click

from derivations.report.page import document_page
from derivations.report.typeset import prose
from numerics.files import write_text

ROOT = Path(__file__).parents[2]
#: Pages, README first; links between them and to other files of the project are kept.
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/theory.md", "docs/how-do-i.md", "docs/gallery.md")
PACKAGES = ("unrolled", "theory", "numerics")


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
def main(out: Path) -> None:
    """Build the pages and the API reference, and fail if a link leads nowhere."""
    for name in DOCUMENTS:
        write_document(ROOT / name, out)
    write_reference(out / "api")
    dead = dead_links(out)
    if dead:
        raise click.ClickException("dead links: " + ", ".join(dead))
    click.echo(out / "README.html")


def write_document(source: Path, out: Path) -> None:
    """One Markdown page as HTML, with the files that it shows or links to beside it."""
    target = out / source.relative_to(ROOT).with_suffix(".html")
    markup = prose(source.read_text(encoding="utf-8"))
    for address in re.findall(r'(?:src|href)="([^"#:]+)(?:#[^"]*)?"', markup):
        linked = (source.parent / unquote(address)).resolve()
        if linked.is_file() and linked.suffix != ".md":
            copy = out / linked.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(linked, copy)
    markup = re.sub(r'(href="[^":]+)\.md((?:#[^"]*)?")', r"\1.html\2", markup)
    depth = len(source.relative_to(ROOT).parts) - 1
    write_text(target, document_page(markup, root="../" * depth))


def write_reference(out: Path) -> None:
    """The API reference from the docstrings of every module."""
    import pdoc
    import pdoc.render

    modules = []
    for name in PACKAGES:
        package = import_module(name)
        for public in package.__all__:
            # pdoc looks for names in the module itself, where these appear when first used
            vars(package)[public] = getattr(package, public)
        modules += [name, *(module.name for module in pkgutil.walk_packages(package.__path__, f"{name}."))]
    pdoc.render.configure(docformat="google", show_source=False, footer_text="unrolled")
    with warnings.catch_warnings():
        # of optional packages that are not installed, and of annotations that exist for type checkers only
        warnings.simplefilter("ignore")
        pdoc.pdoc(*modules, output_directory=out)
    for page in out.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        links = _Links()
        links.feed(text)
        write_text(page, _without_missing_places(text, links.places))


def _without_missing_places(text: str, places: set[str]) -> str:
    """Unlink names that have no entry of their own: pdoc links to attributes that it does not show."""
    return re.sub(
        r'<a href="#([^"]+)">(.*?)</a>',
        lambda link: link[0] if unquote(link[1]) in places else link[2],
        text,
        flags=re.DOTALL,
    )


class _Links(HTMLParser):
    """The addresses that a page leads to, and the places in it that can be led to."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the element refers to and what it is called."""
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.addresses.append(value)
            elif value and name in ("id", "name"):
                self.places.add(value)


def dead_links(folder: Path) -> list[str]:
    """Links within the folder's pages to files or places that are not there, as ``page: address``."""
    pages: dict[Path, _Links] = {}
    for path in folder.rglob("*.html"):
        links = _Links()
        links.feed(path.read_text(encoding="utf-8"))
        pages[path.resolve()] = links
    dead = []
    for path, links in pages.items():
        for address in links.addresses:
            if re.match(r"[a-z]+:", address):  # the network, or data
                continue
            file, place = urldefrag(address)
            target = (path.parent / unquote(file)).resolve() if file else path
            found = target.is_file() and (not place or target not in pages or unquote(place) in pages[target].places)
            if not found:
                dead.append(f"{path.relative_to(folder.resolve())}: {address}")
    return dead


if __name__ == "__main__":
    main()

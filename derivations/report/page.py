"""The pages themselves: templates filled with what the other modules made."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from derivations.report.derivation import derivation
from derivations.report.typeset import code_style, mathml, typeset_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

STATIC = Path(__file__).with_name("static")
TEMPLATES = Path(__file__).with_name("templates")
#: The website's pages, and what they are called in the list on each.
PAGES = (
    ("index.html", "unrolled"),
    ("README.html", "Read me"),
    ("docs/theory.html", "Theory"),
    ("docs/how-do-i.html", "How do I …"),
    ("docs/real-data.html", "Real data"),
    ("index.html#notebooks", "Notebooks"),
    ("index.html#derivations", "Derivations"),
    ("docs/gallery.html", "Gallery"),
    ("api/index.html", "API reference"),
)


def report_page(**content: Any) -> str:
    """The report; ``content`` holds its sections (see ``templates/report.html.jinja``)."""
    return _environment().get_template("report.html.jinja").render(**content)


def derivation_page(name: str, notebook: NotebookNode, *, folded: bool = True) -> str:
    """One derivation as a page of its own, which needs nothing beside it."""
    content = derivation(name, notebook, heading=1, folded=folded)
    return _environment().get_template("derivation.html.jinja").render(derivation=content)


@dataclass(frozen=True)
class Site:
    """A page of the website.

    Attributes:
        address: from the folder of all pages.
        listed: the address that marks it in the list of pages; its own if empty.
    """

    address: str
    listed: str = ""

    @property
    def root(self) -> str:
        """What leads from the page to the folder of all pages."""
        return "../" * self.address.count("/")

    def page(self, markup: str, before: tuple[str, str] | None = None, after: tuple[str, str] | None = None) -> str:
        """The page, with its neighbours (address and title)."""
        heading = re.search(r"<h1[^>]*>(.*?)</h1>", markup, flags=re.DOTALL)
        if heading is None:
            raise ValueError("markup: has no title; accepted: a page that begins with one")
        return (
            _environment()
            .get_template("document.html.jinja")
            .render(
                markup=markup,
                title=re.sub(r"<[^>]*>", "", heading[1]),
                root=self.root,
                pages=PAGES,
                here=self.listed or self.address,
                contents=re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', markup, flags=re.DOTALL),
                before=before,
                after=after,
            )
        )

    def landing(self, notebooks: list[Any], derivations: list[Any], groups: list[Any], executed: bool) -> str:
        """The page that leads to all others (see ``templates/landing.html.jinja``)."""
        markup = (
            _environment()
            .get_template("landing.html.jinja")
            .render(notebooks=notebooks, derivations=derivations, groups=groups, executed=executed)
        )
        return self.page(markup)


def script_json(data: Any) -> Markup:
    """JSON that may stand inside a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["math"] = lambda latex: Markup(mathml(latex))
    environment.filters["symbols"] = lambda text: Markup(typeset_text(text))
    environment.filters["script_json"] = script_json
    environment.globals["style"] = Markup(style())
    environment.globals["roots_script"] = Markup(roots_script())
    environment.globals["figure_script"] = Markup((STATIC / "figure.js").read_text(encoding="utf-8"))
    return environment


def style() -> str:
    """The style sheet with the font of the formulas and the colours of the code, light and dark."""
    return font_style() + site_style()


def roots_script() -> str:
    """What takes back the space that Chromium leaves behind a root."""
    return (STATIC / "roots.js").read_text(encoding="utf-8")


def font_style() -> str:
    """The font of the formulas, as a style sheet."""
    font = base64.b64encode((STATIC / "STIXTwoMath.woff2").read_bytes()).decode("ascii")
    return f'@font-face{{font-family:"STIX Two Math";src:url(data:font/woff2;base64,{font}) format("woff2")}}\n'


def site_style() -> str:
    """The style sheet without the font."""
    dark = f"@media screen and (prefers-color-scheme: dark){{{code_style('github-dark')}}}"
    return "\n".join([(STATIC / "page.css").read_text(encoding="utf-8"), code_style("friendly"), dark])

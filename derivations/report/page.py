"""The pages themselves: templates filled with what the other modules made."""

from __future__ import annotations

import base64
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from derivations.report.derivation import derivation
from derivations.report.typeset import code_style, mathml

if TYPE_CHECKING:
    from nbformat import NotebookNode

STATIC = Path(__file__).with_name("static")
TEMPLATES = Path(__file__).with_name("templates")


def report_page(**content: Any) -> str:
    """The report; ``content`` holds its sections (see ``templates/report.html.jinja``)."""
    return _environment().get_template("report.html.jinja").render(**content)


def derivation_page(name: str, notebook: NotebookNode) -> str:
    """One derivation as a page of its own."""
    return _environment().get_template("derivation.html.jinja").render(derivation=derivation(name, notebook, heading=1))


def document_page(markup: str, root: str) -> str:
    """A page of prose; ``root`` leads from it to the folder of all pages."""
    title = re.search(r"<h1[^>]*>(.*?)</h1>", markup, flags=re.DOTALL)
    if title is None:
        raise ValueError("markup: has no title; accepted: a page that begins with one")
    return (
        _environment()
        .get_template("document.html.jinja")
        .render(markup=markup, title=re.sub(r"<[^>]*>", "", title[1]), root=root)
    )


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
    environment.filters["script_json"] = script_json
    environment.globals["style"] = Markup(style())
    environment.globals["figure_script"] = Markup((STATIC / "figure.js").read_text(encoding="utf-8"))
    return environment


def style() -> str:
    """The style sheet with the font of the formulas and the colours of the code, light and dark."""
    font = base64.b64encode((STATIC / "STIXTwoMath.woff2").read_bytes()).decode("ascii")
    face = f'@font-face{{font-family:"STIX Two Math";src:url(data:font/woff2;base64,{font}) format("woff2")}}'
    dark = f"@media screen and (prefers-color-scheme: dark){{{code_style('github-dark')}}}"
    return "\n".join([face, (STATIC / "page.css").read_text(encoding="utf-8"), code_style("friendly"), dark])

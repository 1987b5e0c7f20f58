"""The API reference of `make docs`: pdoc's pages with typeset formulas, a way back, and a search without repeats."""

from __future__ import annotations

import html
import inspect
import json
import pkgutil
import re
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

from derivations.report.links import Links
from derivations.report.page import roots_script
from derivations.report.typeset import typeset_block, typeset_span, typeset_text
from numerics.files import write_text

PACKAGES = ("unrolled", "theory", "numerics")
TEMPLATES = Path(__file__).with_name("templates") / "reference"


def write_reference(out: Path) -> None:
    """One page for each module, written from its docstrings."""
    import pdoc
    import pdoc.doc
    import pdoc.render
    import pdoc.search

    modules = []
    for name in PACKAGES:
        package = import_module(name)
        for public in package.__all__:
            # pdoc looks for names in the module itself, where these appear when first used
            vars(package)[public] = getattr(package, public)
        modules += [name, *(module.name for module in pkgutil.walk_packages(package.__path__, f"{name}."))]
    pdoc.render.configure(
        docformat="google", show_source=False, footer_text="unrolled", template_directory=TEMPLATES, favicon="data:,"
    )
    entries = patch.object(pdoc.render, "make_index", _without_repeats(pdoc.search.make_index))
    # indexed where it is searched: an index made here is four times as long
    plain = patch.object(pdoc.render, "precompile_index", lambda documents, script: json.dumps(documents))
    named = _with_named_types(inspect.formatannotation)
    types = [patch.object(holder, "formatannotation", named) for holder in (inspect, pdoc.doc)]
    written = vars(pdoc.doc.Variable)["default_value_str"].func
    values = patch.object(pdoc.doc.Variable, "default_value_str", property(lambda self: _readable(written(self))))
    with warnings.catch_warnings(), entries, plain, types[0], types[1], values:
        # of optional packages that are not installed, and of annotations that exist for type checkers only
        warnings.simplefilter("ignore")
        pdoc.pdoc(*modules, output_directory=out)
    for page in out.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        links = Links()
        links.feed(text)
        root = "../" * len(page.relative_to(out).parts)
        text = typeset_docstrings(_without_missing_places(text, links.places), root)
        text = text.replace("</head>", f'<link rel="stylesheet" href="{root}font.css">\n</head>', 1)
        write_text(page, text.replace("</body>", f"<script>{roots_script()}</script>\n</body>", 1))


def _readable(value: str) -> str:
    """The value of a constant, but of one that holds functions: their representation says nothing."""
    return "" if "<function" in value or "<class" in value else value


def _without_repeats(make_index: Callable[..., list[dict[str, Any]]]) -> Callable[..., list[dict[str, Any]]]:
    """Search entries in which what several modules show stands once, under the shortest name."""

    def index(all_modules: Mapping[str, Any], *rest: Any) -> list[dict[str, Any]]:
        kept: dict[tuple[object, str], dict[str, Any]] = {}
        for entry in make_index(all_modules, *rest):
            module, name = entry["modulename"], entry.get("qualname", "")
            holder = getattr(import_module(module), name.partition(".")[0], None) if name else module
            key = (id(holder) if callable(holder) else module, name)
            shortest = min(kept.get(key, entry), entry, key=lambda one: _rank(one["modulename"]))
            kept[key] = shortest
        return [_brief(entry) for entry in kept.values()]

    return index


def _brief(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A search entry with plain signatures and the first paragraph of its text: the whole of them is 6 MB."""
    kept = {name: value for name, value in entry.items() if name not in ("annotation", "default_value")}
    kept["doc"] = entry.get("doc", "").partition("</p>")[0].removeprefix("<p>").strip()
    if "signature" in kept:
        text = html.unescape(re.sub(r"<[^>]+>", "", kept["signature"]))
        kept["signature"] = html.escape(" ".join(text.split()))
    return kept


def _rank(module: str) -> tuple[int, int]:
    return module.count("."), PACKAGES.index(module.partition(".")[0])


def _with_named_types(formatted: Callable[..., str]) -> Callable[..., str]:
    """Annotations that have types of arrays by the name that the code has for them: FloatArray, NDArray[numpy.bool]."""
    long = r"numpy\.ndarray\[tuple\[typing\.Any, \.\.\.\], numpy\.dtype\[([\w.]+)\]\]"
    names = {"numpy.float64": "FloatArray", "typing.Any": "NDArray"}

    def named(*annotation: Any, **options: Any) -> str:
        return re.sub(
            long, lambda found: names.get(found[1], f"NDArray[{found[1]}]"), formatted(*annotation, **options)
        )

    return named


def typeset_docstrings(page: str, root: str) -> str:
    """Formulas in a page's docstrings as MathML, and cited sections of the theory as links; ``root`` leads to them."""
    parts = re.split(r"(<[^>]+>)", _typeset_blocks(page))
    depth = 0  # of divisions within a docstring
    kept: list[str] = []  # elements whose text is no prose
    for place, part in enumerate(parts):
        if part.startswith("<"):
            name = re.match(r"</?\s*([\w-]+)", part)
            element = name[1] if name else ""
            if element == "div" and (depth or 'class="docstring"' in part):
                depth += -1 if part.startswith("</") else 1
            if depth and element in ("pre", "a", "math", "code", "h1", "h2", "h3"):
                if part.startswith("</"):
                    kept.pop()
                else:
                    kept.append(element)
        elif depth and part.strip():
            parts[place] = _typeset(parts, place, kept, root)
    return "".join(parts)


def _typeset_blocks(page: str) -> str:
    """Blocks of formulas in plain notation, which Markdown takes for code; examples stay code."""

    def formulas(block: re.Match[str]) -> str:
        return typeset_block(html.unescape(block[1])) or block[0]

    return re.sub(r"<pre><code>([^<]*)</code></pre>", formulas, page)


def _typeset(parts: list[str], place: int, kept: list[str], root: str) -> str:
    """One piece of text of a docstring, in the elements ``kept``; the tags around a formula are dropped."""
    text = html.unescape(parts[place])
    argument = parts[place - 1] == "<strong>" and text.endswith(":")
    if not kept and not argument:
        return _cited(typeset_text(text), root)
    if kept == ["code"] and parts[place - 1] == "<code>" and parts[place + 1] == "</code>":
        formula = typeset_span(text)
        if formula is not None:
            parts[place - 1] = parts[place + 1] = ""
            kept.pop()
            return formula
    return parts[place]


def _cited(markup: str, root: str) -> str:
    return re.sub(
        r"docs/theory\.md(\s+)section(\s+)(\d+)",
        rf'<a href="{root}docs/theory.html#section-\3">docs/theory.md\1section\2\3</a>',
        markup,
    )


def _without_missing_places(text: str, places: set[str]) -> str:
    """Unlink names that have no entry of their own: pdoc links to attributes that it does not show."""
    return re.sub(
        r'<a href="([^"#]*)#([^"]+)">(.*?)</a>',
        lambda link: link[0] if _shown(link[1], unquote(link[2]), places) else link[3],
        text,
        flags=re.DOTALL,
    )


def _shown(file: str, place: str, places: set[str]) -> bool:
    """Whether a place has an entry: in another file, those of private names have none."""
    return not place.startswith("_") if file else place in places

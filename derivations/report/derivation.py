"""An executed literate derivation as HTML: its prose and formulas, its code folded away, and what each cell printed."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from derivations.report.typeset import code, mathml, prose

if TYPE_CHECKING:
    from nbformat import NotebookNode

#: Names that print as words and are read as letters.
SPELLED_GREEK = {
    "lambda": "λ", "lamda": "λ", "kappa": "κ", "mu": "μ", "zeta": "ζ", "rho": "ρ", "alpha": "α", "psi": "ψ",
    "sigma": "σ", "Delta": "Δ", "Gamma": "Γ", "Lambda": "Λ", "Phi": "Φ",
}  # fmt: skip


@dataclass(frozen=True)
class Derivation:
    """A derivation as HTML.

    Attributes:
        name: of the script, without its ending.
        title: its first heading, as HTML.
        body: the rest, with headings one level below the title's.
        assertions: statements in it that would have stopped it had they been false.
    """

    name: str
    title: str
    body: str
    assertions: int


def derivation(name: str, notebook: NotebookNode, heading: int, *, folded: bool = True) -> Derivation:
    """Render an executed notebook whose title becomes a heading of level ``heading``; its code is folded or shown."""
    kinds: dict[str, Callable[[Any], str]] = {"markdown": prose_cell, "code": partial(code_cell, folded=folded)}
    parts = [kinds[cell.cell_type](cell) for cell in notebook.cells if cell.cell_type in kinds]
    whole = _demoted("\n".join(parts), heading - 1)
    title = re.search(rf"<h{heading}>(.*?)</h{heading}>\s*", whole, flags=re.DOTALL)
    if title is None:
        raise ValueError(f"notebook: {name} has no heading; accepted: one that begins with a title")
    body = whole[: title.start()] + whole[title.end() :]
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assertions = sum(len(re.findall(r"^\s*assert\b|\.assert_\w+\(", source, flags=re.MULTILINE)) for source in sources)
    return Derivation(name, title[1], body, assertions)


def _demoted(markup: str, levels: int) -> str:
    return re.sub(r"(</?h)([1-6])>", lambda tag: f"{tag[1]}{min(6, int(tag[2]) + levels)}>", markup)


def prose_cell(cell: Any) -> str:
    """Markdown with formulas."""
    return prose(cell.source)


def code_cell(cell: Any, *, folded: bool) -> str:
    """Source, and what the cell printed and showed."""
    if not cell.source.strip():
        return ""
    source = code(cell.source)
    if folded:
        source = f'<details class="source"><summary>Code</summary>{source}</details>'
    # what one cell printed comes in pieces, as they reached the kernel's client
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout")
    shown = [_output(output) for output in cell.outputs if output.output_type in ("display_data", "execute_result")]
    return "".join([source, printed(text) if text.strip() else "", *shown])


def _output(output: Any) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return f'<img alt="picture that this cell drew" src="data:image/png;base64,{data["image/png"].strip()}">'
    if "text/latex" in data:
        return prose(data["text/latex"])
    if "text/html" in data:
        return f'<div class="scroll" tabindex="0">{data["text/html"]}</div>'
    return printed(data["text/plain"]) if "text/plain" in data else ""


def printed(text: str) -> str:
    """What a cell printed: a line ``name = LaTeX`` as a formula, all else as it stands but for letters and powers."""
    is_source = re.search(r"^ +return ", text, flags=re.MULTILINE) is not None
    parts: list[str] = []
    plain: list[str] = []

    def flush() -> None:
        if any(line.strip() for line in plain):
            shown = "\n".join(plain) if is_source else _lettered("\n".join(plain))
            parts.append(f'<pre class="printed" tabindex="0">{html.escape(shown)}</pre>')
        plain.clear()

    for line in text.rstrip("\n").split("\n"):
        formula = _formula(line)
        if formula is None:
            plain.append(line)
        else:
            flush()
            parts.append(f'<div class="formula" tabindex="0">{formula}</div>')
    flush()
    return "\n".join(parts)


def _lettered(text: str) -> str:
    """Greek letters for their names, and powers and products as in print, of numbers, words and SymPy's ``str``."""
    for word, letter in SPELLED_GREEK.items():
        text = re.sub(rf"(?<![A-Za-z]){word}(?![A-Za-z])", letter, text)
    text = re.sub(r"\bsqrt\((\w+)\)", r"√\1", text)
    return re.sub(r"(?<=[\w)])\*(?=[\w(√])", " ", text.replace("**", "^"))


def _formula(line: str) -> str | None:
    """A printed line ``name = LaTeX`` or ``name: LaTeX`` as MathML, or None if it is not one."""
    match = re.fullmatch(r"\s*(.{1,40}?)\s*( = | ~ |: )\s*(\S.*)", line)
    if match is None or "'" in line:
        return None
    name, relation, latex = match.groups()
    words, colon, rest = latex.partition(": ")
    if colon and "\\" not in words:  # a condition between the name and the formula
        name, relation, latex = f"{name}{relation}{words}", ":", rest
    indexed = re.search(r"[\^_]\{", latex) and re.fullmatch(r"[\w\s^{}+()-]+", latex)
    short = re.search(r"[\^_]", name) and re.fullmatch(r"[\w\s^{}+()-]{1,20}", latex)
    if not ("\\" in latex or indexed or short):
        return None
    try:
        right = mathml(latex.replace(r"\log", r"\ln"))  # as everywhere else
    except ValueError:
        return None
    return f"{_name(name)} {html.escape(relation.strip())} {right}"


def _name(name: str) -> str:
    """The left-hand side: a symbol with indices as a formula, words as words."""
    symbol = rf"(?:[A-Za-z]|{'|'.join(SPELLED_GREEK)})(?:\(\w\))?"
    if (re.search(r"[\\^_]", name) and " " not in name) or re.fullmatch(symbol, name):
        latex = re.sub(r"([\^_])([\w,+]{2,})", r"\1{\2}", name)
        latex = re.sub(rf"(?<![\\a-z])({'|'.join(SPELLED_GREEK)})(?![a-z])", r"\\\1 ", latex)
        return mathml(latex)
    return html.escape(_lettered(name))

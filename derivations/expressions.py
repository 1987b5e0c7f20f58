"""SymPy expressions, and tables of them, as text; each part is written once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sympy.printing.str import StrPrinter

from theory.typesetting import Remembered

#: Columns of a line with its phrase.
WIDTH = 80


class Text(Remembered, StrPrinter):  # type: ignore[misc]
    """``str`` of SymPy expressions."""


#: What the nodes of matrix expressions are: (t, p) → (t', p') entries (docs/theory.md section 2), with their LaTeX.
NODES = {
    "Shift(": "Shift(A)^{t,t'} = A^{t-1,t'-1}, 0 where a time is 0; A^- in LaTeX",
    "AdjointShift(": "AdjointShift(A)^{t,t'} = A^{t+1,t'+1}, 0 beyond the last time; A^+ in LaTeX",
    "Mask(": "Mask(A, M)^{t,t'} = M_tt' A^{t,t'}",
    "Restrict(": "Restrict(A, m, c) = 𝒯 A 𝒯ᵀ: rows and columns of the m supervised pairs, of output c",
    "Embed(": "Embed(A, P*n, c) = 𝒯ᵀ A 𝒯: zero beyond the supervised pairs",
}


def with_legend(text: str) -> str:
    """A text with what its matrix nodes mean as comments before it."""
    shown = [f"# {meaning}" for node, meaning in NODES.items() if re.search(rf"\b{re.escape(node)}", text)]
    return "\n".join([*shown, text])


def with_derivatives(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields in which derivatives of F are called that, dF/dH_11; JSON has their kernel entries alone."""
    named = dict(fields)
    for name, sign in (("equations", "d"), ("second_derivatives", "d^2")):
        if name in named:
            named[name] = {f"{sign}F/d{key.replace(' ', ' d')}": value for key, value in named[name].items()}
    return named


def as_text(fields: Mapping[str, Any], phrases: Callable[[str], str] = lambda name: "") -> str:
    """One name a line; tables and sequences of tables indented below theirs.

    `phrases` gives what a name stands for, or nothing; it is a comment behind the name's line, before it where that is
    long.
    """
    return _as_text(fields, "", Text().doprint, phrases)


def _as_text(
    fields: Mapping[str, Any], indent: str, written: Callable[[Any], str], phrases: Callable[[str], str]
) -> str:
    lines = []
    for name, value in fields.items():
        if value is None or name == "latex":
            continue
        if isinstance(value, dict):
            inner = _as_text(value, indent + "  ", written, phrases)
            lines += [_commented(f"{indent}{name}:", phrases(name)), inner] if value else []
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            inner = "\n".join(_as_text(item, indent + "  ", written, phrases) + "\n" for item in value)
            lines += [f"{indent}{name}:", inner]
        else:
            values = value if isinstance(value, list | tuple) else [value]
            lines.append(_commented(f"{indent}{name} = {', '.join(map(written, values))}", phrases(name)))
    return "\n".join(lines)


def _commented(line: str, phrase: str) -> str:
    if not phrase:
        return line
    if len(line) + len(phrase) + 4 <= WIDTH:
        return f"{line}  # {phrase}"
    return f"{' ' * (len(line) - len(line.lstrip()))}# {phrase}\n{line}"

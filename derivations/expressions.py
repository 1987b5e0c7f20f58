"""SymPy expressions, and tables of them, as text; each part is written once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sympy.printing.str import StrPrinter

from theory.typesetting import Remembered


class Text(Remembered, StrPrinter):  # type: ignore[misc]
    """``str`` of SymPy expressions."""


def as_text(fields: Mapping[str, Any]) -> str:
    """One name a line; tables and sequences of tables indented below theirs."""
    return _as_text(fields, "", Text().doprint)


def _as_text(fields: Mapping[str, Any], indent: str, written: Callable[[Any], str]) -> str:
    lines = []
    for name, value in fields.items():
        if value is None or name == "latex":
            continue
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", _as_text(value, indent + "  ", written)] if value else []
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{indent}{name}:", *(_as_text(item, indent + "  ", written) + "\n" for item in value)]
        elif isinstance(value, list | tuple):
            lines.append(f"{indent}{name} = {', '.join(map(written, value))}")
        else:
            lines.append(f"{indent}{name} = {written(value)}")
    return "\n".join(lines)

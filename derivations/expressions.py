"""SymPy expressions, and tables of them, as text or LaTeX; each part is written once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sympy import Basic
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter


class _Remembered:
    """What a printer has written of each part: the determinants of a long chain recur in every equation."""

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[tuple[Basic, tuple[tuple[str, Any], ...]], str] = {}

    def _print(self, expr: Any, **settings: Any) -> str:
        # numbers print as they are typed: 1 and 1.0 are equal
        if not isinstance(expr, Basic) or not expr.args:
            return super()._print(expr, **settings)  # type: ignore[misc,no-any-return]
        key = (expr, tuple(sorted(settings.items())))
        if key not in self._written:
            self._written[key] = super()._print(expr, **settings)  # type: ignore[misc]
        return self._written[key]


class Text(_Remembered, StrPrinter):  # type: ignore[misc]
    """``str`` of SymPy expressions."""


class Latex(_Remembered, LatexPrinter):  # type: ignore[misc]
    """``latex`` of SymPy expressions."""


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


def as_latex(fields: Mapping[str, Any]) -> str:
    """A displayed equation for each expression; compiles with amsmath and amssymb."""
    return "\n".join(_equations("", fields, Latex().doprint))


def _equations(prefix: str, fields: Mapping[str, Any], latex: Callable[[Any], str]) -> list[str]:
    if "latex" in fields:  # a matrix expression with node types of our own, printed by theory
        names = {"free_energy": "F", "gradient": "G", "hessian_vector_product": "\\mathrm{d}G"}
        (name,) = (symbol for key, symbol in names.items() if key in fields)
        return [rf"\[ {name} = {fields['latex']} \]"]
    lines = []
    for name, value in fields.items():
        words = (prefix + name).replace("_", " ").replace("←", r"$\leftarrow$").replace("·", r"$\cdot$")
        label = rf"\text{{{words}}}"
        if isinstance(value, dict):
            lines += _equations(f"{prefix}{name} ", value, latex)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, item in enumerate(value):
                lines += _equations(f"{prefix}{name} {index} ", item, latex)
        elif isinstance(value, Basic):
            lines.append(rf"\[ {label} = {latex(value)} \]")
        elif isinstance(value, list | tuple) and all(isinstance(item, Basic) for item in value):
            items = r",\ ".join(latex(item) for item in value)
            lines.append(rf"\[ {label} = \left({items}\right) \]")
        elif isinstance(value, list | tuple) and all(isinstance(item, int | float) for item in value):
            items = r",\ ".join(map(str, value))
            lines.append(rf"\[ {label} = \left({items}\right) \]")
        elif isinstance(value, int | float | str):
            lines.append(rf"\[ {label} = \text{{{value}}} \]")
    return lines

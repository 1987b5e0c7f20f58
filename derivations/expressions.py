"""SymPy expressions as strings, each part written once."""

from __future__ import annotations

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

"""Results as formulas: what a notebook shows of them, and LaTeX for a paper.

A class that takes part has `equations`, pairs of a left-hand side in LaTeX and its value (or a `Row`, where another
relation than = holds between the two), and gets `latex` and `_repr_latex_`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from theory.typesetting import Latex, Raw, Row, align, written

#: Formulas longer than this, in characters of LaTeX, are not typeset in a notebook but counted: nobody reads them.
LONGEST = 4000

Equations = Sequence[tuple[str, Any] | Row]


class Typeset:
    """Writes its `equations` as LaTeX, and shows them in a notebook, aligned at the equals signs."""

    def equations(self) -> Equations:
        """Left-hand sides in LaTeX with their values, in reading order."""
        raise NotImplementedError

    def _rows(self) -> list[Row]:
        return [Row(*equation) for equation in self.equations()]

    def latex(self) -> str:
        """The formulas as an ``align*`` environment for a paper (with amsmath), long ones broken into lines."""
        return align(row for row in self._rows() if row.value is not None)

    def _repr_latex_(self) -> str:
        printer = Latex()
        shown = [row._replace(value=_short(row.value, printer)) for row in self._rows() if row.value is not None]
        inside = align(shown, printer).replace("align*", "aligned")
        return f"$${inside}$$"


def _short(value: Any, printer: Latex) -> Any:
    if len(typeset := written(value, printer)) <= LONGEST:
        return value
    operations = value.count_ops() if hasattr(value, "count_ops") else len(typeset)
    return Raw(rf"\text{{an expression of {operations} operations}}")

"""Results as formulas: what a notebook shows of them, and LaTeX for a paper.

A class that takes part has `equations`, pairs of a left-hand side in LaTeX and its value (or a `Row`, where another
relation than = holds between the two), and gets `latex` and `_repr_latex_`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sympy import Number

from theory.typesetting import Latex, PowerSeries, Raw, Row, align, written

#: Formulas longer than this, in characters of LaTeX, are not typeset in a notebook but counted: nobody reads them.
LONGEST_TYPESET = 4000

Equations = Sequence[tuple[str, Any] | Row]


class Typeset:
    """Writes its `equations` as LaTeX, and shows them in a notebook, aligned at the equals signs."""

    def equations(self) -> Equations:
        """Left-hand sides in LaTeX with their values, in reading order."""
        raise NotImplementedError

    def _rows(self) -> list[Row]:
        return [Row(*equation) for equation in self.equations()]

    def latex(self, only: str | None = None, *, columns: int = 1) -> str:
        """The formulas as an ``align*`` environment for a paper (with amsmath), long ones broken into lines.

        Args:
            only: an attribute, such as ``"signal"``: its formula alone.
            columns: of the paper, 1 or 2: the lines fit one of them.

        Raises:
            ValueError: one line: no formula is of this attribute, or the columns are others.

        Example:
            >>> from theory import critical_point
            >>> print(critical_point(4).latex("signal"))
            \\begin{align*}
            \\lambda_c &= \\frac{\\left(\\kappa + 8\\right)^{2}}{8}
            \\end{align*}
        """
        if columns not in (1, 2):
            raise ValueError(f"columns: is {columns!r}; accepted: 1 or 2")
        rows = [row for row in self._rows() if row.value is not None]
        if only is not None:
            named = {name: [row for row in rows if _is_of(row.value, value)] for name, value in vars(self).items()}
            if not named.get(only):
                accepted = ", ".join(name for name, found in named.items() if found)
                raise ValueError(f"only: is {only!r}; accepted: {accepted}")
            rows = named[only]
        return align(rows, columns=columns)

    def _repr_latex_(self) -> str:
        printer = Latex()
        told = [row for row in self._rows() if row.value is not None]
        shown = [row._replace(value=_short(row.value, printer), phrase="") for row in told]
        inside = align(shown, printer).replace("align*", "aligned")
        return f"$${inside}$$"


def _is_of(shown: Any, value: Any) -> bool:
    """Whether a formula is of an attribute: its value, one of its values, or a series with it."""
    if value is None or isinstance(value, Number | int | str):  # that others may have too
        return shown is value
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else ()
    parts = [part for part, _ in shown] if isinstance(shown, PowerSeries) else [shown]
    return any(part is each for part in parts for each in (value, *values))


def _short(value: Any, printer: Latex) -> Any:
    if len(typeset := written(value, printer)) <= LONGEST_TYPESET:
        return value
    operations = value.count_ops() if hasattr(value, "count_ops") else len(typeset)
    return Raw(rf"\text{{an expression of {operations} operations}}")

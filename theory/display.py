"""Results as formulas: what a notebook shows of them.

A class that takes part has `equations`, pairs of a left-hand side in LaTeX and its value, and gets `_repr_latex_`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sympy import latex

#: Formulas longer than this, in characters of LaTeX, are not typeset but counted: nobody reads them.
LONGEST = 4000

Equations = Sequence[tuple[str, Any]]


class Typeset:
    """Shows its `equations` in a notebook, aligned at the equals signs."""

    def equations(self) -> Equations:
        """Left-hand sides in LaTeX with their values, in reading order."""
        raise NotImplementedError

    def _repr_latex_(self) -> str:
        rows = [rf"{left} &= {_formula(value)}" for left, value in self.equations() if value is not None]
        return "$$\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}$$"


def _formula(value: Any) -> str:
    if isinstance(value, str):
        return rf"\text{{{value}}}"
    typeset = latex(value)
    if len(typeset) <= LONGEST:
        return str(typeset)
    operations = value.count_ops() if hasattr(value, "count_ops") else len(typeset)
    return rf"\text{{an expression of {operations} operations}}"

"""Results for people: a line in a terminal, a table in a notebook or in rich.

A class that takes part has `facts`, names with values in reading order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Facts = Sequence[tuple[str, str]]
#: More times at equal distances are not listed one by one.
MOST_TIMES = 6
#: Larger kernels are not written out.
LARGEST_SHOWN = 12
#: Entries smaller than this part of the largest are shown as 0.
SHOWN_AS_0 = 1e-14


class Shown:
    """Shows its `facts`."""

    def facts(self) -> Facts:
        """Names with values, in reading order; the most telling first."""
        raise NotImplementedError

    def matrix(self) -> NDArray[Any] | None:
        """A matrix that belongs to the result, shown where it is small."""
        return None

    def matrix_patterns(self) -> int:
        """P, where the matrix is a kernel whose rows are (t, p), time-major; 0 where its rows are only counted."""
        return 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}: {value}' for name, value in self.facts())})"

    def _repr_html_(self) -> str:
        from html import escape  # takes as long to load as a small problem to solve

        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in self.facts())
        matrix = _html_matrix(self.matrix(), self.matrix_patterns())
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>{matrix}"

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table("quantity", "value", title=type(self).__name__, title_justify="left")
        for name, value in self.facts():
            table.add_row(name, value)
        return table


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of words, the first to the left and numbers to the right."""
    every = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in every]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def number(value: float) -> str:
    """Six significant digits."""
    return f"{value:.6g}"


def sign_fact(times: Sequence[int]) -> Facts:
    """The fact that predictions at these hidden times could as well have the other sign; none without any."""
    if not times:
        return ()
    listed = ", ".join(map(str, times))
    if len(times) > MOST_TIMES and len({later - time for time, later in itertools.pairwise(times)}) == 1:
        listed = f"{times[0]}, {times[1]}, …, {times[-1]}"
    return (("sign", f"arbitrary for the prediction at t = {listed}: a symmetry reverses it, and its mean is 0"),)


def eigenvalue(value: complex) -> str:
    """A real number, or a complex one with its imaginary part."""
    return f"{value.real:.4g}" if value.imag == 0 else f"{value.real:.4g}{value.imag:+.4g}i"


def row_names(rows: int, P: int) -> list[str]:
    """Names of a kernel's rows: t, or (t, p) where there are several patterns; their numbers for P = 0."""
    if P <= 1:
        return [str(row + 1) for row in range(rows)]
    return [f"{row // P + 1}, {row % P + 1}" for row in range(rows)]


def _html_matrix(matrix: NDArray[Any] | None, P: int = 0) -> str:
    """A matrix as a table whose cells are shaded by the size of its entries, with headers; rounding noise is 0."""
    if matrix is None or matrix.ndim != 2 or len(matrix) > LARGEST_SHOWN:
        return ""
    largest = float(np.nanmax(np.abs(matrix))) or 1.0
    names = [f"<th>{name}</th>" for name in row_names(max(matrix.shape), P)]
    corner = ("row" if P == 0 else "t") if P <= 1 else "t, p"
    rows = [f"<tr><th>{corner}</th>{''.join(names[: matrix.shape[1]])}</tr>"]
    for name, row in zip(names, np.where(np.abs(matrix) < SHOWN_AS_0 * largest, 0.0, matrix), strict=False):
        cells = "".join(
            f'<td style="background:rgba(0,114,178,{0.6 * abs(x) / largest if np.isfinite(x) else 0:.2f})">{x:.4g}</td>'
            for x in row
        )
        rows.append(f"<tr>{name}{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"

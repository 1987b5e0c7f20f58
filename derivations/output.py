"""What the commands print: one JSON object, or tables for people."""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from numerics.inputs.problem import Problem
    from numerics.progress import Progress

#: What of a table fits a terminal of 80 columns, and a screen.
MOST_COLUMNS, MOST_ROWS = 6, 40
#: Columns of a sentence beside its name.
WIDEST = 56
#: Where a command's context keeps what it was asked for, and whether progress is to be shown.
RUN, PROGRESS = "unrolled.run", "unrolled.progress"


def plain(value: Any, written: Callable[[Any], str] = str) -> Any:
    """`value` as plain JSON types: arrays as lists, complex numbers as [re, im], SymPy expressions as strings.

    Args:
        value: of any of these kinds, nested.
        written: what writes expressions; ``expressions.Text`` is quicker than ``str`` for long ones.

    Raises:
        ValueError: a number is NaN or infinite; such a field must be absent.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no place in JSON")
        return value
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    if isinstance(value, Mapping):
        return {str(key): plain(item, written) for key, item in value.items()}
    if hasattr(value, "tolist"):  # an array or scalar of NumPy, or a matrix of SymPy
        floats = getattr(value, "ndim", 0) and value.dtype.kind == "f"
        return _listed(value) if floats else plain(value.tolist(), written)
    if isinstance(value, Iterable):
        return [plain(item, written) for item in value]
    return written(value)


def _listed(array: Any) -> Any:
    """An array of real numbers as lists: a scan's kernels have too many to be looked at one by one."""
    import numpy as np

    if not np.isfinite(array).all():
        raise ValueError(f"{array[~np.isfinite(array)][0]} has no place in JSON")
    return array.tolist()


def print_json(fields: Mapping[str, Any]) -> None:
    """One JSON object on standard output; fields that are None do not apply and are left out.

    Where the command has a problem, the object ends with it, the settings and the version.
    """
    context = click.get_current_context(silent=True)
    shown = {key: plain(value, _writer()) for key, value in fields.items() if value is not None}
    shown |= {} if context is None else context.meta.get(RUN, {})
    click.echo(json.dumps(shown, allow_nan=False))


def _writer() -> Callable[[Any], str]:
    """``str`` for whatever the command has made; SymPy is not imported by those that need none."""
    if "sympy" not in sys.modules:
        return str
    from derivations.expressions import Text

    written: Callable[[Any], str] = Text().doprint
    return written


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table for people on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    shown = [tuple(row) for row in rows]
    for index, name in enumerate(header):
        words = all(re.fullmatch(r"[^\d]*[A-Za-z]{2}.*", row[index]) for row in shown)
        sentences = WIDEST if index == 1 == len(header) - 1 else None
        table.add_column(name, justify="left" if index == 0 or words else "right", max_width=sentences)
    for row in shown:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console.width = 10_000  # a file or a pipe has room: nothing is cut short
    console.print(title, style="bold", markup=False, highlight=False)  # as the table's own it would wrap at its width
    console.print(table)


@contextmanager
def working(what: str) -> Iterator[Progress]:
    """Say on standard error what is going on, how much of it is done, and how long it still takes.

    On a terminal, or where --progress asks for it. What is yielded is told of more.
    """
    from numerics.progress import watched

    context = click.get_current_context(silent=True)
    asked = context is not None and context.meta.get(PROGRESS, False)
    with watched(asked or (sys.stderr is not None and sys.stderr.isatty()), what) as told:
        yield told


def number(value: float, digits: int = 6) -> str:
    """`value` with `digits` significant digits."""
    return f"{value:.{digits}g}"


def short(value: float) -> str:
    """`value` in at most nine characters, five significant digits where these fit."""
    for digits in (5, 4, 3):
        if len(text := number(value, digits)) <= 9:
            return text
    return f"{value:.2e}"


def without_rounding(kernel: Any) -> Any:
    """A kernel to be shown: 0 for entries that are rounding beside the largest and beside their own diagonal ones."""
    import numpy as np

    size = np.sqrt(np.abs(np.diagonal(kernel)))
    rounding = (np.abs(kernel) < 1e-12 * np.abs(kernel).max()) & (np.abs(kernel) < 1e-6 * np.outer(size, size))
    return np.where(rounding, 0.0, kernel)


def print_kernel(title: str, kernel: Any, n: int, patterns: int) -> None:
    """A time-major kernel in 80 columns: whole where it is small, else each pattern's with itself, averaged.

    Over more times than columns fit, by lag.
    """
    import numpy as np

    kernel = without_rounding(kernel)
    if n * patterns <= (MOST_COLUMNS if patterns == 1 else MOST_COLUMNS - 1):
        names = [index_name(index, patterns) for index in range(n * patterns)]
        print_table(title, ["", *names], kernel_rows(kernel, names))
        return
    mean = np.einsum("tpsp->ts", kernel.reshape(n, patterns, n, patterns)) / patterns
    over = "" if patterns == 1 else f", mean over {patterns} patterns' kernels"
    names = [f"t={t + 1}" for t in range(n)]
    if n <= MOST_COLUMNS:
        print_table(title + over, ["", *names], kernel_rows(mean, names))
    else:
        rows = [
            [name, *(short(mean[t, t - lag]) if lag <= t else "" for lag in range(MOST_COLUMNS))]
            for t, name in enumerate(names[:MOST_ROWS])
        ]
        print_table(f"{title}{over}, by lag t - t'", ["", *(f"lag {lag}" for lag in range(MOST_COLUMNS))], rows)
    span = f"from {number(kernel.min())} to {number(kernel.max())}"
    click.echo(f"All {len(kernel)} × {len(kernel)} entries, {span}: with --json.")


def kernel_rows(kernel: Any, names: Sequence[str]) -> list[list[str]]:
    """Rows of a matrix, each headed by its name."""
    return [[name, *(short(value) for value in row)] for name, row in zip(names, kernel, strict=True)]


def order_parameter(state: Any) -> float:
    """Size of a state's ``Φ^{T-1,T-2}``, with its sign where there is one pattern; 0 where it is rounding."""
    import numpy as np

    if state.problem.n < 2:
        return 0.0
    block = without_rounding(state.kernel)[-state.problem.P :, -2 * state.problem.P : -state.problem.P]
    return float(block[0, 0]) if block.size == 1 else float(np.linalg.norm(block))


def print_outputs(title: str, outputs: Any) -> None:
    """Mean outputs, (P, n) or (O, P, n), one row for each pattern, or where times are many for each time."""
    import numpy as np

    several = np.ndim(outputs) == 3
    for c, each in enumerate(outputs if several else [outputs]):
        shown = np.where(np.abs(each) < 1e-12 * np.abs(outputs).max(), 0.0, each)
        heading = f"{title}, output {c + 1}" if several else title
        patterns = [f"p={p + 1}" for p in range(len(shown))]
        times = [f"t={t + 1}" for t in range(shown.shape[1])]
        if len(times) > MOST_COLUMNS:
            patterns, times, shown = times, patterns, shown.T
        rows = kernel_rows(shown[:MOST_ROWS, :MOST_COLUMNS], patterns[:MOST_ROWS])
        print_table(heading, ["", *times[:MOST_COLUMNS]], rows)
        if shown.shape[0] > MOST_ROWS or shown.shape[1] > MOST_COLUMNS:
            click.echo(f"{len(rows)} × {len(rows[0]) - 1} of {shown.shape[0]} × {shown.shape[1]}; all: with --json.")


def print_entries(problem: Problem, entries: Sequence[str]) -> None:
    """A kernel's independent entries, row by row, with all their digits; none where there are none."""
    names = [index_name(index, problem.P) for index in range(problem.n * problem.P)]
    for (first, second), entry in zip(itertools.combinations_with_replacement(names, 2), entries, strict=False):
        click.echo(f"{problem.kernel_symbol}[{first}, {second}] = {entry}")


def index_name(index: int, patterns: int) -> str:
    """Name of the joint index ``(t-1) P + p``: its hidden time, and its pattern where there are several."""
    t, p = divmod(index, patterns)
    return f"t={t + 1}" if patterns == 1 else f"t={t + 1} p={p + 1}"

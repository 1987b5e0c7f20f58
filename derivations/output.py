"""What the commands print: one JSON object, or tables for people."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click


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
    if hasattr(value, "tolist"):  # a NumPy array or scalar
        return plain(value.tolist(), written)
    if isinstance(value, Iterable):
        return [plain(item, written) for item in value]
    return written(value)


def print_json(fields: Mapping[str, Any]) -> None:
    """One JSON object on standard output; fields that are None do not apply and are left out."""
    shown = {key: plain(value, _writer()) for key, value in fields.items() if value is not None}
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

    table = Table(title=title, title_justify="left", title_style="bold")
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console.width = 10_000  # a file or a pipe has room: nothing is cut short
    console.print(table)


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Say on a terminal's standard error what is going on, and for how long, until the block ends.

    What is yielded adds what is being done in particular.
    """
    if not sys.stderr.isatty():
        yield lambda doing: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda doing: progress.update(task, description=f"{what}: {doing}")


def number(value: float, digits: int = 6) -> str:
    """`value` with `digits` significant digits."""
    return f"{value:.{digits}g}"


def without_rounding(kernel: Any) -> Any:
    """A kernel to be shown: 0 for entries that are rounding beside the largest and beside their own diagonal ones."""
    import numpy as np

    size = np.sqrt(np.abs(np.diagonal(kernel)))
    rounding = (np.abs(kernel) < 1e-12 * np.abs(kernel).max()) & (np.abs(kernel) < 1e-6 * np.outer(size, size))
    return np.where(rounding, 0.0, kernel)


def kernel_rows(kernel: Any, n: int, patterns: int) -> list[list[str]]:
    """Rows of a time-major kernel, each headed by its time and pattern."""
    kernel = without_rounding(kernel)
    return [[index_name(row, patterns), *(number(value, 5) for value in kernel[row])] for row in range(n * patterns)]


def index_name(index: int, patterns: int) -> str:
    """Name of the joint index ``(t-1) P + p``: its hidden time, and its pattern where there are several."""
    t, p = divmod(index, patterns)
    return f"t={t + 1}" if patterns == 1 else f"t={t + 1} p={p + 1}"

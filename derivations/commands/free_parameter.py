"""What commands that vary a parameter share: its range, and that no value of its own is asked for."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from derivations.commands.problems import ParameterType

PICTURES = (".png", ".pdf", ".svg")


class Range(ParameterType):
    """``low:high``, both positive."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """``"1:40"`` → (1.0, 40.0)."""
        if isinstance(value, tuple):
            return value
        try:
            low, high = (float(part) for part in value.split(":"))
        except ValueError:
            self.fail(f"is {value!r}; accepted: low:high, such as 1:40", param, ctx)
        if not 0 < low < high < float("inf"):
            self.fail(f"is {value!r}; accepted: low:high with 0 < low < high", param, ctx)
        return low, high


class VariesSignal(click.Command):
    """A command in which an endpoint problem needs no ``--signal`` of its own where the signal is what varies.

    The problem's labels are then those at λ = 1, which the command scales.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with the signal 1 put in where it is free."""
        given = any(word == "--signal" or word.startswith("--signal=") for word in args)
        asks = any(word in ("-h", "--help") for word in args)
        if "endpoint" in args and not given and not asks and self.signal_is_free(args):
            args = [*args, "--signal", "1"]
        return super().parse_args(ctx, args)

    @staticmethod
    def signal_is_free(args: list[str]) -> bool:
        """Whether these words set the signal free."""
        values = [word.partition("=")[2] for word in args if word.startswith("--parameter=")]
        values += [after for word, after in pairwise(args) if word == "--parameter"]
        return all(value == "signal" for value in values)


def require_picture(out: Path | None) -> None:
    """Refuse a picture's name that tells no format that is known."""
    if out is not None and out.suffix not in PICTURES:
        raise click.UsageError(f"--out: is {str(out)!r}; accepted: a file name ending in {', '.join(PICTURES)}")

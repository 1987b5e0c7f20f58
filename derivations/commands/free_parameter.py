"""What commands that vary a parameter share: its range, and that no value of its own is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from derivations.commands.problems import ParameterType

PICTURES = (".png", ".pdf", ".svg")
#: Parameters that branches are followed along: ``numerics.continuation.parameters``.
PARAMETERS = ("signal", "kappa", "u", "v", "w", "rho", "skip", "bias")


#: Of one range.
MOST_VALUES = 100_000


class Over(ParameterType):
    """``name=first:last:count``, evenly spaced values of a parameter; each has its own lowest one."""

    name = "range"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float, float, int]:
        """``"signal=1:40:200"`` → ("signal", 1.0, 40.0, 200)."""
        if isinstance(value, tuple | list):
            return tuple(value)
        name, _, span = value.partition("=")
        accepted = (
            f"name=first:last:count, 0 < first < last (rho: from 0), count from 2 to {MOST_VALUES}, such as "
            f"signal=1:40:200, for {_names()}"
        )
        try:
            first, last, count = span.split(":")
            low, high, number = float(first), float(last), int(count)
        except ValueError:
            self.fail(f"is {value!r}; accepted: {accepted}", param, ctx)
        if name not in PARAMETERS or not (0 <= low < high < float("inf") and 2 <= number <= MOST_VALUES):
            self.fail(f"is {value!r}; accepted: {accepted}", param, ctx)
        return name, low, high, number


def _names() -> str:
    return f"{', '.join(PARAMETERS[:-1])} or {PARAMETERS[-1]}"


class VariesSignal(click.Command):
    """A command in which an endpoint problem needs no ``--signal`` of its own where ``--over`` varies the signal.

    The problem's labels, at λ = 1, are then scaled. ``--signal first:last:count`` is short for
    ``--over signal=first:last:count``.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with the signal 1 put in where it is free."""
        args = _spelt_out(args)
        ranges = sum(word == "--over" or word.startswith("--over=") for word in args)
        if ranges > 1 and not any(option.multiple for option in self.params if "--over" in option.opts):
            raise click.UsageError(f"--over: is given {ranges} times; accepted: once; sweep takes several")
        given = any(word == "--signal" or word.startswith("--signal=") for word in args)
        asks = any(word in ("-h", "--help") for word in args)
        free = any(word.startswith(("signal=", "--over=signal=")) for word in args)
        if "endpoint" in args and not given and not asks and free:
            args = [*args, "--signal", "1"]
        return super().parse_args(ctx, args)


def _spelt_out(args: list[str]) -> list[str]:
    """The words with each range of ``--signal`` as one of ``--over``."""
    words: list[str] = []
    for word in args:
        if words and words[-1] == "--signal" and ":" in word:
            words[-1:] = ["--over", f"signal={_range(word)}"]
        elif word.startswith("--signal=") and ":" in word:
            words += ["--over", f"signal={_range(word.removeprefix('--signal='))}"]
        else:
            words.append(word)
    return words


def _range(text: str) -> str:
    """A range of ``--signal``, refused in its own words where it has not three numbers."""
    try:
        first, last, count = text.split(":")
        float(first), float(last), int(count)
    except ValueError:
        accepted = "a number, or a range first:last:count such as 1:40:200"
        raise click.UsageError(f"--signal: is {text!r}; accepted: {accepted}") from None
    return text


def require_picture(out: Path | None) -> None:
    """Refuse a picture's name that tells no format that is known."""
    if out is not None and out.suffix not in PICTURES:
        raise click.UsageError(f"--out: is {str(out)!r}; accepted: a file name ending in {', '.join(PICTURES)}")

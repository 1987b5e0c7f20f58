"""How the program ends when something goes wrong: one line on standard error, and the contract's exit status."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Sequence

import click

#: Exit status: the computation did not reach its tolerance; bad input.
FAILED, REFUSED = 1, 2

#: What click's types call what they accept.
_WORDS = {
    "integer": "an integer",
    "integer range": "an integer",
    "float": "a number",
    "path": "a path",
    "boolean": "true or false",
    "text": "a word",
    "directory": "a folder",
    "range": "a range",
    "axis": "an axis",
}


def report_failure(error: Exception, arguments: Sequence[str]) -> int | None:
    """Say in one line what went wrong; the exit status, or None for an error that is a defect of the program.

    A computation that broke down still prints its object where --json asks for one.
    """
    if isinstance(error, BrokenPipeError):
        _give_up_output()
        return FAILED
    if isinstance(error, click.ClickException):
        return _say(refusal(error), REFUSED)
    if isinstance(error, OSError):
        place = error.filename or "the output"
        reason = error.strerror or str(error)
        if error.filename is None:
            _give_up_output()
        return _say(f"{place}: cannot be used ({reason}); accepted: a place that can be read and written", REFUSED)
    if _is(error, "numerics.errors", "InputError"):
        return _say(str(error), REFUSED)
    if _is(error, "concurrent.futures.process", "BrokenProcessPool"):
        return _say("Not finished: a worker process was killed, perhaps for want of memory.", FAILED)
    if isinstance(error, ArithmeticError | MemoryError) or _is(error, "numpy.linalg", "LinAlgError"):
        reason = str(error).rstrip(".") or type(error).__name__
        line = f"Not converged: the computation left the range of double precision or the memory ({reason})."
        if "--json" in arguments:
            click.echo(json.dumps({"converged": False, "status": " ".join(line.split())}))
        return _say(line, FAILED)
    return None


def refusal(error: click.ClickException) -> str:
    """A refusal of click's in the contract's form: the argument, what was wrong, and what is accepted."""
    if "accepted:" in error.message:  # in this form already
        if isinstance(error, click.BadParameter) and error.param is not None:
            return f"{_name(error.param)}: {error.message}"
        return error.message
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        known = [name for option in error.ctx.command.get_params(error.ctx) for name in option.opts if name[0] == "-"]
        of = f" of {error.ctx.command_path}" if error.ctx.command_path else ""
        return f"{error.option_name}: is not an option{of}; accepted: {', '.join(known)}"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"{_name(error.param)}: is missing; accepted: {_accepted(error.param, error.ctx)}"
    outside = re.match(r"(\S+) is not in the range (\d+)<=x<=(\d+)", error.message)
    if isinstance(error, click.BadParameter) and error.param is not None and outside:
        return f"{_name(error.param)}: is {outside[1]}; accepted: an integer from {outside[2]} to {outside[3]}"
    if isinstance(error, click.BadParameter) and error.param is not None:
        accepted = _accepted(error.param, error.ctx)
        if error.param.type.name == "float" and re.match(r"'[^']*:", error.message):
            accepted += "; ranges belong to scan and sweep, as --over kappa=first:last:count"
        return f"{_name(error.param)}: {error.message.rstrip('.')}; accepted: {accepted}"
    if isinstance(error, click.BadOptionUsage):
        accepted = "a value after it" if "requires" in error.message else "no value"
        return f"{error.option_name}: {error.message.rstrip('.')}; accepted: {accepted}"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        usage = " ".join(error.ctx.command.collect_usage_pieces(error.ctx))
        return f"{error.format_message().rstrip('.')}; accepted: {usage}"
    return error.format_message()


def _name(param: click.Parameter) -> str:
    return param.opts[0] if isinstance(param, click.Option) else (param.name or "").upper()


def _accepted(param: click.Parameter, ctx: click.Context | None) -> str:
    if isinstance(param.type, click.Choice):
        return " or ".join(map(str, param.type.choices))
    known = [] if ctx is None or isinstance(param, click.Option) else param.shell_complete(ctx, "")
    if known and known[0].type == "plain":
        return ", ".join(item.value for item in known)
    words = _WORDS.get(param.type.name, param.type.name)
    described = param.help if isinstance(param, click.Option) else None
    return f"{words} ({described.rstrip('.')})" if described else words


def _say(line: str, status: int) -> int:
    from numerics.errors import with_meant

    click.echo(f"unrolled: {with_meant(' '.join(line.split()))}", err=True)
    return status


def _is(error: Exception, module: str, name: str) -> bool:
    """Whether `error` is of a class in a module that may not have been imported."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)


def _give_up_output() -> None:
    """Nothing more can be written to standard output, also not when the interpreter flushes it."""
    with contextlib.suppress(AttributeError, OSError):  # there is none, or it is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

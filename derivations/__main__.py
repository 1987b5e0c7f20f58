"""The program `unrolled`. Starts with click alone: each command imports what it needs when it runs."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from derivations import output

#: Command name → what `unrolled --help` says of it. The module `derivations.commands.<name>` has its `command`; that of
#: `report` is with the report.
COMMANDS = {
    "derive": "Exact results, derived with SymPy.",
    "solve": "Solve the saddle-point equations of a problem.",
    "scan": "Follow every branch of any problem along a parameter, with its hysteresis loop.",
    "landscape": "The free energy along the order parameter, and a cut through its minima.",
    "sweep": "Solve over a grid of parameters; an interrupted sweep resumes.",
    "certify": "Prove solved states and their stability in ball arithmetic.",
    "simulate": "Sample a network's weights by Langevin or Hamiltonian dynamics.",
    "check": "Solve, simulate, and compare entry by entry.",
    "reproduce": "Remake the poster's panels, theory and simulation together.",
    "report": "One HTML page with the panels, checks, derivations and an interactive figure.",
    "doctor": "Versions, BLAS, threads, cores and memory, with warnings.",
    "completion": "The completion script of bash, zsh or fish.",
}


def with_progress(command: click.Command) -> click.Command:
    """Add --progress, which `output.working` follows."""
    if all(parameter.name != "progress" for parameter in command.params):
        told = "Say how far it is and how long it still takes, on standard error; on a terminal always."

        def keep(ctx: click.Context, param: click.Parameter, value: bool) -> None:
            ctx.meta[output.PROGRESS] = value

        option = click.Option(["--progress"], is_flag=True, expose_value=False, callback=keep, help=told)
        command.params.append(option)
    return command


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that --help needs neither SymPy nor NumPy."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of the command, or None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module = "derivations.report.command" if cmd_name == "report" else f"derivations.commands.{cmd_name}"
        found: click.Command = importlib.import_module(module).command
        return with_progress(found) if cmd_name not in ("doctor", "completion") else found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command's one line lists the known ones."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"COMMAND: is {args[0]!r}; accepted: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="unrolled", prog_name="unrolled")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """One kernel theory for trained RNNs and DNNs: derived, solved and simulated.

    Every command takes --json: one JSON object on standard output, everything else on standard error. Exit status: 0
    done; 1 a tolerance was not reached or a check disagreed; 2 bad input.
    """
    if ctx.invoked_subcommand is None:  # called by its name alone
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit with the contract's status; bad input is one line on standard error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # Greek letters where the locale has none
    gc.set_threshold(20_000)  # what is loaded stays: looking for cycles in it takes a twentieth of a short command
    try:
        status = cli.main(arguments, prog_name="unrolled", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk or a reader that went away shows here, not when the interpreter ends
    except click.exceptions.Exit as stop:
        status = stop.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort) as stop:
        leave_at_once(stop.__cause__ or stop)
    except Exception as error:
        from derivations.commands import failure

        told = failure.report_failure(error, sys.argv[1:] if arguments is None else arguments)
        if told is None:
            raise
        status = told
    sys.exit(status)


def leave_at_once(stop: BaseException) -> NoReturn:
    """End after an interrupt without waiting for workers: a second Ctrl-C can leave a process pool that never joins.

    What the interrupt says of how to go on is said. Files and checkpoints appear whole or not at all, so nothing is
    half-written by then.
    """
    import multiprocessing

    for worker in multiprocessing.active_children():
        worker.kill()
    with contextlib.suppress(OSError, AttributeError):  # an output that is closed or full
        click.echo("; ".join(["unrolled: interrupted", *map(str, stop.args)]), err=True)
        sys.stdout.flush()
    os._exit(130)


if __name__ == "__main__":
    main()

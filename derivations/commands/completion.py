"""`unrolled completion SHELL`: the script that makes the shell complete commands and options."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", metavar="bash|zsh|fish", shell_complete=lambda ctx, param, typed: _starting(typed))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(shell: str, as_json: bool) -> int:
    """Print the completion script of a shell (bash 4.4 or newer, zsh, fish).

    \b
    bash   unrolled completion bash > ~/.local/share/bash-completion/completions/unrolled
    zsh    unrolled completion zsh > "${fpath[1]}/_unrolled"
    fish   unrolled completion fish > ~/.config/fish/completions/unrolled.fish
    """
    if shell not in SHELLS:
        raise click.UsageError(f"SHELL: is {shell!r}; accepted: {', '.join(SHELLS)}")
    script = completion_script(shell)
    if as_json:
        from derivations import output

        output.print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
    return 0


def _starting(typed: str) -> list[str]:
    return [shell for shell in SHELLS if shell.startswith(typed)]


def completion_script(shell: str) -> str:
    """click's own script, which calls `unrolled` back with what was typed."""
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"SHELL: is {shell!r}; accepted: {', '.join(SHELLS)}")
    # without click's check of the installed bash: the script may be for another machine
    program = click.get_current_context().find_root().command
    return completion.source_template % completion(program, {}, "unrolled", "_UNROLLED_COMPLETE").source_vars()

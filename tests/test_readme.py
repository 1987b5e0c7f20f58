"""README and the pages of docs/ hold only what is true: their code runs, their links lead somewhere."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import click
import pytest

from derivations.__main__ import COMMANDS, cli, main
from tests.pages import PAGES, ROOT, blocks, commands, mentioned

#: Pages whose code takes longest.
SLOW = {"README.md", "docs/real-data.md", "docs/how-do-i.md"}


@pytest.mark.parametrize("page", [pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW)) for page in PAGES])
def test_every_block_runs(page: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        if block.language == "python":
            # a module of its own: what it defines can be pickled, as in a script
            module = types.ModuleType("page")
            monkeypatch.setitem(sys.modules, "page", module)
            exec(compile(block.text, page, "exec"), vars(module))
            assert capsys.readouterr().out, block.text
        else:
            assert block.language == "sh"
            assert commands(block.text), block.text
            for arguments in commands(block.text):
                with pytest.raises(SystemExit) as stop:
                    main(arguments)
                shown = capsys.readouterr()
                assert stop.value.code == 0, (arguments, shown.err)
                assert shown.out, arguments


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_mentioned_is_accepted(page: str):
    context = click.Context(cli)
    for name, *arguments in mentioned(page):
        if name.startswith("-"):
            continue
        command = cli.get_command(context, name)
        assert command is not None, name
        if arguments and "--help" not in arguments:
            command.make_context(name, arguments, parent=context)


def test_readme_shows_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`unrolled {name}" in text, name


@pytest.mark.parametrize("page", [*PAGES, "docs/gallery.md", "CONTRIBUTING.md"])
def test_linked_files_exist(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target

"""`unrolled reproduce`: the list of panels, records, refusals, and two processes in one folder."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from derivations.commands import reproduce
from derivations.figures.panels import NAMES, panel
from numerics.errors import InputError
from numerics.files import only_writer


def run(*arguments: object):
    return CliRunner().invoke(reproduce.command, [str(argument) for argument in arguments], standalone_mode=False)


def test_every_panel_has_a_module_a_number_of_its_own_and_a_caption():
    numbers = [panel(name).number for name in NAMES]
    assert all(re.fullmatch(r"\d[a-z]?", number) for number in numbers)
    assert numbers == sorted(set(numbers)), "in the order of the poster's sections"
    for name in NAMES:
        assert callable(importlib.import_module(f"derivations.figures.{name.replace('-', '_')}").make)
        assert panel(name).name == name
        assert panel(name).title
        assert panel(name).caption.endswith(".")


def test_the_list_is_cheap():
    heavy = "numpy sympy scipy matplotlib"
    code = f"import sys, derivations.commands.reproduce\nprint([m for m in '{heavy}'.split() if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_list_names_number_title_and_cost():
    listed = json.loads(run("--list", "--json").stdout)["panels"]
    assert tuple(listed) == NAMES
    assert all(set(panel) == {"number", "name", "title", "caption", "minutes"} for panel in listed.values())
    assert all(0 < panel["minutes"]["quick"] <= panel["minutes"]["full"] for panel in listed.values())
    shown = run("--list").stdout
    assert re.search(r"│ 5b +│ order-parameter +│ +2 │ +20 │ A phase", shown)
    assert re.search(r"All of them: about \d+ minutes with --quick, \d hours without\.", shown)


def test_record_of_a_panel(tmp_path, monkeypatch):
    monkeypatch.setattr("derivations.figures.panel.FORMATS", ("svg",))
    result = run("propagator-paths", "--quick", "--out", tmp_path, "--json")
    assert result.return_value == 0
    record = json.loads(result.stdout)["panels"]["propagator-paths"]
    assert record == json.loads((tmp_path / "propagator-paths.json").read_text(encoding="utf-8"))
    assert record["quick"] is True
    assert record["caption"] == panel("propagator-paths").caption
    assert {tmp_path / name for name in record["files"]} | {tmp_path / "propagator-paths.json"} == set(
        tmp_path.iterdir()
    )


def test_unknown_panel_is_one_line():
    refusal = run("propagator", "--out", "x").exception
    assert isinstance(refusal, click.UsageError)
    assert str(refusal).startswith("PANEL: is 'propagator'; accepted: ")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even root cannot write")
def test_unwritable_folder_is_one_line():
    refusal = run("propagator-paths", "--out", "/proc/unrolled").exception
    assert isinstance(refusal, InputError)
    assert str(refusal).startswith("--out: /proc/unrolled cannot be written (")
    assert "\n" not in str(refusal)


def _make(folder: Path, log: Path, seconds: float) -> None:
    with only_writer(folder, "panel", lambda: None):
        with log.open("a", encoding="utf-8") as file:
            file.write("begin\n")
        time.sleep(seconds)
        with log.open("a", encoding="utf-8") as file:
            file.write("end\n")


def test_one_process_at_a_time_makes_a_panel(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_make, args=(tmp_path, log, 0.05)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3
    assert log.read_text(encoding="utf-8").split() == ["begin", "end"] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    context = multiprocessing.get_context("spawn")
    holder = context.Process(target=_make, args=(tmp_path, tmp_path / "log", 60.0))
    holder.start()
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    holder.kill()
    holder.join()
    waited = []
    with only_writer(tmp_path, "panel", lambda: waited.append(True)):
        assert waited == []


def test_a_panel_may_be_named_by_its_number():
    assert [reproduce._name_of(panel(name).number) for name in NAMES] == list(NAMES)
    assert (reproduce._name_of("6z"), reproduce._name_of("order-parameter")) == ("6z", "order-parameter")

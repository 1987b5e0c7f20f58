"""`unrolled doctor`, `unrolled completion`, and what a terminal is told of slow work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from derivations import output
from numerics import machine, progress

PROGRAM = [sys.executable, "-m", "derivations"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False, env=os.environ | environment
    )


def test_doctor_reports_what_is_installed():
    result = run("doctor", "--json", OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    import numpy

    assert found["dependencies"]["numpy"]["installed"] == numpy.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["thread_variables"]["OMP_NUM_THREADS"] == "1"
    assert all(pool["num_threads"] >= 1 for pool in found["thread_pools"])
    assert {"dev", "notebooks"} <= set(found["extras"])


HEALTHY = {
    "dependencies": {"numpy": {"required": ">=2.0", "installed": "2.1"}},
    "cores": {"machine": 4, "usable": 4},
    "thread_pools": [{"user_api": "blas", "internal_api": "openblas", "num_threads": 4}],
    "memory_bytes": 2**34,
    "encoding": "utf-8",
}
AILING = {
    "numpy": {"dependencies": {"numpy": {"required": ">=2.0"}}},
    "2 of 4 cores": {
        "cores": {"machine": 4, "usable": 2},
        "thread_pools": [HEALTHY["thread_pools"][0] | {"num_threads": 2}],
    },
    "OMP_NUM_THREADS=4": {"thread_pools": [HEALTHY["thread_pools"][0] | {"num_threads": 64}]},
    "no BLAS": {"thread_pools": []},
    "memory": {"memory_bytes": 2**29},
    "PYTHONIOENCODING": {"encoding": "ascii"},
}


def test_a_healthy_machine_has_no_warning():
    assert machine.warnings(HEALTHY) == []


@pytest.mark.parametrize("what", AILING)
def test_each_bad_setting_is_named_once(what: str):
    told = machine.warnings(HEALTHY | AILING[what])
    assert len(told) == 1
    assert what in told[0]


def test_a_version_outside_the_required_range_is_unmet():
    found = machine.installed(["numpy>=2.0", "numpy-that-nobody-made>=1", "scipy>=1000"])
    assert machine.unmet(found) == ["numpy-that-nobody-made", "scipy"]


def test_without_a_checkout_the_installed_metadata_has_each_extras_requirements(monkeypatch, tmp_path):
    lines = ["numpy>=2", 'flint>=1; extra == "proofs"', 'h5py; python_version > "3" and extra == "files"']
    extras = SimpleNamespace(get_all={"Provides-Extra": ["proofs", "files"]}.get)
    installed = SimpleNamespace(metadata=lambda _: extras, requires=lambda _: lines, version=lambda _: "7.1")
    monkeypatch.setattr(machine, "metadata", installed)
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "numerics" / "machine.py"))
    found = machine.declared()
    assert found.version == "7.1"
    assert found.requirements == {"": lines[:1], "proofs": lines[1:2], "files": lines[2:]}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_this_program(shell: str):
    result = run("completion", shell)
    assert result.returncode == 0, result.stderr
    assert "_UNROLLED_COMPLETE" in result.stdout
    assert result.stderr == ""


def test_completion_of_an_unknown_shell_is_one_line():
    result = run("completion", "tcsh")
    assert result.returncode == 2
    assert result.stderr.strip().splitlines() == ["unrolled: SHELL: is 'tcsh'; accepted: bash, zsh, fish"]


@pytest.mark.parametrize(
    ("words", "completed"),
    [("unrolled der", {"derive"}), ("unrolled derive co", {"coexistence", "coherent-branch"})],
)
def test_bash_completes_commands_and_results(words: str, completed: set[str]):
    result = run(_UNROLLED_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    assert {line.split(",")[1] for line in result.stdout.split()} == completed


def test_slow_work_is_told_to_a_terminal_only(capsys, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.01)
    with output.working("deriving"):
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with output.working("deriving"):
        time.sleep(0.1)
    told = capsys.readouterr()
    assert told.out == ""
    assert "deriving" in told.err

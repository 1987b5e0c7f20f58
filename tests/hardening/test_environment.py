"""Interrupts, readers that go away, closed outputs, poor locales and terminals: the program ends in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hardening.program import PROGRAM, strict_json

ROOT = Path(__file__).parents[2]
SOLVE = ("solve", "endpoint", "--T", "3", "--signal", "5")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell and signals")


def program(*arguments: str, changes: dict[str, str | None] | None = None, **options: object) -> tuple[int, str, str]:
    """Status and outputs of the program in a changed environment; the outputs as UTF-8, whatever the locale."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, value in (changes or {}).items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    done = subprocess.run(  # type: ignore[call-overload]
        [*PROGRAM, *arguments], capture_output=True, env=environment, timeout=120, check=False, **options
    )
    return done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")


LATIN = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": None}
SURROUNDINGS: dict[str, dict[str, str | None]] = {
    "ASCII locale": LATIN,
    "ASCII output": {"PYTHONIOENCODING": "ascii"},
    "Latin-1 output": {"PYTHONIOENCODING": "latin-1"},
    "no home, no terminal, no colour": {"HOME": None, "TERM": "dumb", "NO_COLOR": "1"},
    "no place for caches": {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent", "MPLCONFIGDIR": None},
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "ASCII locale" else pytest.mark.slow) for name in SURROUNDINGS]
)
def test_the_program_answers_in_poor_surroundings(name: str, tmp_path: Path):
    status, stdout, stderr = program(*SOLVE, "--json", changes=SURROUNDINGS[name], cwd=tmp_path)
    assert status == 0, stderr
    assert stderr == ""
    assert strict_json(stdout)["converged"] is True
    # tables and refusals have Greek letters and signs that ASCII lacks
    status, stdout, stderr = program(*SOLVE, changes=SURROUNDINGS[name], cwd=tmp_path)
    assert status == 0, stderr
    assert stderr == ""
    assert "residual" in stdout
    status, stdout, stderr = program("solve", "endpoint", "--T", "2", "--signal", "5", changes=SURROUNDINGS[name])
    assert status == 2
    assert stdout == ""
    assert len(stderr.splitlines()) == 1
    assert stderr.startswith("unrolled: T: is 2; accepted: ")


@pytest.mark.slow
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_picture_is_drawn_in_poor_surroundings(name: str, tmp_path: Path):
    arguments = ("scan", "endpoint", "--T", "3", "--signal", "1:5:3", "--out", str(tmp_path / "λ.svg"))
    status, _, stderr = program(*arguments, changes=SURROUNDINGS[name], cwd=tmp_path)
    assert status == 0, stderr
    assert "Traceback" not in stderr
    assert (tmp_path / "λ.svg").exists()


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path):
    command = " ".join((*PROGRAM, *SOLVE, "--json", "--all-branches"))
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -c 1; exit ${{PIPESTATUS[0]}}"], capture_output=True, timeout=120, cwd=ROOT
    )
    assert done.returncode in (0, 1)
    assert done.stderr == b""


def test_a_closed_standard_output_is_no_traceback():
    done = subprocess.run(
        ["bash", "-c", " ".join((*PROGRAM, *SOLVE, ">&-"))], capture_output=True, timeout=120, cwd=ROOT
    )
    assert done.returncode in (0, 1, 2)
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_an_interrupt_ends_with_130_and_one_line(workers: str, tmp_path: Path):
    process = subprocess.Popen(
        [
            *(*PROGRAM, "simulate", "endpoint", "--T", "4", "--signal", "20", "--width", "16", "--chains", "2"),
            *("--steps", "1000000", "--workers", workers, "--checkpoint", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # a shell's background job ignores interrupts, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        deadline = time.monotonic() + 100
        while not list(tmp_path.glob("*.checkpoint")) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    told = f"unrolled: interrupted; run the same again to go on from {tmp_path}"
    assert stderr.decode().strip() == told  # after the ^C of a terminal


def test_a_read_only_working_folder_is_no_hindrance(tmp_path: Path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    status, stdout, stderr = program(*SOLVE, "--json", cwd="/proc" if sys.platform == "linux" else folder)
    assert status == 0, stderr
    assert strict_json(stdout)["branch"] == "incoherent"

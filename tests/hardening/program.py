"""The program as the hardening tests run it: in this process, under a time limit, with its output checked strictly."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from derivations.__main__ import main

PROGRAM = (sys.executable, "-m", "derivations")


@dataclass(frozen=True)
class Outcome:
    """How a run of the program ended."""

    status: int
    stdout: str
    stderr: str


class TooSlowError(BaseException):
    """A case took longer than its limit; no `except Exception` may swallow it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End the block after some seconds, where the system can."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_signal: int, _frame: Any) -> None:
        raise TooSlowError(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(arguments: Sequence[str], *, seconds: float = 60.0) -> Outcome:
    """Run the program in this process. Anything but an exit status, a warning too, is raised."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with time_limit(seconds):
                main(list(arguments))
        except SystemExit as stop:
            return Outcome(int(stop.code or 0), stdout.getvalue(), stderr.getvalue())
    raise AssertionError("the program returned without an exit status")


def strict_json(text: str) -> dict[str, Any]:
    """One JSON object as RFC 8259 has it: no NaN or Infinity, no name twice, nothing before or after it."""

    def refuse(token: str) -> Any:
        raise AssertionError(f"{token} is no JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), f"a name appears twice in {names}"
        return dict(pairs)

    value = json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    assert isinstance(value, dict)
    return value


def check_contract(outcome: Outcome, arguments: Sequence[str]) -> None:
    """Exit status, standard output and standard error are as shared by every command."""
    assert outcome.status in (0, 1, 2), outcome
    assert "Traceback" not in outcome.stderr, outcome.stderr
    if outcome.status == 2:
        assert outcome.stdout == "", outcome.stdout
        lines = outcome.stderr.splitlines()
        assert len(lines) == 1, outcome.stderr
        assert "accepted:" in lines[0], lines[0]
    elif "--json" in arguments:
        strict_json(outcome.stdout)
    if outcome.status == 1 and "--json" in arguments:
        assert outcome.stdout.strip(), "status 1 prints its object"

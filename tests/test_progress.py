"""What long work says of itself, and that all of it does."""

from __future__ import annotations

import inspect
import io
import json
import sys
import time
from types import SimpleNamespace

import pytest

import numerics
from derivations import __main__ as program
from numerics import progress
from numerics.inputs.problem import endpoint
from numerics.nonlinear.critical import critical_signal
from tests.commands.test_program import run


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def quick(monkeypatch):
    """A line at once and often, on a stream that is seen."""
    for name in ("DELAY", "REFRESH", "INTERVAL"):
        monkeypatch.setattr(progress, name, 0.01)

    def stream(kind):
        made = kind()
        monkeypatch.setattr(sys, "stderr", made)
        return made

    return stream


def test_a_line_has_how_much_is_done_and_how_long_it_still_takes():
    work = progress.Work("solving", 100.0)
    assert work.line(101.0) == "solving [00:01]"
    work.told(103.0, "solving: looking for minima", 0, 0)
    assert work.line(104.0) == "solving: looking for minima [00:04]"
    work.told(110.0, "N = 16", 100, 500)  # a run that goes on from a checkpoint
    assert work.line(111.0) == "N = 16:  20%|██        | 100/500 [00:11<?]"
    work.told(112.0, "N = 16", 200, 500)
    assert work.line(112.0) == "N = 16:  40%|████      | 200/500 [00:12<00:06]"
    work.told(4000.0, "panel", 0.0, 1.0)  # begins anew
    work.told(4100.0, "panel", 0.5, 1.0)
    assert work.line(4100.0) == "panel:  50%|█████     | [1:06:40<01:40]"


def test_other_work_begins_anew():
    """The time left of one step of a search is not that of the step before it."""
    work = progress.Work("solving", 0.0)
    work.told(0.0, "labels", 0.0, 1.0)
    work.told(100.0, "labels", 0.9, 1.0)
    work.told(110.0, "refining", 0.95, 1.0)
    assert work.line(110.0).endswith("<?]")
    work.told(111.0, "refining", 0.96, 1.0)
    assert work.line(111.0).endswith("[01:51<00:04]")


def test_a_residual_that_falls_by_a_factor_a_step_tells_the_time_left():
    seen = []
    told = progress.Told(lambda *now: seen.append(now))
    told("converging")
    told.part(1, 2)
    falls = told.falling(1e-8)
    for residual in (1e-2, 1e-3, 5e-3, 1e-5, 1e-8, 0.0):
        falls(residual)
    told.falling(1e-8)(1e-9)  # at its tolerance from the first
    told.steps(30, 120)
    assert seen[0] == ("converging", 0, 0)
    assert [what for what, _, total in seen[1:]] == ["converging"] * 8
    shares = [done for _, done, total in seen[1:]]
    assert shares == pytest.approx([0.5, 0.5 + 0.5 / 6, 0.5 + 0.5 / 6, 0.75, 1.0, 1.0, 1.0, 0.625])
    progress.Told().falling(1e-8)(1.0)  # nobody is told


@pytest.mark.parametrize("engine", ["quadrature", "sampling"])
def test_a_nonlinear_search_tells_how_far_each_of_its_iterations_is(engine):
    told = []
    problem = endpoint(3, 4.0, activation="erf")
    options = {"size": 64, "tolerance": 0.5} if engine == "sampling" else {}
    numerics.solve(problem, engine=engine, progress=lambda *now: told.append(now), **options)
    followed = [done for what, done, total in told if "labels from" in what or "converging" in what if total]
    assert len(followed) > 3
    assert max(followed) > 0.9
    assert any(0.05 < done < 0.9 for done in followed)
    descents = [done for what, done, total in told if "looking for minima" in what if total]
    assert len(set(descents)) > 20  # steps of each start
    assert all(0 <= done <= total for _, done, total in told)


def test_a_terminals_line_is_rewritten_and_goes(quick):
    shown = quick(Terminal)
    with progress.watched(True, "solving") as told:
        told("N = 16", 0, 10)
        time.sleep(0.05)
        told("N = 16", 5, 10)
        time.sleep(0.2)
    text = shown.getvalue()
    assert "\n" not in text
    assert "5/10" in text
    assert text.endswith("\r")
    assert text.split("\r")[-2].strip() == ""


def test_a_notebook_keeps_one_output_that_is_replaced(monkeypatch, quick):
    display = pytest.importorskip("IPython.display")
    said = []
    handle = SimpleNamespace(update=lambda data, raw: said.append(data["text/plain"]))

    def made(data, raw, display_id):
        assert raw
        assert display_id
        handle.update(data, raw)
        return handle

    monkeypatch.setattr(display, "display", made)
    shown = quick(type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"}))
    with progress.watched(True, "solving") as told:
        told("N = 16", 5, 10)
        time.sleep(0.2)
    assert shown.getvalue() == ""
    assert len(said) > 2
    assert all("5/10" in line for line in said[:-1])
    assert said[-1] == ""


def test_a_files_lines_follow_one_another(quick):
    shown = quick(io.StringIO)
    with progress.watched(True, "solving") as told:
        told("N = 16", 5, 10)
        time.sleep(0.2)
    lines = shown.getvalue().splitlines()
    assert lines
    assert len(lines) < 12  # at growing intervals
    assert all("5/10" in line for line in lines)


def test_what_is_over_soon_and_what_nobody_asked_for_is_silent(monkeypatch, quick):
    shown = quick(Terminal)
    for asked in (None, False):
        with progress.watched(asked, "solving") as told:
            told("anything", 1, 2)
            time.sleep(0.05)
    monkeypatch.setattr(progress, "DELAY", 10.0)
    with progress.watched(True, "solving"):
        pass
    assert shown.getvalue() == ""


def test_a_stream_that_is_closed_stops_no_work(quick):
    shown = quick(Terminal)
    with progress.watched(True, "solving"):
        shown.close()
        time.sleep(0.05)


SAYS = {
    "solve": lambda told: numerics.solve(endpoint(3, 2.0, activation="erf"), progress=told),
    "solve_all": lambda told: numerics.solve_all(endpoint(3, 2.0, activation="erf"), progress=told),
    "scan": lambda told: numerics.scan(endpoint(4, 1.0), {"signal": [5.0, 20.0]}, progress=told),
    "scan nonlinear": lambda told: numerics.scan(endpoint(3, 1.0, activation="erf"), {"signal": [1.0]}, progress=told),
    "critical_signal": lambda told: critical_signal(endpoint(3, 1.0, activation="erf"), 0.1, 0.2, progress=told),
    "simulate": lambda told: numerics.simulate(
        endpoint(3, 1.0), 8, steps=8, warmup=40, chains=2, workers=1, progress=told
    ),
    "landscape": lambda told: numerics.landscape(4, 20.0, [-0.1, 0.0, 0.1], progress=told),
    "phase_shares": lambda told: numerics.phase_shares(
        numerics.phase_weights([numerics.solve(endpoint(3, 1.0))], 16, progress=told), steps=50, warmup=0, progress=told
    ),
    "check": lambda told: numerics.check(endpoint(3, 1.0), 8, steps=8, warmup=40, chains=2, workers=1, progress=told),
}


@pytest.mark.parametrize("work", SAYS)
def test_long_work_says_what_it_does(work):
    told = []
    SAYS[work](lambda what, done, total: told.append((what, done, total)))
    assert told
    assert all(isinstance(what, str) and 0 <= done <= total for what, done, total in told)


def test_a_sweep_counts_its_points(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    told = []
    for values in ([1.0, 2.0], [1.0, 2.0, 3.0]):
        with ThreadPoolExecutor(1) as executor:
            numerics.sweep(one, {"signal": values}, tmp_path, executor, progress=lambda *now: told.append(now))
    assert [done for _, done, _ in told] == [0, 1, 2, 2, 3]
    assert {total for _, _, total in told} == {2, 3}


def one(signal):
    return endpoint(3, signal)


def test_all_that_takes_long_takes_progress():
    for name in (
        "solve",
        "solve_all",
        "state_near",
        "scan",
        "sweep",
        "simulate",
        "check",
        "certify",
        "critical_signal",
        "compare",
        "predict",
        "kernel_sd",
        "kernel_shift",
        "landscape",
        "solve_endpoint_batch",
        "phase_weights",
        "phase_shares",
    ):
        assert inspect.signature(getattr(numerics, name)).parameters["progress"].default is None, name


def test_commands_have_the_option_and_json_stays_whole():
    for name in set(program.COMMANDS) - {"doctor", "completion"}:
        command = program.cli.get_command(None, name)
        assert [option.name for option in command.params].count("progress") == 1, name
    found = run("solve", "endpoint", "--T", "3", "--signal", "2", "--progress", "--json")
    assert json.loads(found.stdout)["converged"] is True
    assert "progress" not in json.loads(found.stdout)["settings"]

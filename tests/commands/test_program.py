"""The program as a user meets it: help, start-up cost, exit status, and one line for bad input."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from derivations.__main__ import main

PROGRAM = [sys.executable, "-m", "derivations"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The program in this process: without the second that it takes to start."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main(arguments)
    assert isinstance(stop.value.code, int)
    return subprocess.CompletedProcess(arguments, stop.value.code, out.getvalue(), err.getvalue())


def started(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_help_imports_neither_sympy_nor_numpy_nor_matplotlib():
    code = (
        "import sys; from derivations.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'sympy', 'matplotlib', 'numpy', 'scipy', 'mpmath'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


BAD_INPUT = {
    "unknown command": (["solv"], "COMMAND"),
    "unknown problem": (["solve", "midpoint"], "PROBLEM"),
    "no problem": (["solve"], "PROBLEM"),
    "T too small": (["solve", "endpoint", "--T", "2", "--signal", "1"], "T"),
    "T is no integer": (["solve", "endpoint", "--T", "four", "--signal", "1"], "--T"),
    "T is missing": (["solve", "endpoint", "--signal", "1"], "--T"),
    "T too long to write out": (["derive", "stationarity", "--T", "9999999"], "--T"),
    "signal is missing": (["solve", "endpoint", "--T", "4"], "--signal"),
    "signal is negative": (["solve", "endpoint", "--T", "4", "--signal=-1"], "signal"),
    "signal is NaN": (["solve", "endpoint", "--T", "4", "--signal", "nan"], "signal"),
    "kappa is negative": (["solve", "endpoint", "--T", "4", "--signal", "1", "--kappa=-1"], "kappa"),
    "unknown architecture": (["solve", "endpoint", "--T", "4", "--signal", "1", "--arch", "cnn"], "arch"),
    "unknown activation": (["solve", "endpoint", "--T", "4", "--signal", "1", "--activation", "x"], "activation"),
    "angle for endpoint": (["solve", "endpoint", "--T", "4", "--signal", "1", "--angle", "1"], "--angle"),
    "width 0": (["simulate", "endpoint", "--T", "4", "--signal", "1", "--width", "0"], "width"),
    "width 0, check": (["check", "endpoint", "--T", "4", "--signal", "1", "--width", "0"], "width"),
    "no chain, check": (["check", "endpoint", "--T", "4", "--signal", "1", "--chains", "0"], "chains"),
    "no chain": (["simulate", "endpoint", "--T", "4", "--signal", "1", "--chains", "0"], "chains"),
    "no step": (["simulate", "endpoint", "--T", "4", "--signal", "1", "--steps", "0"], "steps"),
    "unknown sampler": (["simulate", "endpoint", "--T", "4", "--signal", "1", "--sampler", "gibbs"], "sampler"),
    "negative seed": (["simulate", "endpoint", "--T", "4", "--signal", "1", "--seed=-3"], "seed"),
    "noiseless Langevin": (
        ["simulate", "endpoint", "--T", "4", "--signal", "1", "--kappa", "0", "--sampler", "sgld"],
        "kappa",
    ),
    "no such file": (["solve", "absent.npz"], "absent.npz"),
    "supervise no time": (
        ["solve", "sequence", "--T", "5", "--angle", "1", "--amplitude", "1", "--supervise", "9"],
        "supervise",
    ),
    "supervise words": (
        ["solve", "sequence", "--T", "5", "--angle", "1", "--amplitude", "1", "--supervise", "a"],
        "--supervise",
    ),
    "derive what": (["derive", "everything"], "WHAT"),
    "derive T": (["derive", "critical-point", "--T", "3"], "T"),
    "derive fold T": (["derive", "learning-transition", "--T", "2"], "T"),
    "derive long fold": (["derive", "learning-transition", "--T", "501"], "--T"),
    "derive long critical point": (["derive", "critical-point", "--T", "1000000"], "--T"),
    "derive long stability": (["derive", "stability", "--T", "1000000"], "--T"),
    "derive kappa": (["derive", "critical-point", "--kappa", "x"], "--kappa"),
    "derive negative kappa": (["derive", "critical-point", "--kappa=-1/2"], "kappa"),
    "derive branch at T = 6": (["derive", "coherent-branch", "--T", "6"], "T"),
    "unknown panel": (["reproduce", "everything", "--out", "x"], "PANEL"),
    "unknown option": (["solve", "endpoint", "--sgnal", "1"], "--sgnal"),
}


#: One that no command sees, and one from the depth of a computation.
STARTED = ("unknown command", "T too small")


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_line_and_status_2(name: str):
    arguments, argument = BAD_INPUT[name]
    result = (started if name in STARTED else run)(*arguments)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert argument in lines[0]


@pytest.mark.parametrize(
    ("arguments", "begins"),
    {
        "a name near": (["sweep", "--over", "sgnal=4:8:2"], "--over: is 'sgnal=4:8:2'; did you mean signal? "),
        "the name itself": (["scan", "--over", "signal=5:4"], "--over: is 'signal=5:4'; accepted: "),
        "half a range": (
            ["scan", "endpoint", "--T", "4", "--signal", "5:4"],
            "--signal: is '5:4'; accepted: a number, or",
        ),
        "no range here": (
            ["solve", "endpoint", "--T", "4", "--signal", "1:2:3"],
            "--signal: '1:2:3' is not a valid float; "
            "accepted: a number (endpoint: λ = y²/(v w^(T-2) u)); ranges belong to scan and sweep",
        ),
        "two ranges": (
            ["scan", "endpoint", "--signal", "1:2:3", "--over", "kappa=1:2:3"],
            "--over: is given 2 times; accepted: once; sweep takes several",
        ),
        "no word": (["derive"], "WHAT: is missing; accepted: free-energy, "),
        "too high an order": (["derive", "perturbation", "--order", "99"], "--order: is 99; accepted: an integer ≤ 5"),
        "too many values": (
            ["scan", "endpoint", "--T", "4", "--signal", "5:9:100001"],
            "--over: is 'signal=5:9:100001'; ",
        ),
        "too few points": (["landscape", "--points", "0"], "--points: is 0; accepted: an integer from 3 to 2001"),
        "no shell": (["completion"], "SHELL: is missing; accepted: bash, zsh, fish"),
        "no problem": (["landscape"], "PROBLEM: is missing; accepted: endpoint"),
        "a panel's number": (["reproduce", "9z"], "PANEL: is '9z'; accepted: "),
    }.values(),
)
def test_a_refusal_offers_what_is_near_and_what_there_is(arguments, begins):
    assert run(*arguments).stderr.startswith(f"unrolled: {begins}")


def test_the_package_is_the_program():
    command = [sys.executable, "-m", "unrolled", "completion", "tcsh"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("unrolled: SHELL: is 'tcsh'")


def test_solve_prints_one_json_object():
    result = run("solve", "endpoint", "--T", "4", "--signal", "20", "--json", "--width", "256")
    assert result.returncode == 0, result.stderr
    fields = json.loads(result.stdout)
    assert fields["converged"] is True
    assert fields["branch"] == "coherent"
    assert fields["residual"] < 1e-10
    assert len(fields["kernel"]) == len(fields["kernel_sd"]) == 3
    assert fields["free_energy"] == pytest.approx(fields["energy"] + fields["entropy"])
    for outlier in fields["outliers"]:
        assert len(outlier) == 2
        assert abs(complex(*outlier)) > 1


def test_several_minima_have_weights_at_a_width():
    """In JSON each minimum has its own, as the function gives it; in text they are a table."""
    from numerics import endpoint, phase_weights, solve_all

    words = ("solve", "endpoint", "--T", "4", "--signal", "1085", "--kappa", "100", "--all-branches", "--width", "48")
    states = solve_all(endpoint(4, 1085.0, kappa=100.0))
    odds = phase_weights(states, 48)
    fields = json.loads(run(*words, "--json").stdout)
    assert fields["even_width"] == odds.even_width
    assert len(fields["branches"]) == len(states) == 3
    for state, own in zip(states, fields["branches"], strict=True):
        found = [phase for phase in odds.phases if phase.state is state]
        assert state.stable == ("weight" in own) == bool(found)
        if found:
            assert (own["weight"], own["log_weight"]) == (found[0].weight, found[0].log_weight)
            assert own["weight_rests_on"] == found[0].basis
    text = run(*words).stdout
    assert "Weights of the minima at N = 48" in text
    assert "even odds at N = 29.8" in text
    table = text[text.index("Weights of the minima") : text.index("The two heaviest")]
    assert max(map(len, table.splitlines())) <= 80
    without = json.loads(run(*words[:-2], "--json").stdout)
    assert "even_width" not in without
    assert not any("weight" in own for own in without["branches"])


def test_weights_that_are_not_known_are_said(monkeypatch):
    from numerics.checking import phase_weights as module
    from numerics.errors import NotSolvedError

    def refuses(states, width):
        raise NotSolvedError("the points are too few")

    monkeypatch.setattr(module, "log_mass", refuses)
    words = ("solve", "endpoint", "--T", "4", "--signal", "1085", "--kappa", "100", "--all-branches", "--width", "48")
    done = run(*words, "--json")
    assert done.returncode == 0
    assert "Weights of the minima at this width are not known: the points are too few." in done.stderr
    assert not any("weight" in own for own in json.loads(done.stdout)["branches"])

"""Tables as a terminal of 80 columns shows them: lines that fit, entries with their names, the kernel's own letter."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from derivations import output
from derivations.__main__ import cli
from numerics import Problem, endpoint

DISCONTINUOUS = ("scan", "endpoint", "--T", "4", "--kappa", "30", "--signal", "150:200:8")
SHORT = ("--width", "8", "--chains", "2", "--steps", "8", "--workers", "1")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.mark.parametrize(
    "words",
    [
        DISCONTINUOUS,
        ("certify", "endpoint", "--T", "4", "--signal", "20"),
        ("simulate", "endpoint", "--T", "4", "--signal", "20", *SHORT),
    ],
)
def test_tables_fit_80_columns(words):
    lines = run(*words).stdout.splitlines()
    assert any(line.startswith("┏") for line in lines)
    assert max(map(len, (line for line in lines if line[:1] in "┏│"))) <= 80
    assert words != DISCONTINUOUS or "Hysteresis loop" in " ".join(lines)


def test_without_special_points_there_is_a_sentence_and_no_empty_table():
    said = run("scan", "endpoint", "--T", "3", "--signal", "1:2:2").stdout
    assert said.startswith("No special points along signal (RNN, T = 3).\n")


def test_states_of_several_are_numbered_and_only_minima_are_compared():
    found = run("solve", "endpoint", "--T", "4", "--signal", "20", "--all-branches", "--width", "64")
    lines = found.stdout.splitlines()
    assert [line for line in lines if "Kernel H" in line] == [
        "State 1: Kernel H (RNN, coherent, stable)",
        "State 2: Kernel H (RNN, incoherent, unstable)",
    ]
    assert sum("minima compared" in line for line in lines) == 1
    assert "State 2: The state is no minimum, so that it has no fluctuations at width 64." in found.stderr


@pytest.mark.parametrize(("signal", "word"), [("10.12", "stable"), ("10.125", "critical"), ("10.13", "stable")])
def test_at_the_critical_signal_the_state_is_called_critical(signal, word):
    branch = "coherent" if signal == "10.13" else "incoherent"
    first = run("solve", "endpoint", "--T", "4", "--signal", signal).stdout.splitlines()[0]
    assert first == f"Kernel H (RNN, {branch}, {word})"


def test_a_continuous_transition_is_no_hysteresis_loop():
    said = run("scan", "endpoint", "--T", "4", "--signal", "5:20:4").stdout
    assert "Transitions on the way up and down: no hysteresis loop" in said


def test_certified_digits_have_the_names_of_their_entries():
    lines = run("certify", "endpoint", "--T", "3", "--signal", "2").stdout.splitlines()
    named = [line.split(" = ")[0] for line in lines if line.startswith("H[")]
    assert named == ["H[t=1, t=1]", "H[t=1, t=2]", "H[t=2, t=2]"]


@pytest.mark.parametrize(
    ("activation", "letter", "label"), [("linear", "H", "$H^{tt'}$"), ("erf", "Φ", r"$\Phi^{tt'}$")]
)
def test_the_kernel_s_letter_is_that_of_the_notation(activation, letter, label):
    from numerics.plotting import kernel_label

    problem: Problem = endpoint(3, 1.0, activation=activation)
    assert problem.kernel_symbol == letter
    assert kernel_label(problem.kernel_symbol) == f"kernel {label}"


def test_the_solved_kernel_has_its_letter():
    assert run("solve", "endpoint", "--T", "3", "--signal", "2").stdout.startswith("Kernel H (RNN")


def test_the_program_s_name_alone_shows_its_help():
    found = run()
    assert found.exit_code == 2
    assert "Solve the saddle-point equations" in found.stderr
    assert not found.stdout


def test_a_word_of_the_sentence_is_not_what_was_meant():
    from numerics.errors import with_meant

    line = "activation: is 'sin'; accepted: linear, erf, tanh, relu, or in Python a function φ(h)"
    assert with_meant(line) == line
    assert "did you mean tanh?" in with_meant(line.replace("'sin'", "'tan'"))


def test_a_long_sentence_beside_its_name_wraps(capsys):
    sentence = " ".join(["converged; the search for further minima ended at its bound:"] * 3)
    output.print_table("State", ["quantity", "value"], [["free_energy", "8.347098364"], ["status", sentence]])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    cells = [line.split("│")[2].strip() for line in printed.splitlines() if line.count("│") == 3]
    assert " ".join(cells[1:]) == sentence

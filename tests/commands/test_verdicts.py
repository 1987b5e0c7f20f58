"""What people read: rounding in kernels, and verdicts on chains that have not mixed."""

from __future__ import annotations

import numpy as np
import pytest

from derivations import output
from derivations.commands.check import entries
from numerics.checking.agreement import compare_means
from numerics.inputs.problem import Problem, endpoint


def test_rounding_is_shown_as_zero():
    kernel = np.array([[1.0, 4e-15, 1e-20], [4e-15, 2.0, 3e-13], [1e-20, 3e-13, 1e-20]])
    shown = output.kernel_rows(output.without_rounding(kernel), ["t=1", "t=2", "t=3"])
    assert [row[1:] for row in shown] == [["1", "0", "0"], ["0", "2", "3e-13"], ["0", "3e-13", "1e-20"]]
    assert output.without_rounding(np.zeros((2, 2))).tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(("n", "patterns"), [(2, 3), (6, 40), (5, 2), (30, 1), (200, 3)])
def test_tables_of_kernels_and_outputs_fit_a_terminal(n, patterns, capsys):
    rng = np.random.default_rng(n)
    half = rng.normal(size=(n * patterns, n * patterns)) * 10.0 ** rng.uniform(-3, 4)
    output.print_kernel("Kernel Φ (RNN, coherent, stable)", half @ half.T, n, patterns)
    output.print_outputs("Prediction ⟨f^(t+1)⟩", rng.normal(size=(2, patterns, n)))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 150
    assert any("with --json" in line for line in lines)


def test_numbers_are_short_and_keep_what_fits():
    rng = np.random.default_rng(0)
    for value in rng.choice([-1, 1], 500) * 10.0 ** rng.uniform(-99, 99, 500):
        assert len(output.short(value)) <= 9
        assert float(output.short(value)) == pytest.approx(value, rel=6e-3)
    assert [output.short(x) for x in (2.2468123, -0.00054946, 12345.6, 0.0)] == ["2.2468", "-0.000549", "12346", "0"]


def test_a_large_kernel_is_shown_by_the_mean_of_each_pattern_with_itself(capsys):
    same = np.arange(9.0).reshape(3, 3) + np.arange(9.0).reshape(3, 3).T + 1.0
    output.print_kernel("Kernel Φ", np.kron(same, np.array([[1.0, 9.0, 9.0], [9.0, 2.0, 9.0], [9.0, 9.0, 6.0]])), 3, 3)
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f" {3 * value:g} " in shown for value in same.ravel())
    assert "mean over 3 patterns" in shown


def test_the_largest_differences_are_shown():
    problem = Problem(np.eye(4), np.full((4, 5), 1.0))
    z = np.zeros((20, 20))
    z[3, 7] = z[7, 3] = -5.0
    shown = dict(entries(problem, z))
    assert len(shown) == 15
    assert shown["t=1 p=4, t=2 p=4"] == (3, 7)
    assert len(entries(endpoint(4, 1.0), np.zeros((3, 3)))) == 6


@pytest.mark.parametrize(
    ("off", "rhat", "ess", "verdict"),
    [
        (0.0, 1.0, 1e3, "agrees"),
        (1.0, 1.0, 1e3, "disagrees"),
        (0.0, 2.0, 1e3, "undecided"),
        (1.0, 1.0, 9.0, "undecided"),
    ],
)
def test_chains_that_have_not_mixed_decide_nothing(off, rhat, ess, verdict):
    kernel, error = np.eye(2), np.full((2, 2), 0.01)
    found = compare_means(kernel, kernel + off, error, rhat=rhat, ess=ess)
    assert found.verdict == verdict
    assert found.agrees is (verdict == "agrees")
    assert dict(found.facts())["verdict"].startswith(verdict)
    assert ("have not mixed" in found.reason) is (verdict == "undecided")

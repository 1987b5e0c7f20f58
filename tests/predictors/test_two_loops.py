"""Diagrams of two loops: in two kernels against the density of one, and against that density's integral."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import solve, solve_all
from numerics.inputs.problem import endpoint
from numerics.predictors import finite_width
from numerics.predictors import two_loops as module
from numerics.predictors.two_loops import TwoLoops, two_loops
from tests.nonlinear.test_fluctuations import LINEAR, conjugate_of


def of_the_jacobian(m):
    """What ``ln Γ_m(N/2)`` has at order 1/N: the density's normalisation, which two kernels do not need."""
    j = np.arange(m)
    return float(np.sum(j**2 / 4 + j / 2 + 1 / 6))


@pytest.mark.parametrize("T", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_two_kernels_have_the_diagrams_of_the_density(T):
    exact = solve(endpoint(T, 20.0, arch="shared:0.5", skip=0.4, bias=0.3, w=0.8, kappa=0.6, v=1.3))
    density, both = two_loops(exact), two_loops(conjugate_of(exact))
    assert both.error == density.error == 0.0
    assert both.value == pytest.approx(density.value + of_the_jacobian(T - 1), abs=2e-4 * abs(density.value))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["beyond", "outputs"])
def test_two_kernels_have_those_of_coherent_states_and_several_outputs(case):
    exact = solve(LINEAR[case])
    expected = two_loops(exact).value + of_the_jacobian(3)
    assert two_loops(conjugate_of(exact)).value == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
def test_a_sample_tells_the_same_with_an_error():
    exact = solve(endpoint(6, 30.0, arch="dnn"))
    found = two_loops(conjugate_of(exact))
    expected = two_loops(exact).value + of_the_jacobian(5)
    assert abs(found.value - expected) < 4 * found.error
    assert found.error < 3.0


def test_they_are_what_the_densitys_integral_has_beyond_the_fluctuations():
    """Beside it the same without the fourth derivatives, without the third, and without the shift's gain."""
    for state in (state for state in solve_all(endpoint(4, 1085.0, kappa=100.0)) if state.stable):
        found, N = two_loops(state), 96
        own = finite_width.kernel_mean(state, N, one_sign=state.branch == "coherent", draws=40_000)
        beyond = own.log_mass - finite_width.log_mass(state, N)
        assert abs(beyond + found.value / N) < 3 * own.log_mass_error + found.left(N)
        assert 3 * own.log_mass_error + found.left(N) < 0.02
        assert abs(beyond + found.reducible / N) > 0.02  # the rest is seen


def test_what_is_left_is_the_square_of_the_parts_and_large_kernels_have_none(monkeypatch):
    found = TwoLoops(3.0, -4.0, 0.5)
    assert (found.value, found.size, found.left(10)) == (-1.0, 5.0, 0.25)
    monkeypatch.setattr(module, "LARGEST_LINEAR", 2)
    assert two_loops(solve(endpoint(4, 4.0))) is None

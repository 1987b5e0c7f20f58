"""Derivatives of the free energy along the coherent branch, and Newton's method there, against differences."""

from importlib import import_module

import mpmath
import numpy as np
import pytest
from mpmath import mp

from numerics import solve
from numerics.inputs.problem import endpoint
from tests.theory import endpoint_reference as reference
from theory.coexistence import CoherentStates

N, KAPPA = 3, mp.mpf("0.7")


@pytest.fixture
def place():
    """40 digits, and a kernel with a signal."""
    with mpmath.workdps(40):
        A = mp.matrix(np.random.default_rng(0).integers(-3, 4, (N, N + 2)).tolist())
        yield A * A.T + mp.eye(N), mp.mpf(9)


def moved(H, i, j, h):
    new = H.copy()
    new[i, j] += h
    if i != j:
        new[j, i] += h
    return new


def test_gradient_and_jacobian_are_differences(place):
    H, signal = place
    states = CoherentStates(N, KAPPA, mp)
    h = mp.mpf(10) ** -15
    gradient, columns = states.gradient(H, signal), states.jacobian(H, signal)
    assert states.free_energy(H, signal) == pytest.approx(reference.free_energy(H, signal, KAPPA), rel=1e-30)
    for place_, (i, j) in enumerate(states.pairs):
        ahead, behind = moved(H, i, j, h), moved(H, i, j, -h)
        slope = (states.free_energy(ahead, signal) - states.free_energy(behind, signal)) / (2 * h)
        # doubled, and both places of an off-diagonal entry at once
        assert abs(gradient[i, j] * (1 if i != j else mp.mpf(1) / 2) - slope) < mp.mpf(10) ** -20
        difference = (states.gradient(ahead, signal) - states.gradient(behind, signal)) / (2 * h)
        column = mp.matrix(columns[place_])
        assert mp.norm(difference - column) < mp.mpf(10) ** -20 * mp.norm(column)


def test_the_linear_system_holds_the_order_parameter_and_moves_the_signal(place):
    H, signal = place
    states = CoherentStates(N, KAPPA, mp)
    matrix, residual, forcing = states.linear_system(H, signal)
    columns, h = states.jacobian(H, signal), mp.mpf(10) ** -15
    held = states.pairs.index((N - 2, N - 1))
    for row, (i, j) in enumerate(states.pairs):
        assert residual[row] == states.gradient(H, signal)[i, j]
        assert forcing[row] == columns[held][i][j]
        for column in range(len(states.pairs)):
            if column == held:
                ahead, behind = states.gradient(H, signal + h), states.gradient(H, signal - h)
                expected = (ahead[i, j] - behind[i, j]) / (2 * h)
            else:
                expected = columns[column][i][j]
            assert abs(matrix[row][column] - expected) < mp.mpf(10) ** -18


def test_newton_finds_the_state_of_an_order_parameter_and_its_rates(monkeypatch):
    monkeypatch.setattr(import_module("theory.coexistence"), "ITERATIONS", 8)  # quadratic: to 25 digits in few steps
    with mpmath.workdps(30):
        states = CoherentStates(N, mp.mpf(1), mp)
        known = solve(endpoint(4, 20.0)).kernel
        psi, h = mp.mpf(known[2, 1]), mp.mpf(10) ** -8
        start = mp.matrix((known * 1.001).tolist())
        H, signal, slope, last = states.newton(start, mp.mpf("20.1"), psi, mp.mpf(10) ** -25)
        assert abs(signal - 20) < 1e-8
        np.testing.assert_allclose(np.array(H.tolist(), dtype=float), known, rtol=1e-9)
        ahead, behind = (states.newton(H, signal, psi + sign * h, mp.mpf(10) ** -25) for sign in (1, -1))
        assert abs((ahead[1] - behind[1]) / (2 * h) - slope) < 1e-6
        assert abs((ahead[0][2, 2] - behind[0][2, 2]) / (2 * h) - last) < 1e-6
        assert states.newton(start, mp.mpf("20.1"), psi, mp.mpf(-1)) is None


@pytest.mark.parametrize("kappa", [0, 1, 30])
def test_the_incoherent_state_that_weak_signals_are_joined_to(kappa):
    with mpmath.workdps(30):
        states = CoherentStates(N, mp.mpf(kappa), mp)
        for ratio in (mp.mpf("1.001"), mp.mpf("1.2"), mp.mpf("1.4")):
            signal = (ratio - 1) * (ratio**N + kappa) ** 2 / ratio**N
            assert abs(states.incoherent_ratio(signal) - ratio) < mp.mpf(10) ** -12
            H = mp.diag([ratio**t for t in range(1, N + 1)])
            assert abs(states.incoherent_free_energy(signal) - states.free_energy(H, signal)) < mp.mpf(10) ** -12

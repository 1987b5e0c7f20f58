"""Curves for every noise: their coordinates, the steps along them, and the states that are read off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import logm
from scipy.optimize import brentq

from numerics import solve, solve_all
from numerics.endpoint_task import branches, crossings
from numerics.endpoint_task.branches import (
    _natural_changes,
    arclength_step,
    coordinates,
    equations,
    factors,
    log_signal_at,
)
from numerics.endpoint_task.crossings import CurveSpline, _inverse_hermite, growth_ratio, spline, states
from numerics.errors import InputError
from numerics.inputs.problem import endpoint

ROWS, COLUMNS = np.triu_indices(3)


def random_factor(n=4, seed=0):
    return np.linalg.cholesky(np.cov(np.random.default_rng(seed).standard_normal((n, 4 * n))))


def full(entries, n=3):
    rows, columns = np.triu_indices(n)
    H = np.zeros((n, n))
    H[rows, columns] = H[columns, rows] = entries
    return H


def test_coordinates_are_those_of_factors_and_their_changes_differences():
    L = random_factor()
    z = coordinates(L)
    np.testing.assert_allclose(z[:4], np.log(np.diagonal(L)))
    np.testing.assert_allclose(np.sinh(z[4:]) * np.diagonal(L)[np.tril_indices(4, -1)[0]], L[np.tril_indices(4, -1)])
    np.testing.assert_allclose(factors(z, 4), L, atol=1e-14)
    h = 1e-6
    for k, change in enumerate(_natural_changes(L)):
        moved = factors(z + h * np.eye(len(z))[k], 4)
        half = np.linalg.solve(L, moved)
        np.testing.assert_allclose(logm(half @ half.T) / h, change, atol=1e-5)


def coherent_point(signal=30.0):
    """Coordinates and ln μ of the coherent state at T = 4, κ = 0.4."""
    state = solve(endpoint(4, signal, kappa=0.4))
    log_mu = math.log(signal) - 2 * math.log(state.kernel[-1, -1] + 0.4)
    return np.append(coordinates(np.linalg.cholesky(state.kernel)), log_mu)


def test_the_equations_vanish_at_a_state_with_their_jacobian():
    z = coherent_point()
    value, jacobian, size = equations(z, 3)
    assert size < 1e-12
    assert np.abs(value).max() < 1e-11
    assert log_signal_at(z, 3, 0.4) == pytest.approx(math.log(30.0))
    assert log_signal_at(z, 3, 2.0) > math.log(30.0)
    h = 1e-6
    for k, column in enumerate(jacobian.T):
        step = h * np.eye(len(z))[k]
        difference = (equations(z + step, 3)[0] - equations(z - step, 3)[0]) / (2 * h)
        np.testing.assert_allclose(difference, column, atol=1e-7 * max(1.0, np.abs(jacobian).max()))
    # beside the state it is the gradient over the size of its terms
    far = z + 0.1
    value, _, size = equations(far, 3)
    label = math.exp(far[-1]) * factors(far[:-1], 3)[-1] @ factors(far[:-1], 3)[-1]
    assert size == pytest.approx(np.linalg.norm(value) / (3 + label))


def test_a_step_stays_on_the_branch_and_goes_on_in_its_direction():
    z = coherent_point()
    _, jacobian, _ = equations(z, 3)
    tangent = np.linalg.svd(jacobian)[2][-1]
    for sign in (1, -1):
        there, ahead, iterations = arclength_step(3, z, sign * tangent, 0.05)
        assert equations(there, 3)[2] < 1e-12
        assert np.linalg.norm(ahead) == pytest.approx(1.0)
        assert ahead @ (sign * tangent) > 0.95
        assert np.linalg.norm(there - z - 0.05 * sign * tangent) < 0.01
        assert sign * tangent @ (there - z) == pytest.approx(0.05, abs=1e-9)
        assert 1 <= iterations <= 6
    assert arclength_step(3, z, tangent, 30.0) is None


@pytest.mark.parametrize("kappa", [0.0, 1.0, 7.0])
def test_incoherent_states_of_signals_however_weak_or_strong(kappa):
    signal = np.array([0.0, 1e-25, 1e-15, 1e-6, 0.5, 30.0, 1e6, 1e12])
    entries, exists = states(spline(3, 0), signal, np.full(signal.shape, kappa))
    assert exists.all()
    for value, entry in zip(signal, entries.T, strict=True):

        def misses(rise, value=value):
            r = 1 + rise
            return rise * (r**3 + kappa) ** 2 / r**3 - value

        rise = 0.0 if value == 0 else brentq(misses, 0.0, max(2 * value, 1.0), xtol=1e-300, rtol=1e-14)
        np.testing.assert_allclose(full(entry), np.diag((1 + rise) ** np.arange(1, 4)), rtol=1e-11)
    goal, rises = np.log([0.5, 30.0]), np.array([0.1, 1.0])
    r = growth_ratio(3, np.log(rises) + 1e-4, np.log(rises * ((1 + rises) ** 3 + kappa) ** 2 / (1 + rises) ** 3), kappa)
    np.testing.assert_allclose(r, 1 + rises, rtol=1e-12)
    assert goal.shape == r.shape


def test_coherent_states_are_the_solvers_whatever_the_number_of_noises():
    signal = np.array([5.0, 12.0, 40.0, 900.0])
    branch = spline(3, 1)
    entries, exists = states(branch, signal, np.full(4, 0.5))
    assert exists.tolist() == [False, True, True, True]
    np.testing.assert_array_equal(full(entries[:, 0]), np.eye(3))
    for value, entry in zip(signal[1:], entries.T[1:], strict=True):
        np.testing.assert_allclose(full(entry), solve(endpoint(4, value, kappa=0.5)).kernel, rtol=2e-5)
    many = np.concatenate([np.full(4, 0.5), np.linspace(0.6, 2.0, 70)])
    for kappas in (many[:5], many[:8], many):
        signals = np.concatenate([signal, np.full(len(kappas) - 4, 40.0)])
        each, there = states(branch, signals, kappas)
        np.testing.assert_allclose(each[:, :4], entries, rtol=1e-6)
        assert there[4:].all()
        exact = solve(endpoint(4, 40.0, kappa=float(kappas[-1]))).kernel
        np.testing.assert_allclose(full(each[:, -1]), exact if len(kappas) > 4 else full(each[:, -1]), rtol=2e-5)


@pytest.mark.parametrize("several", [False, True])
def test_of_several_states_at_one_signal_the_lowest_is_taken(several):
    """Strong noise folds the incoherent branch: three states at 556 to 590 for κ = 60; which is lowest changes."""
    signal = np.array([560.0, 572.0, 590.0])
    kappa = np.full(3, 60.0)
    extra = np.linspace(61.0, 70.0, 70) if several else np.zeros(0)
    entries, exists = states(
        spline(3, 0), np.concatenate([signal, np.full(extra.shape, 570.0)]), np.concatenate([kappa, extra])
    )
    assert exists.all()
    for value, entry in zip(signal, entries.T, strict=False):
        lowest = min(solve_all(endpoint(4, value, kappa=60.0, arch="dnn")), key=lambda state: state.free_energy)
        np.testing.assert_allclose(full(entry), lowest.kernel, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("lag", [0, 1])
def test_levels_along_a_curve_have_their_slopes_and_states_their_free_energy(lag):
    branch: CurveSpline = spline(3, lag)
    s = np.array([0.4, 1.1, 1.9])
    value, slope = branch.log_signal(s, 0.7)
    h = 1e-5
    ahead, behind = branch.log_signal(s + h, 0.7)[0], branch.log_signal(s - h, 0.7)[0]
    np.testing.assert_allclose((ahead - behind) / (2 * h), slope, rtol=1e-6)
    F = branch.free_energy(s, np.exp(value), np.full(3, 0.7))
    for signal, energy in zip(np.exp(value), F, strict=True):
        arch = "rnn" if lag else "dnn"
        assert energy == pytest.approx(solve(endpoint(4, signal, kappa=0.7, arch=arch)).free_energy, rel=1e-5)
    if lag:  # the image of the lower sign
        mirror = np.outer([1, -1, 1], [1, -1, 1])
        np.testing.assert_allclose(full(branch.kernels(-s)[:, 1]), mirror * full(branch.kernels(s)[:, 1]), rtol=1e-9)


@pytest.mark.parametrize("power", [1, 2])
def test_the_inverse_of_a_level_between_two_points_has_its_ends_and_slopes(power):
    low, high, rise, slopes = 0.5, 0.8, 1.3, (4.0, 5.0)
    span = high**power - low**power

    def at(t):
        return float(_inverse_hermite(np.array(t), *map(np.array, (low, high, rise, *slopes)), power))

    assert at(0.0) == 0.0
    assert at(1.0) == pytest.approx(span)
    h = 1e-6
    assert (at(h) - at(0.0)) / h == pytest.approx(power * low ** (power - 1) / slopes[0] * rise, rel=1e-4)
    assert (at(1.0) - at(1 - h)) / h == pytest.approx(power * high ** (power - 1) / slopes[1] * rise, rel=1e-4)
    with np.errstate(all="ignore"):
        flat = _inverse_hermite(np.array([0.25, 0.5]), *map(np.array, (0.0, high, rise, 0.0, -1.0)), power)
    np.testing.assert_allclose(flat, np.array([0.25, 0.5]) * high**power)  # linear where a slope is none


def test_lags_that_have_no_branch_and_traces_without_end_are_refused(monkeypatch):
    for lag in (0, 2):
        with pytest.raises(InputError, match=f"lag: is {lag}; accepted: 1 to 1 for 3 hidden times"):
            branches.traced_curve.__wrapped__(3, lag)
    monkeypatch.setattr(branches, "MOST_TRACED", 5)
    with pytest.raises(ArithmeticError, match="a branch of T = 4 is not traced to its end after 5 points"):
        branches.traced_curve.__wrapped__(3, 1)


def test_a_step_that_fails_is_halved_and_the_trace_goes_on(monkeypatch):
    step, asked = branches.arclength_step, []

    def unwilling(n, z, tangent, length):
        asked.append(length)
        return None if len(asked) < 4 else step(n, z, tangent, length)

    monkeypatch.setattr(branches, "arclength_step", unwilling)
    curve = branches.traced_curve.__wrapped__(3, 1)
    np.testing.assert_allclose(asked[:4], branches.FIRST_STEP * 0.5 ** np.arange(4))
    assert curve.log_signal(0.0)[-1] > math.log(branches.LAST_SIGNAL)
    assert curve.log_signal(0.0)[-2] < math.log(branches.LAST_SIGNAL)


def test_every_level_of_a_rising_curve_is_met_between_its_neighbours():
    """Goals at the middle of each interval, the last and the first among them; none beyond the ends."""
    branch = spline(3, 1)
    s, levels = branch.curve.s, branch.curve.log_signal(1.0)
    assert (np.diff(levels) > 0).all()
    middle = (levels[1:] + levels[:-1]) / 2
    goal = np.concatenate([[levels[0] - 0.1], middle, [levels[-1] + 0.1]])
    for noise in (1.0, None):
        found = crossings._lowest_crossing(branch, goal[::-1], np.ones(goal.shape), noise)[::-1]
        assert np.isnan(found[[0, -1]]).all()
        assert (found[1:-1] > s[:-1]).all()
        assert (found[1:-1] < s[1:]).all()
        np.testing.assert_allclose(branch.log_signal(found[1:-1], 1.0)[0], middle, atol=1e-9)
        inner = crossings._lowest_crossing(branch, middle, np.ones(middle.shape), noise)
        np.testing.assert_allclose(inner, found[1:-1], rtol=1e-12)

"""The learning transition of a DNN: both sides of its folds are found from any range, and the loop between them."""

import math

import numpy as np
import pytest
import sympy
from scipy.optimize import brentq, minimize_scalar

from numerics.continuation import hysteresis
from numerics.continuation.diagram import diagram
from numerics.continuation.options import Options
from numerics.inputs.problem import endpoint
from tests.continuation.scans import scan_endpoint
from theory.learning_transition import learning_transition

KAPPA, N = 60.0, 3


def signal_of(x):
    """λ of the diagonal state with ``H^nn = xⁿ``."""
    return (x - 1) * (x**N + KAPPA) ** 2 / x**N


def free_energy(x, signal):
    return 0.5 * signal / (x**N + KAPPA) + 0.5 * N * (x - 1 - math.log(x))


def exact():
    """Both folds and the equal-free-energy point, from the one-variable theory."""
    top = minimize_scalar(lambda x: -signal_of(x), bounds=(1.1, 2.0), method="bounded", options={"xatol": 1e-12})
    bottom = minimize_scalar(signal_of, bounds=(top.x, 4.0), method="bounded", options={"xatol": 1e-12})

    def gap(signal):
        low = brentq(lambda x: signal_of(x) - signal, 1.0 + 1e-9, top.x)
        high = brentq(lambda x: signal_of(x) - signal, bottom.x, 20.0)
        return free_energy(low, signal) - free_energy(high, signal)

    return bottom.fun, brentq(gap, bottom.fun * (1 + 1e-9), -top.fun * (1 - 1e-9)), -top.fun


@pytest.fixture(scope="module")
def whole():
    return diagram(endpoint(4, 1.0, kappa=KAPPA, arch="dnn"), "signal", (540.0, 610.0))


def test_folds_and_equal_free_energy_are_those_of_the_one_variable_theory(whole):
    assert [point.type for point in whole.special_points] == ["fold", "equal-free-energy", "fold"]
    np.testing.assert_allclose([point.value for point in whole.special_points], exact(), rtol=1e-8)
    scan = scan_endpoint(4, np.linspace(540.0, 610.0, 8), KAPPA, "dnn")
    assert [point.type for point in scan.special_points] == ["fold", "equal-free-energy", "fold"]
    np.testing.assert_allclose([point.value for point in scan.special_points], exact(), rtol=1e-8)


def test_the_points_are_those_of_the_exact_transition(whole):
    found = learning_transition(4, sympy.Integer(60))
    expected = [float(point.signal) for point in (found.folds[0], found.equal, found.folds[1])]
    np.testing.assert_allclose([point.value for point in whole.special_points], expected, rtol=1e-11)


def test_the_loop_is_between_the_folds(whole):
    low, _, high = exact()
    loop = hysteresis.hysteresis_loop(whole)
    (up,), (down,) = loop.up.transitions, loop.down.transitions
    np.testing.assert_allclose([down.value, up.value], [low, high], rtol=1e-8)
    assert not up.continuous
    assert not down.continuous
    assert up.free_energy[1] < up.free_energy[0]
    assert down.free_energy[1] < down.free_energy[0]
    np.testing.assert_allclose(loop.width, [(low, high)], rtol=1e-8)


def test_between_the_folds_all_three_states_are_found_from_inside():
    """From a range whose ends are both inside, where no branch turns."""
    found = diagram(endpoint(4, 1.0, kappa=KAPPA, arch="dnn"), "signal", (556.0, 590.0))
    for value in (556.0, 570.0, 590.0):
        states = [state.free_energy for _, state in found.states(value)]
        sides = ((1.01, 1.5), (1.5, 2.6), (2.6, 20.0))
        roots = [brentq(lambda x, value=value: signal_of(x) - value, *ends) for ends in sides]
        np.testing.assert_allclose(states, sorted(free_energy(x, value) for x in roots), rtol=1e-9)
    (equal,) = found.special_points
    assert equal.value == pytest.approx(exact()[1], rel=1e-8)


def test_a_passage_that_would_go_back_says_so(whole, monkeypatch):
    """A descent that ends on the piece it came from is no passage."""
    monkeypatch.setattr(
        hysteresis, "_next", lambda diagram, pieces, piece, state, end, direction: (piece, state, False)
    )
    with pytest.raises(ArithmeticError, match=r"has not come to an end after 2 stable pieces"):
        hysteresis.hysteresis_loop(whole)


def test_the_bound_on_branches_is_met_and_said():
    found = diagram(endpoint(4, 1.0), "signal", (8.0, 12.0), options=Options(most_branches=1))
    assert found.status == "Not finished: stopped after 1 branches, with 4 more to follow."
    assert not found.finished


def test_the_bound_on_points_is_met_and_said():
    found = diagram(endpoint(4, 1.0), "signal", (8.0, 9.0), options=Options(most_points=5))
    assert "the most points of a branch are reached at" in found.status
    assert not found.finished


def test_a_descent_that_ends_in_no_minimum_says_so(whole, monkeypatch):
    monkeypatch.setattr(hysteresis, "_minimum_below", lambda point, options: None)
    with pytest.raises(ArithmeticError, match=r"no descent from the state at 602\.033 ends in a minimum"):
        hysteresis.hysteresis_loop(whole)

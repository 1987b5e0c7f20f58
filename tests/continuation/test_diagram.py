"""Branches in any parameter against exact results: pitchforks, folds, coexistence, the rational curve at T = 4."""

import math
import re
from functools import lru_cache

import numpy as np
import pytest
import sympy
from scipy.optimize import brentq

from numerics import solve, solve_all
from numerics.continuation.diagram import diagram
from numerics.continuation.family import family
from numerics.continuation.following import follow
from numerics.continuation.path import Track
from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.linear.functional import kernel_functional
from numerics.linear.lag_classes import classes_of, phase_order
from numerics.linear.search import search_all
from numerics.linear.trust_region import dense_hessian, smallest_modes
from tests.continuation.one_branch import branch_through
from theory.coexistence import coexistence
from theory.coherent_branch import coherent_branch
from theory.critical_point import critical_signal


def pitchfork(T, lag, kappa):
    """Of the incoherent branch, by hand: r = m/(m-1), m = n - lag."""
    n, m = T - 1, T - 1 - lag
    r = m / (m - 1)
    return (r - 1) * (r**n + kappa) ** 2 / r**n


@lru_cache
def in_signal(T, kappa, low, high, arch="rnn"):
    return diagram(endpoint(T, 1.0, kappa=kappa, arch=arch), "signal", (low, high))


def points_of(found, kind):
    return [point for point in found.special_points if point.type == kind]


def test_t_4_meets_the_rational_curve():
    found = in_signal(4, 1.0, 5.0, 40.0)
    (point,) = found.special_points
    assert point.type == "pitchfork"
    assert point.branches == (0, 1)
    assert abs(point.value - 81 / 8) < 1e-10
    assert point.interval[0] <= 81 / 8 <= point.interval[1]
    assert point.interval[1] - point.interval[0] < 1e-10
    incoherent, coherent = found.branches
    np.testing.assert_array_equal(incoherent.negative[incoherent.value < 10], 0)
    np.testing.assert_array_equal(incoherent.negative[incoherent.value > 10.2], 1)
    np.testing.assert_array_equal(coherent.negative[1:], 0)
    # the exact branch in its own parameter, H^11
    exact = coherent_branch(sympy.Integer(1))
    pairs = [(i, j) for i in (1, 2, 3) for j in range(i, 4)]
    kernel = sympy.lambdify(exact.parameter, [exact.kernel[pair] for pair in pairs])
    signal = sympy.lambdify(exact.parameter, exact.signal)
    for value, H in list(zip(coherent.value, coherent.kernels, strict=True))[2::4]:
        np.testing.assert_allclose(signal(H[0, 0]), value, rtol=1e-9)
        expected = np.abs(kernel(H[0, 0]))
        np.testing.assert_allclose(expected, np.abs(H[np.triu_indices(3)]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("T", "kappa", "span"), [(4, 30, (160.0, 200.0)), pytest.param(6, 1, (2.0, 5.5), marks=pytest.mark.slow)]
)
def test_fold_and_equal_free_energy_are_where_the_theory_says(T, kappa, span):
    found = in_signal(T, float(kappa), *span)
    exact = coexistence(T, sympy.Integer(kappa))
    for kind, value in (("fold", exact.fold.signal), ("equal-free-energy", exact.equal.signal)):
        (point,) = points_of(found, kind)
        assert point.value == pytest.approx(float(value), rel=1e-11)
        assert point.interval[0] <= float(value) <= point.interval[1]
        assert point.interval[1] - point.interval[0] < 1e-11 * point.value
    fork = points_of(found, "pitchfork")[0]
    assert fork.value == pytest.approx(float(critical_signal(T, sympy.Integer(kappa))), rel=1e-11)
    (equal,) = points_of(found, "equal-free-energy")
    np.testing.assert_allclose(max(equal.order_parameter), float(exact.equal.order_parameter), rtol=1e-8)


def test_both_branches_of_an_even_lag_are_followed():
    """Their free energies are equal, by the phase i^t, but real kernels near them are not."""
    found = in_signal(5, 1.0, 16.0, 20.0)
    (fork,) = [p for p in points_of(found, "pitchfork") if abs(p.value - pitchfork(5, 2, 1.0)) < 1e-9]
    assert len(fork.branches) == 3
    first, second = (found.branches[k] for k in fork.branches[1:])
    np.testing.assert_allclose(first.free_energy[-1], second.free_energy[-1], rtol=1e-13)
    np.testing.assert_allclose(first.kernels[-1][2, 0], -second.kernels[-1][2, 0], rtol=1e-9)


@pytest.mark.parametrize(("kappa", "folds"), [(56 / 3 - 0.1, 0), (56 / 3 + 0.1, 1)])
def test_the_transition_at_t_4_becomes_discontinuous_at_the_tricritical_noise(kappa, folds):
    critical = pitchfork(4, 1, kappa)
    found = in_signal(4, kappa, critical * 0.999, critical * 1.01)
    assert len(points_of(found, "fold")) == folds
    assert len(points_of(found, "equal-free-energy")) == folds
    assert len(points_of(found, "pitchfork")) == 1


@pytest.mark.parametrize(
    ("parameter", "power"),
    [pytest.param("u", 1, marks=pytest.mark.slow), pytest.param("v", 1, marks=pytest.mark.slow), ("w", 2)],
)
def test_pitchforks_in_a_width_are_those_of_the_scaled_signal(parameter, power):
    """``λ = y²/(v w² u)`` and ``κ̂ = κ/(v w² u)`` at T = 4, against ``λ_c(κ̂) = (8+κ̂)²/8``."""
    problem = endpoint(4, 12.0, kappa=0.7)

    def excess(p):
        return 12.0 / p**power - (8 + 0.7 / p**power) ** 2 / 8

    expected = brentq(excess, 0.9, 1.6, xtol=1e-14)
    found = diagram(problem, parameter, (0.9, 1.6))
    (point,) = points_of(found, "pitchfork")
    assert abs(point.value - expected) < 1e-10
    coherent = found.branches[point.branches[1]]
    state = solve(
        problem.with_(**{parameter: coherent.value[0] if coherent.value[0] < expected else coherent.value[-1]})
    )
    end = 0 if coherent.value[0] < expected else -1
    np.testing.assert_allclose(np.abs(coherent.kernels[end]), np.abs(state.kernel), rtol=1e-8, atol=1e-8)


@pytest.mark.slow
def test_a_fold_in_the_noise_is_the_fold_in_the_signal():
    in_noise = diagram(endpoint(6, 2.2), "kappa", (0.9, 1.3))
    (fold,) = points_of(in_noise, "fold")
    (fork,) = points_of(in_noise, "pitchfork")
    (equal,) = points_of(in_noise, "equal-free-energy")
    assert abs(float(critical_signal(6, sympy.Float(fork.value, 30))) - 2.2) < 1e-10
    back = in_signal(6, fold.value, 2.1, 2.4)
    assert abs(points_of(back, "fold")[0].value - 2.2) < 1e-9
    back = in_signal(6, equal.value, 2.1, 2.4)
    assert abs(points_of(back, "equal-free-energy")[0].value - 2.2) < 1e-9
    # and the test sees a wrong noise
    wrong = in_signal(6, fold.value + 1e-6, 2.1, 2.4)
    assert abs(points_of(wrong, "fold")[0].value - 2.2) > 1e-7


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_a_sequence_of_two_patterns(arch):
    problem = sequence(5, 1.2, 1.0, (2, 4), arch=arch)
    found = diagram(problem, "signal", (8.0, 20.0))
    for branch in found.branches:
        assert branch.residual.max() < 1e-11
    low, high = (solve(problem.with_(y=math.sqrt(value) * problem.y)) for value in (8.0, 20.0))
    for state, value in ((low, 8.0), (high, 20.0)):
        lowest = found.states(value)[0][1]
        assert abs(lowest.free_energy - state.free_energy) < 1e-11
    if arch == "dnn":
        assert found.special_points == ()
        return
    (point,) = points_of(found, "pitchfork")
    assert phase_order(kernel_functional(problem)) == 2
    # an odd lag appears there: nothing but W → -W changes, and the Hessian of the even state is singular
    assert np.abs(low.kernel[:2, 2:4]).max() < 1e-9 < 0.1 < np.abs(high.kernel[:2, 2:4]).max()
    even = found.branches[point.branches[0]]
    near = next(event for event in even.events if event.type == "pitchfork").point.state
    assert abs(smallest_modes(near)[0][0]) < 1e-12


def test_inputs_at_several_times_and_degenerate_patterns():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3, 3, 2))
    y = np.full((3, 3), np.nan)
    y[:, -1] = [1.0, -2.0, 0.5]
    problem = Problem(x, y, kappa=0.5)
    found = diagram(problem, "kappa", (0.1, 2.0))
    for value in (0.1, 0.5, 2.0):
        state = solve(problem.with_(kappa=value))
        assert abs(found.states(value)[0][1].free_energy - state.free_energy) < 1e-11


def test_one_branch_can_be_followed_through_a_given_state():
    exact = coexistence(4, sympy.Integer(30))
    signal = float(exact.fold.signal + exact.critical_signal) / 2
    problem = endpoint(4, signal, kappa=30.0)
    unstable = next(state for state in solve_all(problem) if not state.stable)
    branch = branch_through(endpoint(4, 1.0), "signal", (1.0, 5.0), solve(endpoint(4, 1.0)).reduced)
    assert branch.ends == ("range", "range")
    assert re.fullmatch(
        r"Branch\(signal: (\d+) points from 1 to 5, minima: \1 of \1, ends: range, range\)", repr(branch)
    )
    through = branch_through(problem, "signal", (0.9, 2.0), unstable.reduced)
    (fold,) = [event for event in through.events if event.type == "fold"]
    assert fold.value * signal == pytest.approx(float(exact.fold.signal), rel=1e-11)


def test_the_hessian_splits_by_lag_at_a_state_of_one_period():
    """The blocks between classes vanish, and those within do not."""
    for state in search_all(endpoint(7, 20.0)):
        point = kernel_functional(state.problem).at(state.reduced)
        period, classes = classes_of(point)
        whole = dense_hessian(point)
        for a in range(len(classes)):
            for b in range(a):
                assert np.abs(whole[np.ix_(classes[a], classes[b])]).max() < 1e-11
        assert sum(len(positions) for positions in classes) == 21
        assert (period == 1) == (len(classes) == 1)


def test_a_branch_is_not_left_where_another_crosses_it():
    """With a step that is far too long nothing wrong is returned: the corrector refuses, and the step shrinks."""
    whole = family(endpoint(6, 1.0), "signal")
    track = Track(whole, 0)
    theta = math.log(2.0)
    state = track.converge(whole.functional(theta).prior_kernel(), theta)
    start = track.start(state, theta)
    assert track.step(start, 50.0) is None
    branch = follow(track, start, (theta, math.log(40.0)))
    r = np.array([point.state.H[0, 0] for point in branch.points])
    np.testing.assert_allclose((r - 1) * (r**5 + 1) ** 2 / r**5, branch.value, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parameter": "T"}, "parameter: is 'T'"),
        ({"span": (0.0, 2.0)}, "span: begins at 0; accepted: a positive number"),
        ({"span": (3.0, 2.0)}, "span: is 3 to 2"),
        ({"span": (1.0, math.inf)}, "span"),
        ({"problem": endpoint(4, 1.0, activation="erf")}, "activation: is 'erf'"),
        ({"problem": endpoint(600, 0.1)}, "problem: has 599 kernel rows"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, message):
    given = {"problem": endpoint(4, 1.0), "parameter": "signal", "span": (1.0, 2.0), **arguments}
    with pytest.raises(InputError, match=message) as caught:
        diagram(**given)
    assert "\n" not in str(caught.value)
    assert "accepted: " in str(caught.value)

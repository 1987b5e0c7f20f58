"""The incoherent state of independent times, against the engines that know nothing of it."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear import diagonal, search
from numerics.nonlinear.critical import critical_signal
from numerics.nonlinear.search import all_states, incoherent_state, lowest_state
from numerics.nonlinear.space import trajectory_space
from theory.critical_point import critical_signal as exact_critical_signal


def without_diagonal(monkeypatch):
    monkeypatch.setattr(search, "is_diagonal", lambda space, phi: False)


@pytest.mark.parametrize(
    "problem",
    [
        endpoint(4, 10.0, activation="erf"),
        endpoint(4, 30.0, activation="tanh", kappa=0.3),
        endpoint(4, 10.0),
        Problem(np.array([[0.8, -0.5]]), np.array([[np.nan, 2.0, np.nan]]), activation="erf", u=1.3, v=0.8, w=1.4),
    ],
    ids=["erf", "tanh", "linear", "supervised within"],
)
def test_it_is_the_state_of_quadrature_in_all_dimensions(problem, monkeypatch):
    single = incoherent_state(problem, tolerance=1e-9)
    without_diagonal(monkeypatch)
    other = incoherent_state(problem, tolerance=1e-9)
    assert single.converged
    assert single.points < 0.2 * other.points
    for name in ("kernel", "conjugate", "covariance", "second_moment"):
        assert getattr(single, name) == pytest.approx(getattr(other, name), abs=2e-8)
    for name in ("free_energy", "energy", "entropy", "hessian_smallest"):
        assert getattr(single, name) == pytest.approx(getattr(other, name), abs=2e-8)
    assert single.stable == other.stable


@pytest.mark.slow
@pytest.mark.parametrize("T", [6, pytest.param(9, marks=pytest.mark.slow)])
def test_the_linear_network_has_its_exact_critical_signal_beyond_quadrature(T):
    exact = float(exact_critical_signal(T, 1))
    found = critical_signal(endpoint(T, 1.0), 0.7 * exact, 1.5 * exact)
    assert found is not None
    assert found.scale == pytest.approx(exact, rel=3e-8)


@pytest.mark.slow
def test_sampled_networks_of_six_times_turn_unstable_at_the_critical_signal():
    found = critical_signal(endpoint(6, 1.0, activation="erf"), 2.0, 10.0)
    assert found is not None
    for factor, stable in ((0.85, True), (1.15, False)):
        states = all_states(endpoint(6, factor * found.scale, activation="erf"), engine="sampling")
        incoherent = [state for state in states if state.branch == "incoherent"]
        assert [state.stable for state in incoherent] == [stable]
        exact = incoherent_state(endpoint(6, factor * found.scale, activation="erf"))
        assert np.abs(incoherent[0].kernel - exact.kernel).max() < 4 * incoherent[0].kernel_error.max()


@pytest.mark.slow
def test_below_the_transition_the_answer_has_no_sampling_error():
    state = lowest_state(endpoint(10, 0.5, activation="erf"))
    assert (state.engine, state.stable, state.converged) == ("quadrature", True, True)
    assert state.kernel_error.max() < 1e-12
    asked = lowest_state(endpoint(10, 0.5, activation="erf"), engine="sampling")
    assert asked.engine == "sampling"
    assert np.abs(asked.kernel - state.kernel).max() < 4 * asked.kernel_error.max()


def test_a_coherent_state_may_lie_below_the_stable_chain():
    """The transition is discontinuous at large T: at T = 10 it comes below the critical signal, 2.80."""
    problem = endpoint(10, 2.0, activation="erf")
    single = incoherent_state(problem)
    assert single.stable
    state = lowest_state(problem, size=2048, tolerance=0.1)
    assert (state.branch, state.stable, state.converged) == ("coherent", True, True)
    # 0.91739 ± 0.0001 on sixteen times as many points
    assert abs(state.free_energy - 0.9174) < 4 * state.free_energy_error < 0.5 * (single.free_energy - 0.9174)
    # the chain is met; minima on few points of the search may lie between the two
    assert state.free_energy < state.next_free_energy <= single.free_energy * (1 + 1e-9)


@pytest.mark.slow
def test_states_of_a_strong_signal_are_listed_once():
    """The random network's state is found again from below, with the noise of the sample; both are one."""
    states = all_states(endpoint(6, 30.0, activation="erf"))
    assert [(s.branch, s.stable, s.engine) for s in states if s.branch == "incoherent"] == [
        ("incoherent", False, "quadrature")
    ]


@pytest.mark.parametrize(("size", "change", "accepted"), [(100.0, 1e-3, True), (0.01, 1e-5, False)])
def test_the_error_of_a_chain_is_relative_to_its_largest_entry(size, change, accepted, monkeypatch):
    """On planted states, of which the finer ones differ by so much: a relative error of 1e-5 or 1e-3."""
    rules = []

    class Planted:
        def __init__(self, space, phi, points):
            rules.append(points)

        def diagonal(self, before):
            return before + change * np.array([1.0, 0.0, 0.0])

        def point(self, diagonal):
            raise LookupError("accepted")

    monkeypatch.setattr(diagonal, "IndependentTimes", Planted)
    monkeypatch.setattr(diagonal, "_followed", lambda *_: size * np.array([1.0, 0.5, 0.5]))
    space = trajectory_space(endpoint(4, 1.0, activation="erf"))
    if accepted:
        with pytest.raises(LookupError, match="accepted"):
            diagonal.diagonal_state(space, space.problem.activation, np.eye(3), 1e-4)
    else:
        assert diagonal.diagonal_state(space, space.problem.activation, np.eye(3), 1e-4) is None
    assert 2 * diagonal.LINE_POINTS == rules[0] < diagonal.MOST_LINE_POINTS < 2 * rules[-1]

"""The list of a problem's states, and the signed count that an incomplete list fails."""

from dataclasses import replace

import numpy as np
import pytest
from sympy import Rational

from numerics import solve_all
from numerics.continuation.states import index_sum
from numerics.inputs.problem import endpoint
from numerics.inputs.teachers import sequence
from numerics.linear import trust_region
from numerics.linear.search import search_all
from theory.critical_point import critical_point


@pytest.mark.slow
def test_following_branches_completes_what_the_search_leaves_out():
    """Labels three steps apart: phases of order 3 are symmetries, and the search misses states."""
    problem = sequence(6, 1.1535, 31.3, (2, 5))
    searched, states = search_all(problem), solve_all(problem)
    assert index_sum(searched) != 1
    assert index_sum(states) == 1
    assert len(states) > len(searched)
    assert all(state.converged and state.residual < 1e-10 for state in states)
    assert [state.free_energy for state in states] == sorted(state.free_energy for state in states)


@pytest.mark.parametrize("T", [pytest.param(T, marks=pytest.mark.slow if T > 6 else ()) for T in range(4, 11)])
@pytest.mark.parametrize("signal", [2.13, 20.0])
def test_signed_counts_of_the_endpoint_problem(T, signal):
    assert index_sum(solve_all(endpoint(T, signal))) == 1


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_a_missing_state_breaks_the_count_and_so_does_one_too_many(arch):
    states = solve_all(endpoint(4, 20.0, arch=arch))
    assert index_sum(states) == 1
    assert index_sum([*states, states[0]]) != 1
    if len(states) > 1:
        assert all(index_sum([s for s in states if s is not left_out]) != 1 for left_out in states)


@pytest.mark.parametrize("tolerance", [1e-8, 1e-9, 1e-10])
@pytest.mark.parametrize("kappa", [0, 1, 5])
def test_at_the_pitchfork_there_is_one_state_and_just_beyond_it_two(kappa, tolerance):
    critical = float(critical_point(4, kappa).signal)
    (state,) = solve_all(endpoint(4, critical, kappa=kappa), tolerance=tolerance)
    assert state.branch == "incoherent"
    assert len(solve_all(endpoint(4, critical * (1 + 1e-5), kappa=kappa), tolerance=tolerance)) == 2


@pytest.mark.parametrize(("T", "kappa", "u", "v", "w"), [
    (5, 1, 2.0, 0.5, 1.3), (6, 1, 1.0, 1.0, 1.0), (6, 0.3, 0.7, 1.4, 0.8), (6, 5, 1.0, 1.0, 1.0),
    (7, 0.3, 1.0, 1.0, 1.0), (8, 1, 0.5, 2.0, 1.1), (9, 0.3, 1.0, 1.0, 1.0), (12, 1, 1.0, 1.0, 1.0),
])  # fmt: skip
def test_at_the_critical_signal_the_incoherent_state_is_given_once(T, kappa, u, v, w):
    """From T = 6 on another state lies lower. Along the critical mode ends of a residual of 1e-16 are 1e-5 apart."""
    critical, ratio = float(critical_point(T, Rational(kappa)).signal), (T - 2) / (T - 3)
    states = solve_all(endpoint(T, critical, kappa=kappa * u * v * w ** (T - 2), u=u, v=v, w=w))
    exact = u / w * (w * ratio) ** np.arange(1, T)
    near = [state for state in states if np.abs(np.diag(state.kernel) / exact - 1).max() < 1e-3]
    assert [state.branch for state in near] == ["incoherent"]
    assert len(states) == (1 if T < 6 else 2)


def test_no_count_where_it_cannot_be_told(monkeypatch):
    states = solve_all(endpoint(4, 20.0))
    assert index_sum([replace(states[0], converged=False), *states[1:]]) is None
    assert index_sum(solve_all(endpoint(4, 81 / 8))) is None  # the pitchfork itself
    monkeypatch.setattr(trust_region, "DENSE_MODES", 2)
    assert index_sum(states) is None

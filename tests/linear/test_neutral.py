"""Manifolds of minima: what is neutral there, and what is not neutral elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import InputError, Problem, endpoint, kernel_sd, phase_weights, solve, solve_all
from numerics.linear import trust_region
from numerics.linear.functional import kernel_functional
from numerics.linear.neutral import is_neutral


def outputs(signals, T=4, patterns=None, **options):
    """Orthogonal outputs of these signals, each of one of orthonormal patterns."""
    P = patterns or len(signals)
    y = np.full((P, T - 1, len(signals)), np.nan)
    y[:, -1] = np.eye(P)[:, : len(signals)] * np.sqrt(signals)
    return Problem(np.sqrt(P) * np.eye(P), y, **options)


MANIFOLDS = {
    "two": lambda: outputs([20.0, 20.0]),
    "three": lambda: outputs([30.0] * 3),
    "a pattern without label": lambda: outputs([30.0] * 2, patterns=3),
    "partly shared": lambda: outputs([30.0] * 2, arch="shared:0.9"),
    "looped": lambda: outputs([60.0] * 2, T=5, arch="looped:2"),
}


@pytest.mark.parametrize("case", MANIFOLDS)
def test_a_manifold_is_stable_counts_once_and_has_no_fluctuations(case):
    state = solve(MANIFOLDS[case]())
    one = endpoint(state.problem.T, float(np.nanmax(state.problem.y) ** 2), arch=state.problem.arch)
    assert state.free_energy == pytest.approx(state.problem.outputs * solve(one).free_energy, rel=1e-9)
    assert state.converged
    assert state.stable
    assert "manifold" in state.status
    assert (state.minima, state.next_free_energy) == (1, None)
    for refusing in (lambda: kernel_sd(state, 100), lambda: phase_weights([state], 100)):
        with pytest.raises(InputError, match="manifold"):
            refusing()


def test_all_states_of_two_equal_outputs_are_few():
    found = solve_all(MANIFOLDS["two"]())
    assert [state.stable for state in found] == [True] + [False] * (len(found) - 1)
    assert len(found) < 10


@pytest.mark.parametrize("signals", [[20.0, 20.5], [20.0, 8.0], [5.0, 5.0]])
def test_unequal_or_incoherent_outputs_are_isolated(signals):
    state = solve(outputs(signals))
    assert state.stable
    assert "manifold" not in state.status
    assert np.isfinite(kernel_sd(state, 100)).all()


def test_the_mode_of_a_critical_point_is_not_neutral():
    """λ_c = (8 + 1)²/8 at T = 4, κ = 1: an eigenvalue of 0, of one output and of two equal ones."""
    for problem in (endpoint(4, 81 / 8), outputs([81 / 8] * 2)):
        functional = kernel_functional(problem)
        stop = trust_region.newton(functional.at(np.kron(np.diag([2.0, 4.0, 8.0]), np.eye(problem.P))))
        values, modes = trust_region.smallest_modes(stop.point)
        assert abs(values[0]) < 1e-8
        assert not is_neutral(stop.point, float(values[0]), modes[0])

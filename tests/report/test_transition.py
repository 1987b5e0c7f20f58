"""The interactive figure's branches against the general solver, which knows nothing of them."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.report.transition import LARGEST_NOISE, SLIDER_SIGNAL, GridBranch, branches
from numerics import endpoint, solve_all
from theory.critical_point import critical_point

SHORT = [(4, 20.0, 1.0), (4, 9.0, 0.0), (5, 60.0, 5.0)]
LONG = [(5, 3.0, 0.2), (6, 1.4, 0.0), (6, 70.0, 2.0), (7, 3.0, 1.0), (7, 50.0, 0.5), (8, 30.0, 1.0), (8, 7.0, 0.1)]


def states(found: list[GridBranch], signal: float, kappa: float) -> list[tuple[np.ndarray, bool]]:
    """Kernels and stability where a branch passes the signal, as the page finds them."""
    crossings = []
    for branch in found:
        level = branch.log_mu + 2 * np.log(branch.kernel[:, -1] + kappa) - np.log(signal)
        for i in np.flatnonzero(level[1:] * level[:-1] < 0):
            weight = level[i] / (level[i] - level[i + 1])
            kernel = (1 - weight) * branch.kernel[i] + weight * branch.kernel[i + 1]
            threshold = (1 - weight) * branch.threshold[i] + weight * branch.threshold[i + 1]
            crossings.append((kernel, bool(signal / (kernel[-1] + kappa) ** 3 > threshold)))
    return crossings


@pytest.mark.parametrize(
    ("T", "signal", "kappa"), [*SHORT, *(pytest.param(*case, marks=pytest.mark.slow) for case in LONG)]
)
def test_the_coherent_state_of_lowest_free_energy_is_on_a_branch_and_stable_there(T: int, signal: float, kappa: float):
    crossings = states(branches(T), signal, kappa)
    upper = np.triu_indices(T - 1)
    reversed_W = np.where((upper[1] - upper[0]) % 2 == 0, 1, -1)
    solved = [s for s in solve_all(endpoint(T, signal, kappa=kappa)) if s.branch == "coherent" and s.converged]
    lowest = min(solved, key=lambda s: s.free_energy)
    for solution in solved:
        size = np.sqrt(np.outer(np.diag(solution.kernel), np.diag(solution.kernel)))[upper]
        close = [
            stable
            for kernel, stable in crossings
            if min(np.abs((sign * kernel - solution.kernel[upper]) / size).max() for sign in (1, reversed_W)) < 1e-3
        ]
        if solution is lowest:
            assert solution.stable
            assert close == [True]
        elif not solution.stable:
            assert True not in close


def test_phases_of_a_lag_are_states_of_their_own():
    """At T = 5, lag 2: W → iW reverses H^{t,t+2} and keeps F, but one of the two signs alone is ever a minimum."""
    (branch,) = (branch for branch in branches(5) if branch.lag == 2)
    problem = endpoint(5, 80.0, kappa=0.0)
    twins = [s for s in solve_all(problem) if s.branch == "coherent" and abs(s.kernel[-1, -2]) < 1e-9]
    assert len(twins) == 2
    assert twins[0].free_energy == pytest.approx(twins[1].free_energy)
    np.testing.assert_allclose(np.abs(twins[0].kernel), np.abs(twins[1].kernel), atol=1e-6)
    (minimum,) = (s for s in twins if s.stable)
    (found, stable), *others = states([branch], 80.0, 0.0)
    assert stable
    assert not others
    np.testing.assert_allclose(found, minimum.kernel[np.triu_indices(4)], rtol=1e-3, atol=1e-3)


def test_branches_begin_at_the_critical_point():
    for T in (4, 5):
        (branch,) = (branch for branch in branches(T) if branch.lag == 1)
        for kappa in (0.0, 1.0, LARGEST_NOISE):
            start = np.exp(branch.log_mu[0]) * (branch.kernel[0, -1] + kappa) ** 2
            assert start == pytest.approx(float(critical_point(T, int(kappa)).signal), rel=1e-9)


def test_branches_reach_the_end_of_the_slider():
    for T in (4, 5):
        (branch,) = (branch for branch in branches(T) if branch.lag == 1)
        assert np.exp(branch.log_mu[-1]) * branch.kernel[-1, -1] ** 2 > SLIDER_SIGNAL


def test_a_backward_branch_is_stable_beyond_its_fold_only():
    """At T = 5 the transition is discontinuous for κ > 81/16; the threshold at a point gives the noise of its fold."""
    (branch,) = (branch for branch in branches(5) if branch.lag == 1)
    kappa = 6.0
    signal = np.exp(branch.log_mu) * (branch.kernel[:, -1] + kappa) ** 2
    stable = np.exp(branch.log_mu) / (branch.kernel[:, -1] + kappa) > branch.threshold
    fold = int(signal.argmin())
    assert fold > 0
    assert not stable[: fold - 1].any()
    assert stable[fold + 1 :].all()

"""Networks of many times: the lowest state, its curvature, and how far the search is."""

import numpy as np
import pytest

from numerics import solve
from numerics.inputs.problem import Problem, endpoint
from numerics.linear import search, starts, trust_region
from numerics.linear.descent import descend
from numerics.linear.functional import kernel_functional


def turning(functional, angle):
    """Where a descent ends from a direction that carries the label and turns by an angle at each step, and F there."""
    prior = functional.prior_kernel()
    subset = tuple(starts.messages(functional, functional.targets))
    return descend(functional, [starts.one_direction(functional, prior, subset, angle)])[0]


@pytest.mark.parametrize("arch", ["dnn", "shared:0.5"])
def test_seventy_times_without_coherence(arch):
    """λ_c grows exponentially with T unless weights are the same: the state is the incoherent one."""
    state = solve(endpoint(70, 3.0, arch=arch))
    assert state.converged
    assert state.stable
    r, n = state.kernel[0, 0], 69
    np.testing.assert_allclose((r - 1) * (r**n + 1) ** 2 / r**n, 3.0, rtol=1e-9)
    np.testing.assert_allclose(state.kernel, np.diag(r ** np.arange(1, n + 1)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(state.free_energy, 0.5 * (r - 1) * (r**n + 1) / r**n + 0.5 * n * (r - 1 - np.log(r)))


def test_a_hundred_times_that_share_weights():
    """One real outlier of W is the lowest way to the label; minima whose direction turns at each step lie above."""
    problem = endpoint(100, 3.0)
    state = solve(problem)
    assert state.converged
    assert state.stable
    assert (state.kernel > 0).all()
    regression = np.linalg.solve(state.kernel[:-1, :-1], state.kernel[:-1, 1:])
    outliers = [z for z in np.linalg.eigvals(regression) if abs(z) > 1.0]
    assert len(outliers) == 1
    functional = kernel_functional(problem)
    others = [turning(functional, angle)[1] for angle in (2 * np.pi / 99, np.pi / 2)]
    assert all(state.free_energy < F - 1e-3 for F in others)


@pytest.mark.parametrize("arch", ["rnn", "looped:3", "drift:0.9"])
def test_the_way_of_large_kernels_leads_to_the_same_state(arch, monkeypatch):
    rng = np.random.default_rng(5)
    y = np.full((1, 16), np.nan)
    y[:, [9, 15]] = rng.normal(size=2) * 2.0
    problem = Problem(rng.normal(size=(1, 5)), y, arch=arch, kappa=0.5)
    whole = search.lowest_state(problem)
    monkeypatch.setattr(search, "LARGEST_SEARCHED", 10)
    large = search.lowest_state(problem)
    assert large.converged
    np.testing.assert_allclose(large.free_energy, whole.free_energy, rtol=1e-9)


@pytest.mark.parametrize("arch", ["rnn", "looped:2"])
def test_the_smallest_curvature_is_found_below_a_band_of_small_ones(arch):
    """At T = 50 the RNN's is 9.8e-5, and five others lie between 5.1e-4 and 6.2e-4."""
    functional = kernel_functional(endpoint(50, 3.0, arch=arch))
    point = trust_region.minimise(functional.at(turning(functional, 0.0)[0])).point
    exact = np.linalg.eigvalsh(trust_region.dense_hessian(point))[0]
    np.testing.assert_allclose(trust_region.smallest_modes(point)[0][0], exact, rtol=0.02)


def test_a_search_tells_how_far_it_is():
    told = []
    solve(endpoint(64, 3.0), progress=lambda what, done, total: told.append((what, done, total)))
    names = list(dict.fromkeys(what for what, _, _ in told))
    assert names[0] == "solving: from the random network"
    assert len(names) >= 3
    assert any(total > 0 and 0 < done < total for _, done, total in told)
    assert all(0 <= done <= total for _, done, total in told if total)

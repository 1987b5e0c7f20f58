"""States of weak labels: as labels vanish, the random network's kernel, on any sample; else what they change of it."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear.forward import prior_kernel
from numerics.nonlinear.search import lowest_state


def softplus(h):
    return np.logaddexp(0, h) - np.log(2)


@pytest.mark.parametrize(
    ("activation", "arch", "P"), [("tanh", "rnn", 2), ("erf", "dnn", 3), ("relu", "rnn", 2), (softplus, "dnn", 2)]
)
def test_as_labels_vanish_the_kernel_is_the_random_networks(activation, arch, P):
    rng = np.random.default_rng(P)
    y = np.full((P, 2), np.nan)
    y[:, -1] = 1e-6 * rng.choice([-1.0, 1.0], P)
    problem = Problem(rng.standard_normal((P, P + 2)), y, activation=activation, arch=arch)
    state = lowest_state(problem, engine="sampling", size=64, tolerance=1e-8)
    assert state.converged, state.status
    assert state.stable
    prior = prior_kernel(problem)
    assert np.abs(state.kernel - prior).max() < 1e-9 * prior.max()
    assert abs(state.free_energy) < 1e-10


@pytest.mark.parametrize(("signal", "tolerance"), [(0.2, 1e-3), (1e-4, 2e-7)])  # the second to first order
def test_the_change_by_weak_labels_is_that_of_quadrature(signal, tolerance):
    problem = endpoint(4, signal, activation="erf")
    exact = lowest_state(problem, engine="quadrature", tolerance=1e-8)
    state = lowest_state(problem, engine="sampling", tolerance=tolerance)
    prior = prior_kernel(problem)
    change = exact.kernel - prior
    assert state.converged, state.status
    assert np.abs(state.kernel - exact.kernel).max() < 4 * state.kernel_error.max() < 0.2 * np.abs(change).max()
    assert state.free_energy == pytest.approx(exact.free_energy, abs=5 * state.free_energy_error)
    assert np.diagonal(state.second_moment) == pytest.approx(np.diagonal(exact.second_moment), abs=0.02)

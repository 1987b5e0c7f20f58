"""The descent over normal laws: exact for linear networks, and stationary where it ends for others."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import solve
from numerics.inputs.activation import NAMED
from numerics.inputs.problem import Problem
from numerics.nonlinear.by_sampling import Sampling
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.gaussian_descent import GaussianDescent
from numerics.nonlinear.space import trajectory_space


def layers(activation: str, arch: str) -> Problem:
    rng = np.random.default_rng(3)
    y = np.full((3, 3), np.nan)
    y[:, -1] = [1.0, -1.5, 0.5]
    return Problem(rng.standard_normal((3, 5)), y, activation=activation, arch=arch)


def ended(problem: Problem):
    space, phi = trajectory_space(problem), NAMED[problem.activation.name]
    descent = GaussianDescent(space, phi)
    start = descent.normal(space, space.covariance(forward_kernel(space, phi)))
    assert start is not None
    law, done = descent.down(space, start, 400)
    assert done
    assert law.free_energy < start.free_energy
    return space, descent, law


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_the_law_of_linear_networks_is_theirs(arch):
    problem = layers("linear", arch)
    exact, (_, _, law) = solve(problem), ended(problem)
    assert law.free_energy == pytest.approx(exact.free_energy, abs=1e-4)
    np.testing.assert_allclose(law.kernel, exact.kernel, rtol=0, atol=5e-3 * exact.kernel.max())


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_the_law_is_a_minimum_above_the_free_energy(arch):
    space, descent, law = ended(layers("erf", arch))
    engine = Sampling(NAMED["erf"], 1024, 0)
    state = engine.converge(space, engine.random_network(space, forward_kernel(space, NAMED["erf"])))
    assert state is not None
    assert state.reached
    assert state.point.free_energy < law.free_energy < state.point.free_energy + 0.05
    rng = np.random.default_rng(1)
    for _ in range(5):
        change = 0.01 * rng.standard_normal(law.covariance.shape)
        moved = descent.normal(space, law.covariance + law.covariance @ (change + change.T) @ law.covariance)
        assert moved is not None
        assert moved.free_energy > law.free_energy - 1e-6


def test_a_singular_covariance_has_no_law():
    space = trajectory_space(layers("erf", "rnn"))
    assert GaussianDescent(space, NAMED["erf"]).normal(space, np.zeros((space.d, space.d))) is None

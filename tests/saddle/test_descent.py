"""Relative factors Q: F and its derivative there, and where the descent ends."""

import numpy as np
import pytest

from numerics.problem import Problem, endpoint, sequence
from numerics.saddle import descent
from numerics.saddle.functional import kernel_functional

RNG = np.random.default_rng(0)
PROBLEMS = [
    endpoint(5, 40.0, kappa=3.0, w=0.7, v=1.4),
    sequence(5, 1.0, 2.0, [2, 4], arch="dnn", kappa=0.5),
    Problem(RNG.normal(size=(3, 4, 2)), RNG.normal(size=(3, 4)), w=0.8),
    Problem(RNG.normal(size=(3, 4, 2)), RNG.normal(size=(3, 4)), w=0.8, arch="dnn"),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=["endpoint", "sequence", "inputs-rnn", "inputs-dnn"])
def test_value_and_derivative(problem):
    functional = kernel_functional(problem)
    coordinates = descent._RelativeFactor.of(functional)
    z = 0.3 * np.random.default_rng(1).normal(size=coordinates.rows.size)
    value, gradient = coordinates.value_and_gradient(z)
    assert value == pytest.approx(functional.at(coordinates.kernel(z)).free_energy, rel=1e-10)
    np.testing.assert_allclose(coordinates.vector(coordinates.kernel(z)), z, atol=1e-8)
    h = 1e-6
    numeric = [
        (coordinates.value_and_gradient(z + h * e)[0] - coordinates.value_and_gradient(z - h * e)[0]) / (2 * h)
        for e in np.eye(z.size)
    ]
    np.testing.assert_allclose(gradient, numeric, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("problem", PROBLEMS, ids=["endpoint", "sequence", "inputs-rnn", "inputs-dnn"])
def test_descent_ends_near_a_stationary_kernel(problem):
    functional = kernel_functional(problem)
    start = functional.at(functional.prior_kernel())
    end = functional.at(descent.descend(functional, start.H))
    assert end.free_energy < start.free_energy
    assert end.residual < 1e-5


def test_bounded_steps():
    functional = kernel_functional(PROBLEMS[0])
    prior = functional.prior_kernel()
    once = functional.at(descent.descend(functional, prior, iterations=1))
    assert once.free_energy < functional.at(prior).free_energy
    assert once.residual > 1e-5

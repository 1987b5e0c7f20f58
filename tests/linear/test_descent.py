"""Relative factors Q: F and its derivative there, and where the descent ends."""

import numpy as np
import pytest

from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.linear import descent
from numerics.linear.functional import kernel_functional
from numerics.linear.relative_factors import RelativeFactors

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
    coordinates = RelativeFactors.of(functional)
    z = 0.3 * np.random.default_rng(1).normal(size=(2, coordinates.rows.size))
    values, gradients = coordinates.values_and_gradients(z)
    h = 1e-6 * np.eye(z.shape[1])
    for one, value, gradient, kernel in zip(z, values, gradients, coordinates.kernels(z), strict=True):
        assert value == pytest.approx(functional.at(kernel).free_energy, rel=1e-10)
        np.testing.assert_allclose(coordinates.vector(kernel), one, atol=1e-8)
        up, down = coordinates.values_and_gradients(one + h)[0], coordinates.values_and_gradients(one - h)[0]
        np.testing.assert_allclose(gradient, (up - down) / 2e-6, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("problem", PROBLEMS, ids=["endpoint", "sequence", "inputs-rnn", "inputs-dnn"])
def test_descent_ends_near_a_stationary_kernel(problem):
    functional = kernel_functional(problem)
    start = functional.at(functional.prior_kernel())
    kernel, free_energy = descent.descend(functional, [start.H])[0]
    end = functional.at(kernel)
    assert end.free_energy == pytest.approx(free_energy, rel=1e-10)
    assert end.free_energy < start.free_energy
    assert end.residual < 1e-5


def test_bounded_steps():
    functional = kernel_functional(PROBLEMS[0])
    prior = functional.prior_kernel()
    once = functional.at(descent.descend(functional, [prior], iterations=1)[0][0])
    assert once.free_energy < functional.at(prior).free_energy
    assert once.residual > 1e-5


@pytest.mark.parametrize(
    "problem", [PROBLEMS[0], PROBLEMS[3], sequence(9, 1.0, 2.0, [4, 8])], ids=["m4", "inputs", "m16"]
)
def test_several_descents_end_where_each_does(problem):
    """The last has too many coordinates for whole inverse Hessians."""
    functional = kernel_functional(problem)
    prior = functional.prior_kernel()
    coordinates = RelativeFactors.of(functional)
    z = 0.2 * np.random.default_rng(2).normal(size=(2, coordinates.rows.size))
    kernels = [prior, *coordinates.kernels(z)]
    ends = descent.descend(functional, kernels)
    for start, (end, _) in zip(kernels, ends, strict=True):
        alone = functional.at(descent.descend(functional, [start])[0][0])
        assert functional.at(end).residual < 1e-5
        assert functional.at(end).free_energy == pytest.approx(alone.free_energy, rel=1e-9)


def test_a_start_that_is_no_kernel_is_its_own_end():
    functional = kernel_functional(PROBLEMS[0])
    prior = functional.prior_kernel()
    ends = descent.descend(functional, [-prior, prior])
    np.testing.assert_array_equal(ends[0][0], -prior)
    assert ends[0][1] == np.inf
    assert functional.at(ends[1][0]).residual < 1e-5

"""Factors of kernels carried forwards in time, and derivatives carried back."""

import numpy as np
import pytest

from numerics.inputs.problem import Problem, endpoint
from numerics.linear.carrying import Carried
from numerics.linear.functional import kernel_functional


def several(arch):
    rng, y = np.random.default_rng(1), np.full((2, 3), np.nan)
    y[:, -1] = [1.0, -2.0]
    return Problem(rng.normal(size=(2, 3, 2)), y, arch=arch, w=1.3, u=0.7, skip=0.2)


PROBLEMS = [endpoint(5, 3.0), endpoint(5, 3.0, arch="shared:0.4"), several("rnn"), several("dnn"), several("drift:0.6")]


def prepared(problem):
    functional = kernel_functional(problem)
    m, rng = functional.dimension, np.random.default_rng(0)
    Q = np.tril(0.4 * rng.normal(size=(3, m, m)), -1) + np.eye(m) * rng.uniform(0.5, 1.5, size=(3, m, 1))
    return functional, Q, rng


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_a_kernels_factor_is_its_covariances_times_q(problem):
    functional, Q, _ = prepared(problem)
    carried = Carried.of(functional, Q)
    for k in range(len(Q)):
        H = carried.L[k] @ carried.L[k].T
        np.testing.assert_allclose(carried.K[k] @ carried.K[k].T, functional.covariance(H), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(carried.inverse[k] @ carried.K[k], np.eye(len(H)), atol=1e-10)
        np.testing.assert_allclose(carried.L[k], carried.K[k] @ Q[k], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_derivatives_are_those_of_differences(problem):
    functional, Q, rng = prepared(problem)
    change, weight = np.tril(rng.normal(size=Q.shape)), np.tril(rng.normal(size=Q.shape))
    found = np.sum(Carried.of(functional, Q).back(weight) * change, axis=(1, 2))
    ahead, behind = (Carried.of(functional, Q + step * change).L for step in (1e-6, -1e-6))
    np.testing.assert_allclose(found, np.sum(weight * (ahead - behind), axis=(1, 2)) / 2e-6, rtol=1e-6)

"""Nonlinear networks at the size of real data: digits of two classes, their error and time, without start-up."""

import time

import numpy as np
import pytest
from sklearn.datasets import load_digits

from numerics.inputs.problem import Problem
from numerics.nonlinear.forward import prior_kernel
from numerics.nonlinear.search import lowest_state

pytestmark = pytest.mark.benchmark


def digits(P, T, size, **options):
    """Zeros and ones, of squared length D; labels ± size at the end."""
    x, target = load_digits(return_X_y=True)
    rows = np.flatnonzero(target <= 1)[:P]
    x = x[rows] / np.linalg.norm(x[rows], axis=1, keepdims=True) * np.sqrt(x.shape[1])
    y = np.full((P, T - 1), np.nan)
    y[:, -1] = np.where(target[rows] == 0, size, -size)
    return Problem(x, y, **options)


def solved(problem, tolerance, capsys):
    begin, used = time.perf_counter(), time.process_time()
    state = lowest_state(problem, tolerance=tolerance)
    seconds, used = time.perf_counter() - begin, time.process_time() - used
    error = state.kernel_error.max() / np.abs(state.kernel).max()
    with capsys.disabled():
        print(
            f"\nP = {problem.P}, T = {problem.T}: error {error:.1e} in {seconds:.1f} s ({used:.1f} of CPU), "
            f"{state.status}"
        )
    assert state.converged
    return state


def test_layers_of_fifty_digits(capsys):
    problem = digits(50, 3, 0.5, arch="dnn", activation="tanh", kappa=1 / 50)
    assert solved(problem, 5e-3, capsys).stable


def test_labels_that_vanish_leave_the_random_network(capsys):
    problem = digits(12, 4, 1e-6, arch="dnn", activation="relu")
    state = solved(problem, 1e-8, capsys)
    prior = prior_kernel(problem)
    assert np.abs(state.kernel - prior).max() <= 1e-8 * prior.max()

"""Nonlinear networks at the size of real data: digits of two classes, their error and time, without start-up."""

import time

import numpy as np
import pytest
from sklearn.datasets import load_digits

from numerics.inputs.problem import Problem, endpoint
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
    error = state.largest_error / np.abs(state.kernel).max()
    with capsys.disabled():
        print(
            f"\nP = {problem.P}, T = {problem.T}: error {error:.1e} in {seconds:.1f} s ({used:.1f} of CPU), "
            f"{state.status}"
        )
    assert state.converged
    return state


@pytest.mark.parametrize(("P", "T", "activation"), [(50, 3, "tanh"), (100, 5, "erf")], ids=["fifty", "hundred"])
def test_layers_of_digits(P, T, activation, capsys):
    problem = digits(P, T, 0.5, arch="dnn", activation=activation, kappa=1 / P)
    assert solved(problem, 5e-3, capsys).stable


def leaky_waves(T):
    """Two waves at every time, leak 0.2; a label at every fifth time."""
    t, frequency = np.arange(T - 1), np.array([1 / 20, 1 / 10])
    phase = 2 * np.pi * frequency[:, None] * t
    x = np.sqrt(2) * np.stack([np.cos(phase), np.sin(phase)], axis=2)
    y = np.full((2, T - 1), np.nan)
    y[:, 4::5] = np.sin(phase + 2 * np.pi * frequency[:, None])[:, 4::5]
    return Problem(x, y, activation="tanh", skip=0.8, w=0.04, u=0.04)


@pytest.mark.parametrize(
    ("problem", "tolerance"),
    [
        (leaky_waves(30), 1e-2),
        (endpoint(8, 100.0, activation="erf"), 1e-2),
        (endpoint(8, 100.0, activation="tanh"), 1e-2),
        (digits(20, 4, 2.0, activation="erf"), 5e-3),
        (digits(50, 4, 1.0, activation="tanh"), 1e-2),
    ],
    ids=["leaky-30", "eight-erf", "eight-tanh", "digits-20", "digits-50"],
)
def test_recurrent_networks(problem, tolerance, capsys):
    assert solved(problem, tolerance, capsys).stable


def test_labels_that_vanish_leave_the_random_network(capsys):
    problem = digits(12, 4, 1e-6, arch="dnn", activation="relu")
    state = solved(problem, 1e-8, capsys)
    prior = prior_kernel(problem)
    assert np.abs(state.kernel - prior).max() <= 1e-8 * prior.max()

"""Equal and nearly equal patterns, and what depends linearly: exactly treated, or refused by name."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from numerics import solve
from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.predictors import generalisation
from numerics.results.readout import mean_outputs

nan = np.nan


def pair(apart, y, **options):
    labels = np.full((2, 3), nan)
    labels[:, -1] = y
    return Problem(np.array([[1, 0.5], [1, 0.5 + apart]]), labels, **options)


@pytest.mark.parametrize("apart", [1e-2, 1e-6, 1e-9, 1e-11, 0.0])
def test_close_patterns_have_the_limits_state(apart):
    solution = solve(pair(apart, 3.0, arch="dnn"))
    assert solution.converged
    assert solution.stable
    # the limit is approached linearly, through the cut at 1e-10 as well
    np.testing.assert_allclose(solution.free_energy, 1.2461153127134, rtol=1e-12 + 0.3 * apart)
    np.testing.assert_allclose(mean_outputs(solution)[:, -1], 2.78697, atol=5e-6 + apart)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_equal_patterns_with_other_labels_share_their_mean(arch):
    solution = solve(pair(0.0, [3.0, -1.0], kappa=0.1, arch=arch))
    assert solution.converged
    np.testing.assert_allclose(mean_outputs(solution)[:, -1], 0.975668, atol=1e-6)
    assert solution.kernel[0, 0] == solution.kernel[0, 1] == solution.kernel[1, 1]


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_equal_patterns_without_noise(arch):
    solution = solve(pair(0.0, 3.0, kappa=0.0, arch=arch))
    assert solution.converged
    np.testing.assert_allclose(mean_outputs(solution)[:, -1], 3.0, rtol=1e-12)
    weak = solve(pair(0.0, 3.0, kappa=1e-9, arch=arch))
    np.testing.assert_allclose(weak.free_energy, solution.free_energy, rtol=1e-8)


def test_labels_that_disagree_without_noise_are_refused_by_row():
    with pytest.raises(InputError, match="rows 0 and 1 have equal inputs, but labels 3 and -1 at t = 3"):
        solve(pair(0.0, [3.0, -1.0], kappa=0.0))
    y = np.full((4, 2), nan)
    y[:, -1] = [1.0, 2.0, 7.0, 5.0]
    x = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    with pytest.raises(InputError, match="rows 0, 1, 3 have linearly dependent inputs"):
        solve(Problem(x, y, kappa=0.0))
    y[3, -1] = 3.0
    assert solve(Problem(x, y, kappa=0.0)).converged


def test_a_dead_pattern_is_named():
    y = np.ones((3, 2))
    with pytest.raises(InputError, match="row 1, up to its label at t = 1"):
        solve(Problem([[[1.0], [0.0]], [[0.0], [1.0]], [[2.0], [0.0]]], y))


def random_problem(rng, arch, times):
    y = rng.normal(size=(3, 4))
    y[rng.random(y.shape) < 0.4] = nan
    y[:, -1] = rng.normal(size=3)
    return Problem(rng.normal(size=(3, times, 2)), y, arch=arch, w=0.8, kappa=0.4)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("times", [1, 4])
def test_patterns_given_n_times_are_patterns_with_an_nth_of_the_noise(arch, times):
    problem = random_problem(np.random.default_rng(times), arch, times)
    order = np.random.default_rng(0).permutation(np.tile(np.arange(3), 3))
    copies = problem.with_(x=problem.x[order], y=problem.y[order], kappa=3 * problem.kappa)
    once, thrice = solve(problem), solve(copies)
    assert thrice.converged
    np.testing.assert_allclose(thrice.free_energy, once.free_energy, rtol=1e-10)
    outputs = mean_outputs(once)[order]
    np.testing.assert_allclose(mean_outputs(thrice), outputs, atol=1e-7)
    np.testing.assert_allclose(generalisation.training(thrice).mean, outputs, atol=1e-7)
    expected = generalisation.training(once).scaled_variance[order]
    np.testing.assert_allclose(generalisation.training(thrice).scaled_variance, expected, atol=1e-6)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("times", [1, 4])
def test_held_out_rows_that_are_training_rows(arch, times):
    problem = random_problem(np.random.default_rng(times + 7), arch, times)
    x = np.concatenate([problem.x, problem.x[:1]])
    y = np.concatenate([problem.y, problem.y[:1]])
    solution = solve(Problem(x, y, arch=arch, w=0.8, kappa=0.4, x_test=problem.x))
    held_out = generalisation.held_out(solution)
    np.testing.assert_allclose(held_out.mean, mean_outputs(solution)[:3], atol=1e-9)


def test_two_rows_of_iris_are_equal():
    data, _ = load_iris(return_X_y=True)
    rows = [0, 50, 101, 142]
    assert np.array_equal(data[101], data[142])
    y = np.full((4, 3), nan)
    y[:, -1] = [-1, 0, 1, 1]
    solution = solve(Problem(data[rows] - data.mean(axis=0), y, kappa=0.1))
    assert solution.converged
    outputs = mean_outputs(solution)
    assert np.array_equal(outputs[2], outputs[3])
    np.testing.assert_allclose(outputs[:, -1], [-1, 0, 1, 1], atol=0.2)

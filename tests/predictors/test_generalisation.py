"""Predictions of held-out patterns and variances, against the joint problem and against sampled kernels."""

import numpy as np
import pytest

from numerics import solve
from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.predictors import generalisation
from numerics.predictors.generalisation import held_out, held_out_kernel, training


def problem_with_tests(arch, times=1):
    rng = np.random.default_rng(4)
    x, x_test = rng.normal(size=(3, times, 6)), rng.normal(size=(2, times, 6))
    y = np.full((3, 3), np.nan)
    y[:, -1] = [2.0, -3.0, 1.0]
    y[1, 1] = 1.0
    return Problem(x, y, arch=arch, x_test=x_test, kappa=0.4, u=1.2, w=1.3, v=0.9)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("times", [1, 2])
def test_unseen_patterns_are_unsupervised_patterns_of_the_joint_problem(arch, times):
    problem = problem_with_tests(arch, times)
    joint = Problem(
        np.concatenate([problem.x, problem.x_test]),
        np.concatenate([problem.y, np.full((2, 3), np.nan)]),
        arch=arch,
        kappa=0.4,
        u=1.2,
        w=1.3,
        v=0.9,
    )
    alone, together = solve(problem), solve(joint)
    np.testing.assert_allclose(alone.free_energy, together.free_energy, rtol=1e-11)
    blocks = together.kernel.reshape(3, 5, 3, 5)
    cross, own = held_out_kernel(alone)
    np.testing.assert_allclose(cross.reshape(3, 2, 3, 3), blocks[:, 3:, :, :3], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(own, np.einsum("tata->at", blocks)[3:], rtol=1e-8)
    np.testing.assert_allclose(held_out(alone).mean, training(together).mean[3:], rtol=1e-8, atol=1e-8)


def test_a_repeated_training_pattern_gets_the_training_prediction():
    problem = problem_with_tests("rnn").with_(x_test=problem_with_tests("rnn").x[:1], y_test=None)
    solution = solve(problem)
    np.testing.assert_allclose(held_out(solution).mean[0], training(solution).mean[0], rtol=1e-10, atol=1e-10)


def test_variance_is_that_of_sampled_kernels_and_readouts():
    """One hidden time: the density of H is a closed form, sampled here by quadrature at large N."""
    N, y, kappa = 4000, 2.0, 0.5
    problem = Problem([[1.0]], [[y]], kappa=kappa)
    solution = solve(problem)
    H = np.linspace(0.5, 1.5, 200001) * solution.kernel[0, 0]
    log_density = -N * (0.5 * y**2 / (H + kappa) + 0.5 * H - 0.5 * np.log(H))
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    mean = weight @ (H * y / (H + kappa))
    expected = weight @ ((H * y / (H + kappa) - mean) ** 2) + weight @ (H * kappa / (H + kappa)) / N
    np.testing.assert_allclose(training(solution).scaled_variance[0, 0] / N, expected, rtol=2e-3)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_variances_without_the_whole_hessian(arch, monkeypatch):
    solution = solve(problem_with_tests(arch, 2))
    whole = training(solution).scaled_variance
    monkeypatch.setattr(generalisation, "DENSE", 1)
    np.testing.assert_allclose(training(solution).scaled_variance, whole, rtol=1e-9)


def loss(predictions, labels):
    return np.nanmean((predictions.mean - labels) ** 2)


def test_labels_are_fitted_in_part_and_held_out_patterns_are_needed():
    solution = solve(problem_with_tests("rnn"))
    fit = loss(training(solution), solution.problem.y)
    assert 0 < fit < np.nanmean(solution.problem.y**2)
    with pytest.raises(InputError, match="x_test"):
        held_out(solve(endpoint(4, 1.0)))


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_two_classes_of_handwritten_digits(arch):
    """P = 100 images of 0 and 1, endpoint supervision at T = 4: held-out images are told apart."""
    datasets = pytest.importorskip("sklearn.datasets")
    images, digit = datasets.load_digits(n_class=2, return_X_y=True)
    x = images - images.mean(axis=0)
    x *= np.sqrt(x.shape[1]) / np.linalg.norm(x, axis=1, keepdims=True)
    labels = np.where(digit == 1, 1.0, -1.0)

    def endpoint_labels(values):
        y = np.full((len(values), 3), np.nan)
        y[:, -1] = values
        return y

    problem = Problem(
        x[:100],
        endpoint_labels(labels[:100]),
        arch=arch,
        kappa=0.1,
        x_test=x[100:300],
        y_test=endpoint_labels(labels[100:300]),
    )
    solution = solve(problem)
    assert solution.converged, solution.status
    assert solution.stable
    rank = np.linalg.matrix_rank(x[:100])
    assert solution.reduced.shape == (3 * rank, 3 * rank)
    fitted, test = training(solution), held_out(solution)
    assert loss(fitted, problem.y) < 0.02
    # the read-out's variance is a part of the whole, and the labels leave little of it where they act
    assert (fitted.scaled_variance > 0).all()
    assert fitted.scaled_variance[:, -1].max() < 0.2 < fitted.scaled_variance[:, 0].min()
    assert (test.scaled_variance > 0).all()
    assert np.mean(np.sign(test.mean[:, -1]) == labels[100:300]) > 0.97
    assert loss(test, problem.y_test) < 0.2

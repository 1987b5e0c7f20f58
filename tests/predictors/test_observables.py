"""Predictions and W's outliers from a solved kernel, against definitions that share no code with them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from numerics import solve
from numerics.checking.laws import law_of
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.predictors.observables import _beyond, autocorrelation, cka, outliers, temporal_coherence
from numerics.results.readout import mean_outputs
from numerics.sampling import simulate
from tests.width_trend import width_trend


def drawn_eigenvalues(state, N: int, rng: np.random.Generator) -> np.ndarray:
    """Eigenvalues of a W drawn from its Gaussian law given hidden states with the solved kernel, input at t = 0."""
    problem = state.problem
    P, n = problem.P, problem.n
    trajectories = rng.standard_normal((N, n * P))
    # whiten exactly, so that the empirical kernel is the solved one
    trajectories = np.linalg.qr(trajectories)[0] * np.sqrt(N)
    h = trajectories @ np.linalg.cholesky(state.kernel).T
    before, after = h[:, : (n - 1) * P], h[:, P:]
    pseudo = np.linalg.pinv(before)
    noise = np.sqrt(problem.w / N) * rng.standard_normal((N, N))
    return np.linalg.eigvals(after @ pseudo + noise - (noise @ before) @ pseudo)


@pytest.mark.parametrize(
    "problem",
    [endpoint(4, 300.0), endpoint(5, 40.0, w=1.5), sequence(7, 1.2566, 3.0, (1, 6))],
    ids=["T=4", "T=5, w=1.5", "two patterns"],
)
def test_outliers_are_those_of_drawn_weights(problem):
    state = solve(problem)
    predicted = outliers(state)[0]
    assert len(predicted) > 0
    assert (np.abs(predicted) > np.sqrt(problem.w)).all()
    eigenvalues = drawn_eigenvalues(state, 900, np.random.default_rng(3))
    outside = eigenvalues[np.abs(eigenvalues) > 1.12 * np.sqrt(problem.w)]
    clear = predicted[np.abs(predicted) > 1.2 * np.sqrt(problem.w)]
    assert len(clear) > 0
    for z in clear:
        assert np.abs(outside - z).min() < 0.12
    for z in outside:
        assert np.abs(predicted - z).min() < 0.12


def identity(h):
    return h


@pytest.mark.parametrize("signal", [40.0, 300.0])
def test_outliers_of_a_function_that_is_linear_are_those_of_the_linear_network(signal):
    expected = outliers(solve(endpoint(4, signal)))[0]
    assert len(expected) == 1
    np.testing.assert_allclose(outliers(solve(endpoint(4, signal, activation=identity)))[0], expected, rtol=1e-6)


def test_outliers_where_two_patterns_have_one_trajectory():
    """A pattern given twice, with twice the noise: three rows of h stand for six."""
    x = np.zeros((2, 2, 1))
    x[:, 0, 0] = 1.0
    y = np.full((2, 3), np.nan)
    y[:, -1] = np.sqrt(50.0)
    twice = Problem(x, y, activation="erf")
    once = Problem(x[:1], y[:1], activation="erf", kappa=0.5)
    expected = outliers(solve(once))[0]
    assert len(expected) == 1
    np.testing.assert_allclose(np.abs(outliers(solve(twice))[0]), np.abs(expected), rtol=1e-4)


@pytest.mark.slow
def test_outlier_of_sampled_erf_networks():
    """The mean over chains at three widths, at N → ∞ by its trend in 1/N; a linear network's moments are far off."""
    state = solve(endpoint(4, 100.0, activation="erf"))
    (predicted,) = outliers(state)[0]
    widths, means, errors = (64, 128, 256), [], []
    for width in widths:
        runs = simulate(state.problem, width, steps=200, warmup=60, chains=4, seed=3, workers=1, law=law_of(state))
        leading = np.array([np.abs(drawn.values[0]) for drawn in runs.spectra])
        means.append(leading.mean())
        errors.append(leading.std(ddof=1) / np.sqrt(len(leading)))
    trend = width_trend(widths, means, errors)
    assert trend.limit_standard_error < 0.1
    assert abs(trend.limit - predicted.real) < 4 * trend.limit_standard_error
    second = np.concatenate([np.zeros((1, 3)), state.second_moment[:-1]])
    wrong = np.linalg.eigvals(np.linalg.solve(state.covariance, second)).real.max()
    assert abs(trend.limit - wrong) > 10 * trend.limit_standard_error


def test_weak_signal_and_dnn_have_no_outlier():
    assert len(outliers(solve(endpoint(4, 4.0)))[0]) == 0
    assert len(outliers(solve(endpoint(4, 300.0, arch="dnn")))[0]) == 0


def test_rotation_teacher_is_recovered_at_strong_signal():
    angle = 1.2566
    leading = outliers(solve(sequence(7, angle, 3.0, (1, 2, 3, 4, 5, 6))))[0][:2]
    np.testing.assert_allclose(np.abs(np.angle(leading)), angle, atol=0.02)
    np.testing.assert_allclose(np.abs(leading), 1.0, atol=0.01)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_prediction_is_the_posterior_mean_given_the_kernel(arch):
    problem = sequence(5, 0.7, 2.0, (1, 4), arch=arch, kappa=0.3)
    state = solve(problem)
    # draw outputs and noisy labels from the joint Gaussian and regress
    n, P, supervised = problem.n, problem.P, problem.supervised
    joint = state.kernel.copy()
    cross, within = joint[:, supervised], joint[np.ix_(supervised, supervised)] + 0.3 * np.eye(len(supervised))
    expected = (cross @ np.linalg.inv(within) @ problem.labels).reshape(n, P).T
    np.testing.assert_allclose(mean_outputs(state), expected, atol=1e-12)


def test_dnn_falls_back_to_the_prior_mean_at_unsupervised_times():
    task = (7, 1.2566, 3.0, (1, 3, 6))
    unsupervised = [1, 3, 4]
    assert np.abs(mean_outputs(solve(sequence(*task, arch="dnn")))[:, unsupervised]).max() < 1e-8
    assert np.abs(mean_outputs(solve(sequence(*task)))[:, unsupervised]).max() > 0.3


def test_coherence_and_alignment():
    coherent, incoherent = solve(endpoint(4, 40.0)), solve(endpoint(4, 40.0, arch="dnn"))
    H = coherent.kernel
    assert temporal_coherence(coherent)[1, 2] == pytest.approx(H[1, 2] / np.sqrt(H[1, 1] * H[2, 2]))
    np.testing.assert_allclose(np.diag(temporal_coherence(coherent)), 1.0)
    np.testing.assert_allclose(autocorrelation(incoherent), [1, 0, 0], atol=1e-12)
    assert cka(H, 3 * H) == pytest.approx(1.0)
    assert cka(H, incoherent.kernel) < 0.99


def test_coherence_of_several_patterns_is_the_mean_over_each_with_itself():
    n, P = 4, 3
    A = np.random.default_rng(5).standard_normal((n * P, n * P)) * np.arange(1, n * P + 1)
    kernel = A @ A.T
    state = SimpleNamespace(problem=SimpleNamespace(n=n, P=P), kernel=kernel)
    found = temporal_coherence(state)
    lags = {lag: [] for lag in range(n)}
    for t in range(n):
        for s in range(t + 1):
            pairs = [(t * P + p, s * P + p) for p in range(P)]
            expected = sum(kernel[a, b] / np.sqrt(kernel[a, a] * kernel[b, b]) for a, b in pairs) / P
            assert found[t, s] == pytest.approx(expected)
            assert found[s, t] == pytest.approx(expected)
            lags[t - s].append(expected)
    np.testing.assert_allclose(autocorrelation(state), [sum(each) / len(each) for each in lags.values()])


def test_outliers_are_beyond_the_radius_and_ordered_by_modulus_then_imaginary_part():
    matrix = np.zeros((6, 6))
    matrix[:2, :2] = [[1.2, -1.6], [1.6, 1.2]]  # 2 e^{±iθ}
    matrix[range(2, 6), range(2, 6)] = [1.4, -3.0, 2.5, -1.5]
    np.testing.assert_allclose(_beyond(matrix, 1.45), [-3, 2.5, 1.2 + 1.6j, 1.2 - 1.6j, -1.5])
    assert len(_beyond(matrix, 3.1)) == 0


def test_alignment_by_hand():
    A, B = np.array([[2.0, 1.0], [1.0, 0.0]]), np.array([[1.0, -3.0], [-3.0, 2.0]])
    assert cka(A, B) == pytest.approx(-4 / np.sqrt(6 * 23))
    assert cka(1e200 * A, -1e-200 * B) == pytest.approx(4 / np.sqrt(6 * 23))
    assert cka([[2, 1], [1, 0]], A) == pytest.approx(1, abs=1e-15)

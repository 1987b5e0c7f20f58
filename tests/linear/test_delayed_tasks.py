"""Tasks whose patterns part only later: delayed exclusive or, flip-flop, delayed match to sample."""

import itertools

import numpy as np
import pytest

from numerics import solve
from numerics.inputs.problem import Problem
from numerics.linalg import symmetric, to_vector
from numerics.linear import trust_region
from numerics.linear.functional import kernel_functional
from numerics.linear.recursion import root, root_transposed, squared
from numerics.results.readout import mean_outputs

nan = np.nan
TIMES = 5  # T = 6


def delayed_xor():
    """Two cues, one of two lines each, at t = 0 and 2; the label at the end."""
    cues = list(itertools.product((0, 1), repeat=2))
    x, y = np.zeros((4, TIMES, 4)), np.full((4, TIMES), nan)
    for p, (first, second) in enumerate(cues):
        x[p, 0, first] = x[p, 2, 2 + second] = 1.0
        y[p, -1] = 1.0 if first != second else -1.0
    return x, y


def flip_flop():
    """Pulses of either sign at some times; the output is the last one's."""
    pulses = np.array([[1, 0, -1, 0, 0], [1, 0, 0, 0, -1], [-1, 0, 1, 0, 0], [-1, 0, 0, 0, 0], [1, -1, 0, 1, 0]])
    state = np.array([[row[np.flatnonzero(row[: t + 1])[-1]] for t in range(TIMES)] for row in pulses])
    return pulses[:, :, None].astype(float), state.astype(float)


def match_to_sample():
    """One of three samples, a delay, a test stimulus; whether they match."""
    pairs = list(itertools.product(range(3), repeat=2))
    x, y = np.zeros((9, TIMES, 3)), np.full((9, TIMES), nan)
    for p, (first, second) in enumerate(pairs):
        x[p, 0, first] = x[p, 3, second] = 1.0
        y[p, -1] = 1.0 if first == second else -1.0
    return x, y


def forward(H, problem):
    """C[H] over all positions, from docs/theory.md section 2, entry by entry."""
    n, P, w, u = problem.n, problem.P, problem.w, problem.u
    x = problem.x.transpose(1, 0, 2).reshape(n * P, -1)
    C = u * x @ x.T / problem.D
    mask = np.ones((n, n)) if problem.arch == "rnn" else np.eye(n)
    C[P:, P:] += w * (np.kron(mask, np.ones((P, P))) * H)[:-P, :-P]
    return C


def reference_free_energy(H, problem):
    """docs/theory.md section 3 on an orthonormal basis of the random network's kernel's range."""
    prior = np.zeros_like(H)
    for _ in range(problem.n):
        prior = forward(prior, problem)
    size, frame = np.linalg.eigh(prior)
    Q = frame[:, size > 1e-11 * size[-1]]
    reduced, C = Q.T @ H @ Q, Q.T @ forward(H, problem) @ Q
    T = problem.supervised
    gram = problem.v * H[np.ix_(T, T)] + problem.kappa * np.eye(len(T))
    energy = 0.5 * problem.labels @ np.linalg.solve(gram, problem.labels)
    logs = np.linalg.slogdet(reduced)[1] - np.linalg.slogdet(C)[1]
    return energy + 0.5 * (np.trace(np.linalg.solve(C, reduced)) - len(C) - logs), Q


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("task", [delayed_xor, flip_flop, match_to_sample])
def test_the_state_is_a_minimum_of_the_theory_pages_free_energy(task, arch):
    x, y = task()
    problem = Problem(x, y, arch=arch, kappa=0.1)
    solution = solve(problem)
    assert solution.converged
    assert solution.stable
    F, Q = reference_free_energy(solution.kernel, problem)
    np.testing.assert_allclose(solution.free_energy, F, rtol=1e-7)
    half = np.linalg.cholesky(Q.T @ solution.kernel @ Q)
    rng = np.random.default_rng(0)
    for _ in range(4):
        S = symmetric(rng.normal(size=half.shape))
        S *= 1e-3 / np.linalg.norm(S)
        sides = [
            reference_free_energy(Q @ half @ (np.eye(len(S)) + sign * S) @ half.T @ Q.T, problem)[0] - F
            for sign in (1, -1)
        ]
        assert min(sides) > 0  # uphill both ways: stationary, and no maximum
        assert abs(sides[0] - sides[1]) < 0.05 * sum(sides)
    exact = mean_outputs(solution)
    if task is flip_flop:
        assert np.all(np.sign(exact) == np.sign(y))
    else:  # the exclusive or of sums is no sum: a linear network can do no better than the mean
        np.testing.assert_allclose(exact[:, -1].sum(), exact[:, -1].mean() * len(y))


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("task", [delayed_xor, flip_flop, match_to_sample])
def test_gradient_hessian_and_recursion_on_blocks_of_several_sizes(task, arch):
    x, y = task()
    functional = kernel_functional(Problem(x, y, arch=arch, w=0.7, kappa=0.5))
    rng = np.random.default_rng(1)
    m = functional.dimension
    factor = rng.normal(size=(m, m + 4)) / np.sqrt(m + 4)
    prior = np.linalg.cholesky(functional.prior_kernel())
    point = functional.at(prior @ (factor @ factor.T + 0.2 * np.eye(m)) @ prior.T)
    S = symmetric(rng.normal(size=(m, m)) / m)
    ahead, behind = point.move(1e-4 * S), point.move(-1e-4 * S)
    np.testing.assert_allclose(np.vdot(point.gradient, S), (ahead.free_energy - behind.free_energy) / 2e-4, rtol=1e-5)
    bend = (ahead.free_energy + behind.free_energy - 2 * point.free_energy) / 1e-8
    np.testing.assert_allclose(np.vdot(S, point.hessian_product(S)), bend, rtol=1e-3)
    np.testing.assert_allclose(root(point, root_transposed(point, S)), squared(point, S), atol=1e-9)
    # without labels the random network's Hessian is the one that the recursion inverts
    unlabelled = functional.with_labels(0.0)
    start = unlabelled.at(unlabelled.prior_kernel())
    np.testing.assert_allclose(squared(start, start.euclidean_hessian_product(S)), S, atol=1e-9)


def test_steps_in_the_kernel_are_steps_in_the_natural_coordinates():
    from numerics.linear import separate

    x, y = match_to_sample()
    functional = kernel_functional(Problem(x, y, arch="dnn", kappa=0.2))
    assert functional.is_separate
    m = functional.dimension
    kick = 0.1 / m * symmetric(np.random.default_rng(2).normal(size=(m, m)))
    point = functional.at(functional.prior_kernel()).move(kick)
    S = symmetric(np.random.default_rng(3).normal(size=(m, m)))
    at = separate.SeparateCurvature(point)
    force, relative = at.product(point.L @ S @ point.L.T)
    np.testing.assert_allclose(point.L.T @ force @ point.L, point.hessian_product(S), atol=1e-9)
    np.testing.assert_allclose(np.vdot(relative, relative.T), np.vdot(S, S), rtol=1e-9)
    step, predicted, _, boundary = separate.truncated(point, 1e3, 1e-9)
    assert not boundary
    direct = -np.linalg.solve(trust_region.dense_hessian(point), to_vector(point.gradient))
    np.testing.assert_allclose(to_vector(step), direct, atol=1e-6)
    np.testing.assert_allclose(predicted, -0.5 * direct @ to_vector(point.gradient), rtol=1e-6)

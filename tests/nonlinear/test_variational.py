"""The Gaussian approximation: exact for linear φ, an upper bound for others, its gradient and its kernels."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg as sla

from numerics import solve
from numerics.errors import InputError
from numerics.inputs.activation import NAMED
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear import variational
from numerics.nonlinear.forward import pair_averages
from numerics.nonlinear.search import lowest_state
from numerics.nonlinear.space import trajectory_space
from numerics.nonlinear.variational import ACTIVATIONS, _at, gaussian_kernel, solve_gaussian


def patterns(activation, arch="rnn", P=3, D=5, seed=0):
    rng = np.random.default_rng(seed)
    y = np.full((P, 3), np.nan)
    y[:, -1] = rng.standard_normal(P)
    y[0, 1] = 0.7
    return Problem(rng.standard_normal((P, D)), y, activation=activation, arch=arch, u=1.2, v=0.9, w=1.1, kappa=0.5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_kernel_equals_panels_of_quadrature(activation):
    A = np.random.default_rng(1).standard_normal((4, 6)) * 0.7
    S = A @ A.T
    i, j = np.triu_indices(4)
    K = gaussian_kernel(activation, S)[0]
    assert np.abs(K[i, j] - pair_averages(NAMED[activation], S[i, i], S[j, j], S[i, j])).max() < 1e-9


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_is_that_of_the_free_energy(activation, arch):
    space = trajectory_space(patterns(activation, arch))
    rng = np.random.default_rng(2)
    A = rng.standard_normal((space.d, 2 * space.d))
    S = A @ A.T / (2 * space.d)
    point = _at(space, sla.cholesky(S, lower=True))
    direction = rng.standard_normal(S.shape)
    direction = direction + direction.T

    def value(step):
        at = _at(space, sla.cholesky(S + step * direction, lower=True))
        return at.energy + at.entropy

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    assert abs(np.vdot(point.gradient, direction) - slope) < 1e-6 * point.scale


@pytest.mark.parametrize(("signal", "arch"), [(5.0, "rnn"), (20.0, "rnn"), (20.0, "dnn")])
def test_linear_network_is_exact(signal, arch):
    problem = endpoint(4, signal, arch=arch)
    found, exact = solve_gaussian(problem), solve(problem)
    assert found.converged
    assert found.branch == exact.branch
    assert abs(found.free_energy - exact.free_energy) < 1e-10
    signs = np.sign(found.kernel[2, 1] or 1.0) * np.sign(exact.kernel[2, 1] or 1.0)
    gauge = signs ** np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    assert np.abs(found.kernel * gauge - exact.kernel).max() < 1e-6
    assert found.energy == pytest.approx(exact.energy, rel=1e-6)
    assert found.entropy == pytest.approx(exact.entropy, rel=1e-6)
    np.testing.assert_array_equal(found.second_moment, found.kernel)
    earlier = found.kernel[:-1, :-1] if arch == "rnn" else np.diag(np.diag(found.kernel)[:-1])
    np.testing.assert_allclose(found.covariance, sla.block_diag(1.0, earlier), atol=1e-12)
    stationary = np.linalg.inv(found.covariance) - np.linalg.inv(found.kernel)
    np.testing.assert_allclose(2 * found.conjugate, stationary, atol=1e-5)


def test_the_scale_of_a_residual_is_that_of_the_terms_that_cancel():
    space = trajectory_space(patterns("linear"))
    A = np.random.default_rng(4).standard_normal((space.d, 2 * space.d))
    L = sla.cholesky(A @ A.T / (2 * space.d), lower=True)
    point = _at(space, L)
    half, E = 0.5 * np.linalg.inv(point.covariance), space.embedding
    terms = half, -0.5 * np.linalg.inv(L @ L.T), -E.T @ point.conjugate @ E
    np.testing.assert_allclose(sum(terms), point.gradient, rtol=1e-8, atol=1e-10)
    assert point.scale == pytest.approx(sum(np.linalg.norm(L.T @ term @ L) for term in terms))


def test_the_second_start_correlates_each_coordinate_over_its_times():
    space = trajectory_space(patterns("erf"))
    size = np.linspace(1.0, 1.3, space.d)
    L = variational._correlated(space, np.diag(size))
    correlation = L @ L.T / np.outer(size, size)
    first = [int(np.flatnonzero(space.times == t)[0]) for t in range(3)]
    for i in range(space.d):
        for j in range(space.d):
            s, t = space.times[i], space.times[j]
            same = i - first[s] == j - first[t]
            expected = 1.0 if i == j else variational.BROKEN if same and s != t and min(s, t) > 0 else 0.0
            assert correlation[i, j] == pytest.approx(expected, abs=1e-12)
    # what is not positive-definite is repaired
    alike = 0.1 * np.eye(space.d) + 0.9
    strong = variational._correlated(space, np.linalg.cholesky(alike))
    values = np.linalg.eigvalsh(strong @ strong.T)
    assert values[0] == pytest.approx(0.05 * values[-1])


def test_a_minimisation_that_is_cut_short_says_so(monkeypatch):
    monkeypatch.setattr(variational, "STEPS", 2)
    found = solve_gaussian(endpoint(4, 20.0))
    assert not found.converged
    assert found.iterations <= 2
    assert found.residual > variational.TOLERANCE
    assert found.status == f"not converged: relative residual {found.residual:.1e} after {found.iterations} steps"


def test_linear_network_with_degenerate_inputs_is_exact():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 4))
    y = np.full((2, 3), np.nan)
    y[:, -1] = [1.0, -0.5]
    problem = Problem(x, y, kappa=0.7)
    assert np.abs(solve_gaussian(problem).kernel - solve(problem).kernel).max() < 1e-6


@pytest.mark.parametrize("activation", ["erf", "tanh", "relu"])
def test_free_energy_is_an_upper_bound(activation):
    problem = endpoint(3, 6.0, activation=activation)
    bound, exact = solve_gaussian(problem), lowest_state(problem)
    assert bound.converged
    assert exact.converged
    # above by more than both errors, and close for a moderate signal of a saturating network
    assert bound.free_energy > exact.free_energy + 1e-4
    if activation != "relu":
        assert bound.free_energy < 1.02 * exact.free_energy


def test_weak_labels_make_the_approximation_exact():
    gaps = []
    for signal in (0.02, 0.01):
        problem = endpoint(3, signal, activation="erf")
        gaps.append(solve_gaussian(problem).free_energy - lowest_state(problem).free_energy)
    assert 0 < gaps[0] < 1e-6
    assert abs(gaps[0] / gaps[1] - 4) < 0.2  # second order in the signal


def test_many_patterns_are_fast_and_converge():
    problem = patterns("erf", P=8, D=20, seed=4)
    found = solve_gaussian(problem)
    assert found.converged, found.status
    assert np.linalg.eigvalsh(found.kernel).min() > 0


def test_the_lowest_minimum_that_converged_is_returned(monkeypatch):
    planted = [(False, 1.0), (True, 2.0), (True, 3.0)]
    for first, second, expected in ((0, 1, 1), (2, 1, 1), (1, 2, 1), (2, 0, 2)):
        found = iter(SimpleNamespace(converged=planted[k][0], free_energy=planted[k][1]) for k in (first, second))
        monkeypatch.setattr(variational, "_minimum", lambda *_, found=found: next(found))
        answer = solve_gaussian(patterns("erf"))
        assert (answer.converged, answer.free_energy) == planted[expected]


def test_refuses_what_it_cannot_answer():
    with pytest.raises(InputError, match="kappa"):
        solve_gaussian(endpoint(3, 1.0, activation="erf", kappa=0.0))


def test_equal_patterns_are_one_with_half_the_noise():
    twice = solve_gaussian(Problem(np.ones((2, 1)), np.array([[np.nan, 1.0], [np.nan, 1.0]]), activation="erf"))
    once = solve_gaussian(Problem(np.ones((1, 1)), np.array([[np.nan, 1.0]]), activation="erf", kappa=0.5))
    assert twice.converged
    assert twice.free_energy == pytest.approx(once.free_energy, rel=1e-8)
    assert twice.kernel == pytest.approx(np.kron(once.kernel, np.ones((2, 2))), rel=1e-6)

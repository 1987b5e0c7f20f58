"""The batched endpoint problem against the free energy for any problem (``numerics.linear.functional``)."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import solve, solve_all
from numerics.endpoint_task.factorised import evaluate, factorise, masked, newton
from numerics.inputs.problem import endpoint
from numerics.linalg import from_vector, symmetric, to_vector
from numerics.linear import trust_region
from numerics.linear.functional import kernel_functional

SIGNAL, KAPPA = np.array([7.0, 40.0]), np.array([0.3, 2.0])


def factors(n, count=2, seed=0):
    A = np.random.default_rng(seed).standard_normal((count, n, 2 * n))
    return np.linalg.cholesky(A @ np.swapaxes(A, 1, 2) / n)


def points(L):
    """The general problem's points there."""
    n = L.shape[-1]
    problems = [endpoint(n + 1, signal, kappa=kappa) for signal, kappa in zip(SIGNAL, KAPPA, strict=True)]
    return [kernel_functional(problem).at(one @ one.T) for problem, one in zip(problems, L, strict=True)]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_free_energies_gradients_and_curvatures_are_those_of_the_general_problem(n):
    L = factors(n)
    here, states = factorise(L), evaluate(L, SIGNAL, KAPPA, tolerance=np.inf)
    rng = np.random.default_rng(1)
    S = symmetric(rng.standard_normal((2, 3, n, n)))
    for k, point in enumerate(points(L)):
        assert states.energy[k] == pytest.approx(point.energy)
        assert states.entropy[k] == pytest.approx(point.entropy)
        assert states.free_energy[k] == pytest.approx(point.free_energy)
        basis = from_vector(np.eye(n * (n + 1) // 2), n)
        dense = to_vector(np.stack([point.euclidean_hessian_product(one) for one in basis]))
        assert states.hessian_smallest[k] == pytest.approx(np.linalg.eigvalsh(dense)[0])
        mu = SIGNAL[k] / (here.last[k] + KAPPA[k]) ** 2
        np.testing.assert_allclose(here.gradient[k] - 0.5 * mu * here.label[k], point.gradient, atol=1e-10)
        C = np.eye(n)
        C[1:, 1:] = (L[k] @ L[k].T)[:-1, :-1]
        cancelling = L[k].T @ np.linalg.solve(C, L[k]), np.eye(n), mu * here.label[k]
        size = sum(0.5 * float(np.linalg.norm(term)) for term in cancelling)
        assert states.residual[k] == pytest.approx(float(np.linalg.norm(point.gradient)) / size)
        pull = mu / (here.last[k] + KAPPA[k])
        for direction, curved in zip(S[k], here.curvature(S)[k], strict=True):
            expected = point.euclidean_hessian_product(direction)
            found = curved + pull * np.vdot(here.label[k], direction) * here.label[k]
            np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())
    np.testing.assert_allclose(states.kernel, L @ np.swapaxes(L, 1, 2))


def test_newton_converges_to_the_states_from_beside_them_and_says_where_it_does_not():
    state = solve(endpoint(4, 40.0, kappa=2.0))
    near = np.linalg.cholesky(state.kernel * np.exp(0.05 * np.random.default_rng(2).standard_normal()))
    start = np.stack([near, 50.0 * near])
    found = newton(start, np.full(2, 40.0), 2.0, tolerance=1e-12, max_iterations=8)
    assert found.converged.tolist() == [True, False]
    np.testing.assert_allclose(found.kernel[0], state.kernel, rtol=1e-10)
    assert found.hessian_smallest[0] == pytest.approx(state.hessian_smallest, rel=1e-6)
    assert found.residual[1] > 1e-12
    for name in ("kernel", "free_energy", "energy", "entropy", "hessian_smallest"):
        assert np.isnan(getattr(found, name)[1]).all()
    assert newton(start[:1], np.full(1, 40.0), 2.0, tolerance=1e-12, max_iterations=1).converged.tolist() == [False]


@pytest.mark.parametrize("signal", [5.0, 60.0])
def test_a_diagonal_kernel_has_the_stability_of_a_dnn(signal):
    problem = endpoint(4, signal, arch="dnn")
    (state,) = solve_all(problem)
    L = np.sqrt(np.stack([np.diag(np.diagonal(state.kernel))] * 2))
    given = np.full(2, signal)
    states = evaluate(L, given, 1.0, tolerance=1e-8)
    found = masked(states, L, given, 1.0)
    dense = trust_region.dense_hessian(kernel_functional(problem).at(state.kernel))
    np.testing.assert_allclose(found.hessian_smallest, np.linalg.eigvalsh(dense)[0], rtol=1e-6)
    assert (found.hessian_smallest > 0).all()
    if signal > 10:  # where the RNN's is unstable
        assert (states.hessian_smallest < 0).all()
    np.testing.assert_array_equal(found.kernel, states.kernel)

"""Many kernels at once: the general functional's numbers, for both architectures, and Newton's method on them."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import Problem, endpoint, sequence, solve, solve_all
from numerics.continuation.family import family
from numerics.linalg import from_vector, to_vector
from numerics.linear import batch


def problems():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3, 4, 2))
    y = np.full((3, 4), np.nan)
    y[:, 2:] = rng.normal(size=(3, 2))
    for arch in ("rnn", "dnn"):
        yield endpoint(5, 4.0, kappa=0.3, arch=arch, w=0.8)
        yield sequence(5, 1.2566, 2.0, [2, 4], arch=arch, u=1.3, v=0.7)
        yield Problem(x, y, kappa=0.2, arch=arch, w=0.6)


@pytest.mark.parametrize("problem", list(problems()), ids=lambda p: f"{p.arch}-{p.n}-{p.P}")
@pytest.mark.parametrize("parameter", ["signal", "kappa", "u", "v", "w"])
def test_values_gradients_and_hessians_are_those_of_the_functional(problem, parameter):
    whole, rng = family(problem, parameter), np.random.default_rng(1)
    m = whole.base.dimension
    factor = rng.normal(size=(2, m, m + 3))
    L = np.linalg.cholesky(factor @ np.swapaxes(factor, 1, 2))
    functionals = [whole.functional(theta) for theta in (-0.3, 0.4)]
    here = batch.KernelBatch(functionals, L)
    for k, functional in enumerate(functionals):
        point = functional.at(L[k] @ L[k].T)
        np.testing.assert_allclose(here.energy[k], point.energy, rtol=1e-10)
        np.testing.assert_allclose(here.entropy[k], point.entropy, rtol=1e-10)
        np.testing.assert_allclose(here.gradient[k], point.gradient, atol=1e-10 * np.abs(point.gradient).max())
        np.testing.assert_allclose(here.residual[k], point.residual, rtol=1e-9)
        basis = from_vector(np.eye(m * (m + 1) // 2), m)
        positions = np.flatnonzero(rng.random(len(basis)) < 0.7)
        for along, product in ((False, point.euclidean_hessian_product), (True, point.hessian_product)):
            expected = to_vector(0.5 * (product(basis) + np.swapaxes(product(basis), 1, 2)))
            size = 1e-10 * np.abs(expected).max()
            np.testing.assert_allclose(here.hessian(along_path=along)[k].T, expected, atol=size)
            some = here.hessian(positions, along_path=along)[k].T
            np.testing.assert_allclose(some, expected[np.ix_(positions, positions)], atol=size)


@pytest.mark.parametrize("problem", list(problems()), ids=lambda p: f"{p.arch}-{p.n}-{p.P}")
def test_newton_ends_in_the_states_of_the_search(problem):
    whole = family(problem, "kappa")
    states = [solve(whole.at(theta)) for theta in (-1.0, -0.9)]
    functionals = [whole.functional(theta) for theta in (-1.0, -0.9)]
    start = np.array([np.linalg.cholesky(state.reduced) for state in states])
    m = whole.base.dimension
    away = np.linalg.cholesky(np.eye(m) + 0.02 * np.ones((m, m)))
    found = batch.newton(functionals, start @ away, np.arange(m * (m + 1) // 2))
    assert (found.residual < 1e-13).all()
    for k, state in enumerate(states):
        size = np.abs(state.reduced).max()
        np.testing.assert_allclose(found.kernel[k], state.reduced, atol=1e-8 * size)


@pytest.mark.parametrize("signal", [2.13, 2.2, 2.5])
def test_newton_goes_on_where_the_residual_rises_at_first(signal):
    """From the two states next to the fold at 2.12092, where the first step raises the residual tenfold."""
    whole = family(endpoint(6, 1.0), "signal")
    states = [state for state in solve_all(endpoint(6, 2.121)) if state.branch == "coherent"]
    start = np.array([np.linalg.cholesky(state.reduced) for state in states])
    functionals = [whole.functional(np.log(signal))] * 2
    every = np.arange(15)
    before = batch.KernelBatch(functionals, start).residual
    np.testing.assert_array_equal(batch.newton(functionals, start, every, iterations=2).residual, before)
    assert (batch.newton(functionals, start, every).residual < 1e-14).all()

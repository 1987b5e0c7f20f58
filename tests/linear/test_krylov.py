"""The Hessian relative to the random network's, against the whole matrix."""

from dataclasses import replace

import numpy as np
import pytest

from numerics import solve_all
from numerics.errors import NotSolvedError
from numerics.inputs.problem import Problem
from numerics.linalg import symmetric, to_vector
from numerics.linear import trust_region
from numerics.linear.functional import kernel_functional
from numerics.linear.krylov import Preconditioned


def functional(arch):
    rng = np.random.default_rng(0)
    y = np.full((3, 4), np.nan)
    y[:, -1], y[0, 1] = [1.0, -2.0, 3.0], 1.0
    return kernel_functional(Problem(rng.normal(size=(3, 4, 5)), y, arch=arch, w=1.3))


def directions(m, count):
    return symmetric(np.random.default_rng(1).normal(size=(count, m, m)))


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_the_random_networks_hessian_factorises(arch):
    f = functional(arch)
    unlabelled = f.with_labels(0.0)
    S = directions(f.dimension, 2)
    inner = Preconditioned(unlabelled.at(unlabelled.prior_kernel()))
    np.testing.assert_allclose(inner.product(S), S, atol=1e-12)
    # with another weight variance in the recursion it does not
    wrong = Preconditioned(replace(unlabelled, w=1.31).at(unlabelled.prior_kernel()))
    assert np.abs(wrong.product(S) - S).max() > 1e-3


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_solutions_and_signs_are_those_of_the_whole_matrix(arch):
    f = functional(arch)
    point = trust_region.minimise(f.at(f.prior_kernel())).point
    inner, S = Preconditioned(point), directions(f.dimension, 3)
    np.testing.assert_allclose(np.vdot(inner.root(S), S[::-1]), np.vdot(S, inner.root_transposed(S[::-1])), rtol=1e-12)
    expected = np.linalg.solve(trust_region.dense_hessian(point), to_vector(S).T).T
    np.testing.assert_allclose(to_vector(inner.solve(S)), expected, atol=1e-9 * np.abs(expected).max())
    values, modes = inner.smallest(3)
    whole = np.linalg.eigvalsh(inner.vector(inner.product(inner.matrix(np.eye(78), 12))))
    np.testing.assert_allclose(values, whole[:3], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(modes, axis=(1, 2)), 1.0)


def test_what_is_solved_in_one_step_stays_solved_while_the_others_go_on():
    """An eigenvector beside directions that take many steps; 0 beside them."""
    f = functional("rnn")
    point = trust_region.minimise(f.at(f.prior_kernel())).point
    inner = Preconditioned(point)
    modes = inner.smallest(2)[1]
    right = np.concatenate([point.hessian_product(modes), 0 * modes[:1], directions(f.dimension, 1)])
    solved = inner.solve(right)
    np.testing.assert_allclose(solved[:2], modes, rtol=0, atol=1e-12)
    assert (solved[2] == 0).all()
    np.testing.assert_allclose(point.hessian_product(solved[3:]), right[3:], rtol=0, atol=1e-9)


def test_as_many_eigenvalues_are_negative_and_no_minimum_is_assumed():
    y = np.full((2, 4), np.nan)
    y[:, -1] = [4.0, -3.0]
    for state in solve_all(Problem([[1.0, 0.2], [0.1, 1.0]], y)):
        point = kernel_functional(state.problem).at(state.reduced)
        whole = np.linalg.eigvalsh(trust_region.dense_hessian(point))
        inner = Preconditioned(point)
        assert np.count_nonzero(inner.smallest(6)[0] < 0) == np.count_nonzero(whole < 0)
        if whole[0] < 0:
            with pytest.raises(NotSolvedError):
                inner.solve(inner.smallest(1)[1])

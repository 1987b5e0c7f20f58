"""Cholesky factors of many small matrices at once, beside those of LAPACK."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.linalg import stacked_factors, stacked_solve_lower


@pytest.mark.parametrize("m", [1, 2, 5])
def test_factors_and_solutions_are_those_of_lapack(m):
    rng = np.random.default_rng(m)
    rows = rng.standard_normal((7, m, m + 2))
    A, B = rows @ rows.transpose(0, 2, 1), rng.standard_normal((7, m, 3))
    factors, expected = stacked_factors(A), np.linalg.cholesky(A)
    np.testing.assert_allclose(np.moveaxis(factors, -1, 0), expected, rtol=1e-9, atol=1e-12)
    solved = stacked_solve_lower(factors, np.moveaxis(B, 0, -1))
    np.testing.assert_allclose(np.moveaxis(solved, -1, 0), np.linalg.solve(expected, B), rtol=1e-9)


def test_a_matrix_that_is_not_positive_definite_ends_in_nan_and_leaves_the_others():
    eigenvalues = np.array([[1.0, 2.0, 3.0], [-1.0, 2.0, 3.0], [1.0, -2.0, 3.0], [1.0, 2.0, -3.0]])
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    last = stacked_factors(np.einsum("ab,kb,cb->kac", turn, eigenvalues, turn))[-1, -1]
    np.testing.assert_array_equal(np.isfinite(last), [True, False, False, False])
    assert np.isnan(stacked_factors(np.diag([1.0, -2.0, 3.0])[None])[-1, -1])

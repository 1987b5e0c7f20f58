"""The batched Newton method's linear algebra against NumPy's, and its steps on a planted function of one number."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.linear import newton

BATCH = 4


def systems(definite):
    """Symmetric matrices of three rows, (3, 3, B), a right side, (3, B), both of the size of given scales."""
    rng = np.random.default_rng(2)
    A = rng.normal(size=(3, 3, BATCH))
    hessian = np.einsum("ikb,jkb->ijb", A, A) if definite else A + A.transpose(1, 0, 2)
    scale = 10.0 ** rng.integers(-3, 4, size=(3, BATCH))
    return hessian / (scale[:, None] * scale), rng.normal(size=(3, BATCH)) / scale, scale


@pytest.mark.parametrize("definite", [True, False])
def test_elimination_and_lapack_solve_the_system(definite):
    hessian, gradient, scale = systems(definite)
    triangle = hessian[np.triu_indices(3)]
    expected = np.linalg.solve(np.moveaxis(hessian, 2, 0), gradient.T[..., None])[..., 0].T
    np.testing.assert_allclose(newton._eliminate(triangle, gradient), expected, rtol=1e-8)
    np.testing.assert_allclose(newton._pivoted(hessian, gradient, scale), expected, rtol=1e-8)


def test_a_system_that_is_not_finite_is_left_out():
    hessian, gradient, scale = systems(True)
    hessian[0, 1, 2] = np.nan
    gradient[1, 0] = np.inf
    found = newton._pivoted(hessian, gradient, scale)
    assert np.isnan(found[:, [0, 2]]).all()
    assert np.isfinite(found[:, [1, 3]]).all()


def test_positive_definite_by_pivots():
    rng = np.random.default_rng(3)
    rows, columns = np.triu_indices(4)
    A = rng.normal(size=(60, 4, 4))
    matrices = A @ np.swapaxes(A, 1, 2) - 0.1 * np.eye(4)
    expected = np.linalg.eigvalsh(matrices)[:, 0] > 0
    assert 10 < expected.sum() < 50
    np.testing.assert_array_equal(newton.positive_definite(matrices[:, rows, columns].T), expected)
    with pytest.raises(InputError, match=r"x: has 5 variables; accepted: n\(n\+1\)/2"):
        newton.positive_definite(np.ones((5, 1)))


def test_the_residual_is_the_largest_derivative_per_relative_change_over_what_cancels():
    x = np.array([[4.0, 1.0], [0.0, 0.5], [9.0, 1.0]])
    np.testing.assert_array_equal(newton._scales(x), [[4, 1], [6, 1], [9, 1]])
    evaluation = SimpleNamespace(
        gradient=np.array([[1.0, 0], [-2, 0], [0.5, 0]]), cancelling=np.array([[2.0, 0], [3, 0], [4, 0]])
    )
    np.testing.assert_array_equal(newton._residual(evaluation, newton._scales(x)), [12 / 36, np.inf])


class Planted:
    """``F = x - p ln x``: stationary at x = p, and the full step from x leads to ``x (2 - x/p)``."""

    def __init__(self):
        self.asked = []

    def derivatives(self, x, p):
        self.asked.append(x[0].copy())
        curved = p / x**2
        return SimpleNamespace(gradient=1 - p / x, cancelling=1 + p / x, triangle=curved, hessian=curved[None])


def test_steps_are_halved_until_the_kernel_is_positive_and_the_residual_falls():
    lowered = Planted()
    roots = newton.newton(lowered, np.array([[5.0, 1.5, 2.0]]), np.array([[2.0, 2.0, 2.0]]))
    x, residual, converged, stable, iterations = (getattr(roots, name) for name in roots.__dataclass_fields__)
    np.testing.assert_allclose(x, 2.0, rtol=1e-12)
    assert converged.all()
    assert stable.all()
    assert (residual < 1e-10).all()
    assert iterations[2] == 0
    assert iterations[0] > iterations[1] > 1
    # from 5 the full step leads to -2.5, half of it to 1.25
    np.testing.assert_allclose(lowered.asked[0], [5.0, 1.5, 2.0])
    np.testing.assert_allclose(lowered.asked[1], [-2.5, 1.875])
    np.testing.assert_allclose(lowered.asked[2], [1.25])
    few = newton.newton(Planted(), np.array([[5.0, 1.9999999]]), np.array([[2.0, 2.0]]), max_iterations=1)
    assert few.converged.tolist() == [False, True]
    assert np.isnan(few.x[:, 0]).all()
    lost = newton.newton(Planted(), np.array([[-1.0]]), np.array([[2.0]]))
    assert lost.residual[0] == np.inf
    assert lost.iterations[0] == 0


def test_within_the_tolerance_steps_go_on_while_they_divide_the_residual_by_ten():
    roots = newton.newton(Planted(), np.array([[2.1]]), np.array([[2.0]]), tolerance=0.5)
    assert roots.residual[0] < 1e-13
    assert 2 <= roots.iterations[0] <= 5

    class Slow(Planted):
        """Whose curvature is three times too large: a step divides the residual by 1.5."""

        def derivatives(self, x, p):
            found = super().derivatives(x, p)
            return SimpleNamespace(**{**vars(found), "triangle": 3 * found.triangle, "hessian": 3 * found.hessian})

    slow = newton.newton(Slow(), np.array([[2.1]]), np.array([[2.0]]), tolerance=0.5)
    assert slow.iterations[0] == 1
    assert newton.newton(Slow(), np.array([[2.1]]), np.array([[2.0]]), tolerance=1e-3).residual[0] < 1e-3

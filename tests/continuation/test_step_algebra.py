"""A step's linear algebra: iterations against the whole matrices, whatever the kernel and the classes of directions."""

import numpy as np
import pytest

from numerics.continuation import linear
from numerics.continuation.linear import Bordered, lowest_modes, mask_of, null_direction
from numerics.inputs.problem import Problem, endpoint
from numerics.linear.functional import kernel_functional, symmetric
from numerics.linear.lag_classes import lag_classes
from numerics.linear.trust_region import from_vector, to_vector


def diagonal(growth):
    """A kernel of 6 times (not stationary); where it grows fast, its Hessian has negative eigenvalues."""
    return kernel_functional(endpoint(7, 200.0, kappa=0.3)).at(np.diag(growth ** np.arange(1.0, 7.0)))


def classes_of(point):
    return lag_classes(point.functional.space.n, 1, 0)


@pytest.fixture
def both(monkeypatch):
    """What a function gives with the whole matrix, and by iterations."""

    def run(function):
        found = []
        for largest in (27, 1):
            monkeypatch.setattr(linear, "DENSE_BRANCH", largest)
            found.append(function())
        return found

    return run


@pytest.mark.parametrize(("growth", "negative"), [(1.0, [0, 0, 0, 0, 0, 0]), (3.0, [1, 1, 1, 1, 1, 0])])
def test_every_negative_eigenvalue_of_each_class_is_found(both, growth, negative, monkeypatch):
    """More than are asked for at first, too; and at least one that is not negative."""
    monkeypatch.setattr(linear, "FEW", 1)
    point, counts = diagonal(growth), []
    for positions in (*classes_of(point), np.arange(21)):
        (whole, modes), (few, found) = both(lambda positions=positions: lowest_modes(point, positions))
        counts.append(int((whole < 0).sum()))
        assert int((few < 0).sum()) == counts[-1]
        assert (few > 0).any() or len(few) == len(whole)
        assert (np.diff(whole) >= 0).all()
        for directions in (modes, found):
            np.testing.assert_allclose(np.einsum("kij,kij->k", directions, directions), 1.0, rtol=1e-9)
            assert np.abs(directions * (1 - mask_of(positions, 6))).max() == 0
        # along what the iteration finds the curvature has the sign that it says
        curvature = np.einsum("kij,kij->k", found, symmetric(point.euclidean_hessian_product(found)))
        np.testing.assert_array_equal(curvature < 0, few < 0)
    assert counts == [*negative, sum(negative)]


def test_bordered_systems_and_null_directions_are_those_of_the_whole_matrix(both):
    """``[𝓗, f; ⟨T,·⟩, τ]`` against a matrix that is assembled here."""
    rng = np.random.default_rng(3)
    functional = kernel_functional(endpoint(6, 4.0, kappa=0.7))
    point = functional.at(np.diag(1.15 ** np.arange(1, 6)))
    for kept in (classes_of(point)[0], np.arange(15)):
        mask = mask_of(kept, 5)
        force, tangent, right = (mask * symmetric(rng.normal(size=(5, 5))) for _ in range(3))
        dense, iterated = both(lambda: Bordered(point, kept, force, tangent, 0.3).solve((right, 0.8), 1e-13))  # noqa: B023
        H = to_vector(point.euclidean_hessian_product(from_vector(np.eye(15)[kept], 5)))[:, kept].T
        for S, change in (dense, iterated):
            z = to_vector(S)
            assert np.abs(np.delete(z, kept)).max(initial=0.0) == 0
            left = H @ z[kept] + change * to_vector(force)[kept]
            np.testing.assert_allclose(left, to_vector(right)[kept], atol=1e-9 * np.abs(right).max())
            assert np.vdot(tangent, S) + 0.3 * change == pytest.approx(0.8, abs=1e-9)
        for S, change in both(lambda: null_direction(point, kept, force)):  # noqa: B023
            z = to_vector(S)[kept]
            np.testing.assert_allclose(H @ z + change * to_vector(force)[kept], 0.0, atol=1e-9)
            assert z @ z + change**2 == pytest.approx(1.0)
            assert change > 0


def test_an_iteration_that_does_not_reach_its_tolerance_says_so(monkeypatch):
    rng = np.random.default_rng(4)
    y = np.full((5, 3), np.nan)
    y[:, -1] = 3.0 * rng.normal(size=5)
    functional = kernel_functional(Problem(rng.normal(size=(5, 5)), y, kappa=0.01))
    point = functional.at(functional.prior_kernel())
    monkeypatch.setattr(linear, "DENSE_BRANCH", 1)
    monkeypatch.setattr(linear, "MOST_PRODUCTS", 1)
    system = Bordered.fixed(point, np.arange(len(to_vector(point.H))))
    with pytest.raises(linear.NotSolvedError, match="GMRES"):
        system.solve((symmetric(rng.normal(size=point.H.shape)), 0.0), 1e-13)

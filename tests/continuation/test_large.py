"""Branches of kernels whose Hessian is not formed, against exact pitchforks and against the whole Hessian.

With endpoint labels the energy pulls on one direction of the patterns only, whatever their number: in the patterns'
whitened coordinates ``H = h ⊗ bbᵀ + w^(t-1) ⊗ (1 - bbᵀ)`` with the kernel h of a single pattern. On the incoherent
branch ``h_t = r^t`` (units of u = w = 1), the message is ``q = (κ + v r^n G)⁻¹ y``, ``G = u XXᵀ/D``, and the last
time's stationarity is ``v qᵀGq = (r-1)/r^n``; the first pitchfork stays where it is for one pattern, at
``r = m/(m-1)``, m = n - 1.
"""

import numpy as np
import pytest

from numerics import solve, solve_all
from numerics.continuation import linear
from numerics.continuation.diagram import diagram
from numerics.inputs.problem import Problem, endpoint
from numerics.linear.functional import kernel_functional
from tests.continuation.one_branch import branch_through


def signal_at(problem, r):
    """The factor of y² at which the incoherent branch has this ratio."""
    gram = problem.v * problem.u * problem.x[:, 0] @ problem.x[:, 0].T / problem.D
    g, vectors = np.linalg.eigh(gram)
    y = vectors.T @ problem.y[:, -1]
    n = problem.n
    return (r - 1) / r**n / np.sum(y**2 * g / (problem.kappa + r**n * g) ** 2)


def classification(P, n):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(P, 2 * P))
    y = np.full((P, n), np.nan)
    y[:, -1] = np.sign(x[:, 0])
    return Problem(x, y, kappa=0.3)


def assert_pitchfork(problem):
    n = problem.n
    exact = signal_at(problem, (n - 1) / (n - 2))
    problem = problem.with_(y=np.sqrt(exact) * problem.y)
    start = problem.with_(y=np.sqrt(0.95) * problem.y)
    branch = branch_through(start, "signal", (0.98, 1.08), solve(start).reduced)
    (fork,) = branch.events
    assert fork.type == "pitchfork"
    assert abs(0.95 * fork.value - 1) < 1e-10
    assert fork.interval[0] <= 1 / 0.95 <= fork.interval[1]
    assert fork.interval[1] - fork.interval[0] < 1e-10
    assert branch.negative[0] == 0
    assert branch.negative[-1] == 1
    assert branch.residual.max() < 1e-11


def test_the_pitchfork_of_ten_patterns_is_exact():
    problem = classification(10, 3)
    assert kernel_functional(problem).dimension > linear.DENSE_BRANCH
    assert_pitchfork(problem)


@pytest.mark.slow
def test_the_pitchfork_of_a_hundred_digits_is_exact():
    images, digit = pytest.importorskip("sklearn.datasets").load_digits(n_class=2, return_X_y=True)
    x = images - images.mean(axis=0)
    x *= np.sqrt(x.shape[1]) / np.linalg.norm(x, axis=1, keepdims=True)
    y = np.full((100, 3), np.nan)
    y[:, -1] = np.where(digit[:100] == 1, 1.0, -1.0)
    problem = Problem(x[:100], y, kappa=0.1)
    assert kernel_functional(problem).dimension > 140
    assert_pitchfork(problem)


def test_fold_and_branches_are_those_of_the_whole_hessian(monkeypatch):
    problem = endpoint(6, 2.13)
    unstable = next(s for s in solve_all(problem) if not s.stable and s.branch == "coherent")
    found = {}
    for largest in (27, 1):
        monkeypatch.setattr(linear, "DENSE_BRANCH", largest)
        branch = branch_through(problem, "signal", (0.99, 1.02), unstable.reduced)
        (fold,) = [event for event in branch.events if event.type == "fold"]
        found[largest] = fold.value, branch.kernels[[0, -1]], branch.negative
    assert abs(found[27][0] - found[1][0]) < 1e-11
    np.testing.assert_allclose(found[27][1], found[1][1], rtol=1e-9, atol=1e-9)
    assert set(found[27][2]) == set(found[1][2]) == {0, 1}


def test_a_pitchfork_where_a_pattern_changes_sign_too():
    """Two orthonormal patterns, one labelled at an odd and one at an even time: ``W → -W`` is a symmetry together with
    a pattern's sign, and the two branches that leave the state which it keeps are images of one another."""
    y = np.full((2, 3), np.nan)
    y[0, 2], y[1, 1] = 1.0, 0.4
    problem = Problem(np.sqrt(2) * np.eye(2), y)
    found = diagram(problem, "signal", (6.0, 16.0))
    (point,) = found.special_points
    assert point.type == "pitchfork"
    assert len(point.branches) == 2
    assert point.interval[1] - point.interval[0] < 1e-10
    kept, broken = (found.branches[k] for k in point.branches)
    signs = np.kron([1.0, -1.0, 1.0], [1.0, -1.0])
    np.testing.assert_allclose(signs[:, None] * kept.kernels[-1] * signs, kept.kernels[-1], atol=1e-8)
    image = kernel_functional(problem.with_(y=4.0 * y)).at(signs[:, None] * broken.kernels[-1] * signs)
    assert image.residual < 1e-9
    assert abs(image.free_energy - broken.free_energy[-1]) < 1e-12
    assert np.abs(broken.kernels[-1] - image.H).max() > 0.1

"""What small linear problems load: of SciPy its LAPACK alone, and no SymPy, each of which takes longer than they do."""

import importlib
import subprocess
import sys

import numpy as np
import pytest
from scipy.linalg import lapack as whole
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from numerics import lapack, linalg

LOADED = """
import sys
import numpy as np
import unrolled

problem = unrolled.endpoint(4, 20.0)
{what}
slow = ("scipy.linalg._basic", "scipy.special", "scipy.sparse", "scipy.stats", "scipy.optimize", "sympy", "matplotlib")
print([name for name in slow if name in sys.modules])
"""
WHAT = {
    "scan": "unrolled.scan(problem, {'signal': np.linspace(9, 11, 3)})",
    "solve": "unrolled.solve(problem)",
    "solve_all": "unrolled.solve_all(problem)",
}


@pytest.mark.parametrize("what", WHAT)
def test_small_linear_problems_load_lapack_alone(what):
    found = subprocess.run([sys.executable, "-c", LOADED.format(what=WHAT[what])], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_scipy_finds_the_module_that_was_loaded_by_itself():
    assert lapack.routines.dpotrf is whole.dpotrf


def test_where_the_module_is_not_found_scipys_own_is_taken(monkeypatch):
    monkeypatch.delitem(sys.modules, lapack._NAME)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="_flapack"):
        lapack._alone()
    assert lapack._loaded() is whole


@pytest.mark.parametrize("edges", [0, 20, 40, 120])
def test_components_are_those_of_scipy(edges):
    one, other = np.random.default_rng(edges).integers(0, 40, (2, edges))
    graph = coo_array((np.ones(edges), (one, other)), shape=(40, 40))
    assert (linalg.components(40, one, other) == connected_components(graph, directed=False)[1]).all()


def test_a_long_path_in_any_order_is_one_component():
    order = np.random.default_rng(0).permutation(300)
    assert not linalg.components(300, order[:-1], order[1:]).any()
    assert linalg.components(300, order[:149], order[1:150]).max() == 150


@pytest.mark.parametrize("count", [1, 3, 12])
def test_the_smallest_eigenpairs(count):
    A = np.random.default_rng(0).normal(size=(12, 12))
    A = A + A.T
    values, vectors = linalg.smallest_eigenpairs(A, count)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(A)[:count], rtol=1e-12)
    np.testing.assert_allclose(A @ vectors, vectors * values, atol=1e-12)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(count), atol=1e-12)

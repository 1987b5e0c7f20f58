"""The solver against the expansion in the labels, which shares no code with it, to 1e-9 and order by order."""

import numpy as np
import pytest
import sympy

from numerics import solve
from numerics.inputs.problem import Problem
from theory.perturbation import Task, expand

ORDER = 6


#: The matrices of times 1 and 3 are one; beside it a matrix of unequal widths and negative correlations.
TIED = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
UNEVEN = np.array([[1.5, -0.5, 0.25], [-0.5, 1.0, 0.5], [0.25, 0.5, 0.75]])
NETWORKS = {
    "rnn": ("rnn", 0.0, 0.0),
    "dnn": ("dnn", 0.0, 0.0),
    "shared": ("shared:0.5", 0.0, 0.0),
    "drift": ("drift:0.7", 0.0, 0.0),
    "looped": ("looped:2", 0.0, 0.0),
    "tied pair": (TIED, 0.0, 0.0),
    "uneven": (UNEVEN, 0.0, 0.0),
    "drift, skip and bias": ("drift:0.7", 0.5, 0.25),
    "looped, skip and bias": ("looped:2", 0.75, 0.5),
    "tied pair, skip and bias": (TIED, 0.5, 0.25),
}


def cases(network):
    """A problem of two patterns with labels at three of four times, and its exact Taylor coefficients in Y."""
    arch, skip, bias = NETWORKS[network]
    x = np.array([[1.0, 0.5, 0.0], [-0.25, 1.0, 0.5]])
    y = np.full((2, 4), np.nan)
    y[:, 0], y[0, 1], y[:, 3] = [0.5, -0.25], 0.75, [1.0, -0.5]
    problem = Problem(x, y, arch=arch, u=1.5, v=0.75, w=1.25, kappa=0.5, skip=skip, bias=bias)
    pairs = tuple((int(k) // 2 + 1, int(k) % 2 + 1) for k in problem.supervised)
    gram = sympy.Matrix((x @ x.T).tolist()) / 3
    task = Task(4, gram, pairs, sympy.Matrix(problem.labels.tolist()), 1.5, 0.75, 1.25, 0.5, skip, bias)
    sharing = arch if isinstance(arch, str) else sympy.ImmutableMatrix(arch.tolist())
    exact = [np.array(term.tolist(), dtype=float) for term in expand(task, sharing, ORDER)]
    return problem, exact


@pytest.mark.parametrize("network", NETWORKS)
def test_kernels_are_those_of_the_expansion(network):
    problem, terms = cases(network)

    def remainder(size, order):
        found = solve(problem.with_(y=np.sqrt(size) * problem.y)).kernel
        return np.abs(found - sum(size**k * term for k, term in enumerate(terms[: order + 1]))).max()

    assert remainder(0.02, ORDER) < 1e-9
    assert remainder(0.005, ORDER) < 1e-13
    # each order left out shows as that power of the signal, with its own coefficient
    for order in (1, 2, 3):
        assert remainder(0.01, order) / remainder(0.005, order) == pytest.approx(2 ** (order + 1), rel=0.1)
        np.testing.assert_allclose(
            remainder(0.0025, order), 0.0025 ** (order + 1) * np.abs(terms[order + 1]).max(), rtol=0.1
        )
    # a label propagator that is off by a part in ten thousand would be seen
    assert 1e-4 * 0.02 * np.abs(terms[1]).max() > 1e-7

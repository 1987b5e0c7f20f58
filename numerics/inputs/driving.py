"""What drives a network at each time: inputs, and biases as further dimensions of them (docs/theory.md section 11)."""

from __future__ import annotations

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray

#: Eigenvalues of a matrix of correlations that are smaller, relative to the largest, are 0.
RANK = 1e-10


def driving_inputs(problem: Problem, x: FloatArray) -> FloatArray:
    """Inputs (P, n, D) of some patterns, and biases as further dimensions of them, (P, n, D + rank of B).

    ``uX⁻ + βB = (u/D) x̃ x̃ᵀ``.
    """
    if problem.bias == 0:
        return x
    values, vectors = np.linalg.eigh(problem.bias_sharing)
    kept = values > RANK * values[-1]
    roots = vectors[:, kept] * np.sqrt(values[kept] * problem.bias * problem.D / problem.u)
    return np.concatenate([x, np.broadcast_to(roots, (len(x), *roots.shape))], axis=2)

"""What sign symmetries do to held-out patterns.

A symmetry reflects the inputs' space, ``U → UR`` with ``R x = ±x`` for each input that is learnt, and as it likes in
directions that are orthogonal to all of these; a bias is one more input. A held-out pattern takes signs s_ta where one
R serves its inputs too, ``R x^{t-1}_a = s_ta x^{t-1}_a`` with ``s_{t+1,a} = σ_t s_ta``: inputs of opposite sign must be
orthogonal. Where none does, the symmetry makes the pattern's outputs those of another input.
"""

from __future__ import annotations

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.symmetry.group import SignSymmetry, joint_inputs, overlap


def held_out_signs(problem: Problem, symmetry: SignSymmetry) -> FloatArray:
    """s_ta of the problem's test patterns, (Q, n); 0 for patterns without signs, and before their first input."""
    assert problem.x_test is not None
    learnt = joint_inputs(problem, problem.x)
    given = learnt.any(axis=1)
    patterns = [joint_inputs(problem, x[None]) for x in problem.x_test]
    return np.stack([_signs(x, symmetry, learnt[given], symmetry.rows[given]) for x in patterns])


def _signs(x: FloatArray, symmetry: SignSymmetry, learnt: FloatArray, of_learnt: FloatArray) -> FloatArray:
    """Signs of one pattern, whose inputs with their biases are given, (n,)."""
    driven = x.any(axis=1)
    path = np.cumprod([1.0, *symmetry.matrices]) * np.logical_or.accumulate(driven)
    met, own = overlap(x[driven], learnt), overlap(x[driven], x[driven])
    for first in (1.0, -1.0):
        signs = first * path
        here = signs[driven]
        if not (met & (here[:, None] != of_learnt)).any() and not (own & (here[:, None] != here)).any():
            return signs
    return np.zeros(len(x))

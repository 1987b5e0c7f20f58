"""How sign symmetries act on the kernels of the linear theory.

A symmetry's signs S over the joint index map the space ``H = QĤQᵀ`` of a problem's kernels on itself, as they leave the
random network's kernel as it is. There it acts as the matrix R with ``SQ = QR``: signs where Q has a row for each time
and pattern, or where the signs are the same for all patterns.
"""

from __future__ import annotations

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.linear.space import KernelSpace
from numerics.symmetry.group import sign_symmetries


def actions(problem: Problem, space: KernelSpace) -> tuple[FloatArray, ...]:
    """R of each generator of a problem's sign symmetries: its signs, (m,), or the matrix, (m, m)."""
    return tuple(action(symmetry.signs, space) for symmetry in sign_symmetries(problem, True))


def action(signs: FloatArray, space: KernelSpace) -> FloatArray:
    """R of signs s_tp, (n, P)."""
    if space.pattern_basis is not None:
        if (signs == signs[:, :1]).all():
            return np.repeat(signs[:, 0], space.block)
        if np.array_equal(space.pattern_basis, np.eye(space.P)):
            return signs.ravel()
    Q = space.full_basis()
    dual = np.linalg.pinv(Q)
    # what Q does not show of the coordinates stays as it is
    return np.asarray(dual @ (signs.reshape(-1, 1) * Q) + np.eye(Q.shape[1]) - dual @ Q)


def acted(R: FloatArray, A: FloatArray) -> FloatArray:
    """``R A Rᵀ``."""
    return R[:, None] * A * R if R.ndim == 1 else R @ A @ R.T

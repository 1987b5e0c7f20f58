"""Neutral modes: along them F is constant, and a minimum is one of a manifold (docs/theory.md section 12).

Equal orthogonal outputs leave open how patterns at one time are turned against those at another: with rotations D_t of
the patterns, ``H^{tt'} → D_tᵀ H^{tt'} D_t'`` keeps F for some D. The tangents ``GᵀH + HG``, G antisymmetric in each
block of one time, tell such a mode from one that is about to become unstable, at a critical point.
"""

from __future__ import annotations

import numpy as np

from numerics.linalg import FloatArray
from numerics.linear.batch import ENTRIES_TOGETHER
from numerics.linear.functional import KernelPoint

#: Eigenvalues are of order one: below the first, or below so many residuals but the last, they are rounding.
ZERO, RESIDUALS, MOST = 1e-8, 1e3, 1e-4
#: What is left of a mode beside turns of patterns, relative.
BESIDE = 1e-3


def is_neutral(point: KernelPoint, value: float, mode: FloatArray) -> bool:
    """Whether a mode S, (m, m), of the Hessian is neutral; `value` is its eigenvalue.

    Problems too large for their turns to be listed have none.
    """
    if not abs(value) < MOST or abs(value) > max(ZERO, RESIDUALS * point.residual):
        return False
    space = point.functional.space
    frame = space.full_basis() @ point.L
    P = len(frame) // space.n
    pairs = np.array(np.triu_indices(P, 1)).T
    if space.n * len(pairs) * mode.size > ENTRIES_TOGETHER or len(pairs) == 0:
        return False
    # with frame⁺: a change ΔH is the direction frame⁺ ΔH frame⁺ᵀ, and H the unit matrix
    inverse = np.linalg.pinv(frame)
    turns = []
    for t in range(space.n):
        for p, q in t * P + pairs:
            turned = np.outer(inverse[:, p], frame[q]) - np.outer(inverse[:, q], frame[p])
            turns.append((turned + turned.T).ravel())
    A = np.array(turns).T
    shares = np.linalg.lstsq(A, mode.ravel(), rcond=1e-9)[0]
    return bool(np.linalg.norm(A @ shares - mode.ravel()) < BESIDE * np.linalg.norm(mode))

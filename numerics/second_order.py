"""The size of what an expansion of the mean kernel to first order in 1/N leaves out (docs/theory.md section 13)."""

from __future__ import annotations

import numpy as np

from numerics.linalg import FloatArray

#: Size of diagrams of two loops over that of the shift times the kernel's relative variance: a linear RNN below its
#: transition has 1.5 to 1.7 by its exact density, T = 4.
TWO_LOOPS = 2.0
#: A shift below this, relative to the largest, is none.
NO_SHIFT = 1e-12


def second_order(step: FloatArray, limit: FloatArray, variance: float, first: FloatArray, width: int) -> FloatArray:
    """Size of what the mean kernel has beyond first order in 1/N.

    The mean to first order is one step of Newton's method from the saddle of F to that of the effective action
    ``F + (A + ½ ln|∂²F|)/N``; this is the next one. Diagrams of two loops are of the same order 1/N²: with it goes what
    a loop more makes of the shift in size, the variance of the kernel relative to its square, over all entries in
    proportion to theirs, as the terms of one may nearly cancel. Entries that a symmetry keeps from shifting have none.

    Args:
        step: the next one, (nP, nP).
        limit: the kernel, N → ∞.
        variance: N times that of all its entries together.
        first: its shift, times N.
        width: N.
    """
    diagonal = np.diagonal(limit)
    still = np.abs(first) <= NO_SHIFT * np.abs(first).max()
    size = np.where(still, 0.0, np.sqrt(np.outer(diagonal, diagonal)))
    relative = float(np.linalg.norm(first)) / max(float(np.linalg.norm(size)), np.finfo(float).tiny)
    two_loops = TWO_LOOPS * variance / float(np.sum(limit**2)) / width * relative / width * size
    return np.asarray(np.hypot(step, two_loops))

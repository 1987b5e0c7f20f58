"""Anderson's acceleration of an iteration: the residual's part that steps before took away is left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numerics.linalg import FloatArray

#: Relative singular values below this are left out of the least squares.
SINGULAR = 1e-10


def shares(changed: FloatArray, residual: FloatArray) -> FloatArray:
    """Shares of changes of residuals, (length, steps), that come closest to a residual, (steps,)."""
    return np.asarray(np.linalg.lstsq(changed, residual, rcond=SINGULAR)[0])


def accelerated(residual: FloatArray, steps: Sequence[FloatArray], changes: Sequence[FloatArray]) -> FloatArray:
    """The step from here, given steps before and how each changed the residual."""
    changed = np.array(changes).T
    return np.asarray(residual - (np.array(steps).T + changed) @ shares(changed, residual))

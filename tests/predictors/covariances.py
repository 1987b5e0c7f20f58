"""The covariance of a kernel's entries, N times, from its changes."""

import numpy as np

from numerics.predictors.finite_width import kernel_changes


def kernel_covariance(state):
    """(nP, nP, nP, nP)."""
    changes = np.array(list(kernel_changes(state)))
    return np.einsum("kab,kcd->abcd", changes, changes, optimize=True)

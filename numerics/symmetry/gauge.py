"""The sign in which a state is given, where a symmetry of the posterior leaves it open."""

from __future__ import annotations

import numpy as np

from numerics.problem import FloatArray


def positive_basin(kernel: FloatArray, P: int) -> FloatArray:
    """The kernel, (nP, nP), taken by W → -W to an order parameter ``Σ_p Φ^{T-1,T-2}_{pp} ≥ 0``, as sampled ones are.

    The map multiplies ``Φ^{tt'}`` by ``(-1)^{t-t'}``. It relates states of a problem that has this symmetry, no others.
    """
    if np.trace(kernel[-P:, -2 * P : -P]) >= 0:
        return kernel
    signs = np.repeat((-1.0) ** np.arange(len(kernel) // P), P)
    return np.asarray(kernel * np.outer(signs, signs))

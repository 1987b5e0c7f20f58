"""Averages of φφᵀ over centred normal laws of the pre-activations h, with their derivative, without points; φ is odd.

In orthonormal Hermite polynomials ``φ(σz) = Σ_k c_k(σ) he_k(z)``, and Mehler's formula gives
(docs/theory.md section 4)

    ⟨φ(h_i) φ(h_j)⟩ = Σ_k c_k(σ_i) c_k(σ_j) ρ_ij^k,   ρ_ij = ⟨h_i h_j⟩/(σ_i σ_j),   k = 1, 3, …

for i ≠ j. The sum ends where its terms are small; the derivative is that of what is summed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray

#: Nodes in 0 < z < END, so close that smooth functions are integrated to rounding.
NODES, END = 160, 8.0
#: Hermite polynomials at most: more count only for large pre-activations that are nearly the same. Relative size below
#: which terms are left out.
POLYNOMIALS, SMALL = 32, 1e-12


class NormalKernel:
    """``⟨φφᵀ⟩`` for a covariance of h, (m, m)."""

    def __init__(self, phi: Activation, covariance: FloatArray) -> None:
        z, weights = _rule()
        self._scale = scale = np.sqrt(np.diagonal(covariance))
        h = scale[:, None] * z
        value, slope = phi.value(h), phi.derivative(h) * z
        self._coefficients, self._changes = value @ weights, slope @ weights  # c and dc/dσ, (m, POLYNOMIALS)
        of_even = weights[:, 0] / z
        self._own = (value * slope) @ of_even / scale  # d⟨φ²⟩/dσ²
        self._correlations = covariance / np.outer(scale, scale)
        self.kernel, self._slopes = np.zeros_like(covariance), np.zeros_like(covariance)
        for k, power in self._powers():
            c = self._coefficients[:, k]
            both = np.outer(c, c) * power
            self._slopes += (2 * k + 1) * both
            self.kernel += both * self._correlations
        self.kernel[np.diag_indices_from(self.kernel)] = value**2 @ of_even

    def gradient(self, tilt: FloatArray) -> FloatArray:
        """B of ``δ tr(Φ̃⟨φφᵀ⟩) = tr(B δ⟨hhᵀ⟩)``, for a symmetric Φ̃, (m, m)."""
        scale, own = self._scale, np.diagonal(tilt)
        tilt = tilt - np.diag(own)
        B = tilt * self._slopes / np.outer(scale, scale)
        changed = -(B * self._correlations) @ scale
        for k, power in self._powers():
            changed += self._changes[:, k] * ((tilt * power * self._correlations) @ self._coefficients[:, k])
        return np.asarray(B + np.diag(changed / scale + own * self._own))

    def _powers(self) -> Iterator[tuple[int, FloatArray]]:
        """The number of each polynomial that counts, and ``ρ^2k``."""
        squared = self._correlations**2
        power, least = np.ones_like(squared), SMALL * float(np.max(self._coefficients[:, 0] ** 2))
        largest = float(np.max(squared - np.diag(np.diagonal(squared)), initial=0.0))
        for k in range(POLYNOMIALS):
            if np.max(self._coefficients[:, k:] ** 2) * largest**k < least:
                return
            yield k, power
            power = power * squared


@cache
def _rule() -> tuple[FloatArray, FloatArray]:
    """Nodes z, and weights of averages of an odd function times each of the odd polynomials, (NODES, POLYNOMIALS)."""
    step = END / NODES
    z = np.asarray(step * (np.arange(NODES) + 0.5), dtype=np.float64)
    before, he = np.zeros_like(z), np.ones_like(z)
    weights = np.empty((NODES, POLYNOMIALS))
    for degree in range(1, 2 * POLYNOMIALS):
        before, he = he, (z * he - np.sqrt(degree - 1) * before) / np.sqrt(degree)
        if degree % 2:
            weights[:, degree // 2] = he
    weights *= (2 * step * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))[:, None]
    return z, weights

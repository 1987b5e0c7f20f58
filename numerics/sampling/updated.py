"""Recurrent matrices that are updated many times: a dense part, a scale and a few outer products not yet added to it.

``η_W = c (A + L Rᵀ)``. A Langevin step multiplies η_W by a number, adds noise to every entry and a gradient of low
rank. The number goes into c and the gradient into L and R, so that only the noise passes over the N² entries. Now and
then the outer products are added to A, all at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import get_blas_funcs

from numerics.sampling.network import Array

#: Outer products that are kept apart: more make every product with a vector slower, fewer the updates.
_MOST_PRODUCTS = 32
_SMALLEST_SCALE, _LARGEST_SCALE = 0.5, 2.0


@dataclass(frozen=True, eq=False)
class UpdatedMatrices:
    """Whitened recurrent matrices ``c (A + L Rᵀ)``; the connections of the network that has them.

    Attributes:
        dense: A, (layers, N, N).
        scale: c, not 0.
        left, right: L and R transposed, (layers, rank, N).
        unit: prior standard deviation of an entry of W.
        ahead: ``A^(1) φ^1``, (N, P), for the activity of the first time that these matrices will be given; made while A
            was in cache. None if it is not known.
    """

    dense: Array
    scale: float
    left: Array
    right: Array
    unit: float
    ahead: Array | None

    def forward(self, step: int, phi: Array) -> Array:
        """``W^(t) φ``, (N, P)."""
        layer = min(step, len(self.dense) - 1)
        product = multiplied(self.dense[layer], phi) if step > 0 or self.ahead is None else self.ahead.copy()
        if self.left.shape[1]:
            product += multiplied(self.left[layer].T, multiplied(self.right[layer], phi))
        return np.asarray(np.multiply(product, self.dense.dtype.type(self.unit * self.scale), out=product))

    def backward(self, step: int, delta: Array) -> Array:
        """``W^(t)ᵀ δ``, (N, P)."""
        layer = min(step, len(self.dense) - 1)
        product = multiplied(self.dense[layer].T, delta)
        if self.left.shape[1]:
            product += multiplied(self.right[layer].T, multiplied(self.left[layer], delta))
        return np.asarray(np.multiply(product, self.dense.dtype.type(self.unit * self.scale), out=product))

    def written_out(self) -> Array:
        """η_W, (layers, N, N)."""
        out: Array = np.multiply(self.dense, self.dense.dtype.type(self.scale))
        for layer in range(len(out)):
            self.add_products(layer, slice(None), self.scale, out[layer])
        return out

    def crowded(self, shrink: float, more: int) -> bool:
        """Whether the next step, by a factor `shrink` and `more` outer products, must write everything out first."""
        scale = abs(self.scale * shrink)
        return self.left.shape[1] + more > _MOST_PRODUCTS or not _SMALLEST_SCALE <= scale <= _LARGEST_SCALE

    def add_products(self, layer: int, rows: slice, factor: float, out: Array) -> None:
        """Add some rows of ``factor · L Rᵀ`` to `out`, in place."""
        if self.left.shape[1]:
            gemm = get_blas_funcs("gemm", (out,))
            # BLAS reads columns first: every matrix is a transpose.
            gemm(factor, self.right[layer].T, self.left[layer][:, rows], beta=1.0, c=out.T, overwrite_c=True)


def multiplied(matrix: Array, columns: Array) -> Array:
    """``A x``; a single column as a vector, for which BLAS has a faster product."""
    if columns.shape[1] == 1:
        return np.asarray((matrix @ columns[:, 0])[:, None])
    return np.asarray(matrix @ columns)


def plain(eta: Array, unit: float) -> UpdatedMatrices:
    """Matrices as they are."""
    none = np.zeros((len(eta), 0, eta.shape[-1]), eta.dtype)
    return UpdatedMatrices(eta, 1.0, none, none, unit, None)

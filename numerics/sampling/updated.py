"""Recurrent matrices that are updated many times: a dense part, a scale, and what is not yet added to it.

``η_W = c (A + L Rᵀ + B)``. A Langevin step multiplies η_W by a number and adds a gradient of low rank and noise. The
number goes into c, the gradient into L and R, and of the noise B only products along query directions are drawn. So one
step in many passes over the N² entries: that which adds everything to A.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Thread

import numpy as np
from scipy.linalg import get_blas_funcs

from numerics.linalg import Array
from numerics.sampling.deferred import DeferredNoise, QueriedNoise, no_noise
from numerics.sampling.network import Uses, combined
from numerics.sampling.normals import fill_normal

#: Rows are updated in blocks that stay in cache between drawing the noise and adding it.
_BLOCK_BYTES = 1 << 19
#: Larger matrices are updated in bands of rows, which threads can share.
_BAND_ENTRIES = 1 << 19


@dataclass(frozen=True, eq=False)
class UpdatedMatrices:
    """Whitened recurrent matrices ``c (A + L Rᵀ + B)``.

    Attributes:
        dense: A, (layers, N, N).
        scale: c, not 0.
        left, right: L and R transposed, (layers, rank, N).
        noise: what is known of B.
        unit: prior standard deviation of an entry of W.
    """

    dense: Array
    scale: float
    left: Array
    right: Array
    noise: DeferredNoise
    unit: float

    def in_step(self, rng: np.random.Generator, directions: int, uses: Uses) -> MatricesInStep:
        """The connections of a network with so many query directions of each matrix forward, and as many backward."""
        none = self.noise.variance == 0
        return MatricesInStep(self, None if none else QueriedNoise(rng, self.noise, directions), uses)

    def written_out(self) -> Array:
        """η_W, (layers, N, N); A itself where that is all. All noise must have been drawn."""
        assert self.noise.variance == 0
        if self.scale == 1 and not self.left.shape[1]:
            return self.dense
        out: Array = np.multiply(self.dense, self.dense.dtype.type(self.scale))
        for layer, matrix in enumerate(out):
            _add_products(self.left[layer], self.right[layer], self.scale, matrix)
        return out

    def drawn(
        self,
        rng: np.random.Generator,
        *,
        factor: float | None = None,
        spare: Array | None = None,
        threads: int = 1,
        kept: tuple[Array, Array] | None = None,
    ) -> UpdatedMatrices:
        """The same matrices with all noise drawn and added to A.

        Args:
            rng: source of the noise.
            factor: where it is given, nothing is kept apart: the result is ``factor · (A + L Rᵀ + B)``.
            spare: an array like A where the new one is written; it may be A itself.
            threads: that share the work; the result is the same for any number.
            kept: earlier standard normals to which the new ones are added before use, and where the new ones are kept.
        """
        layers, N = self.dense.shape[:2]
        dense = np.empty_like(self.dense) if spare is None else spare
        height = max(1, _BAND_ENTRIES // N)
        bands = [(layer, slice(top, min(top + height, N))) for layer in range(layers) for top in range(0, N, height)]
        adding = _Adding(self, 1.0 if factor is None else factor, dense, kept, len(bands))
        streams = [rng]
        if len(bands) > 1:  # a band's own, so that the numbers do not depend on which thread draws them
            seeds = rng.integers(2**63, size=(len(bands), 4))
            streams = [np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed))) for seed in seeds]
        _share(threads, [partial(adding.noise, *item) for item in zip(streams, range(len(bands)), bands, strict=True)])
        left, right = adding.corrections(bands)
        if factor is not None:
            left, right = np.concatenate([left, self.left], axis=1), np.concatenate([right, self.right], axis=1)
        products = [(left[layer][:, rows], right[layer], adding.factor, dense[layer, rows]) for layer, rows in bands]
        _share(threads, [partial(_add_products, *item) for item in products])
        if factor is not None:
            return plain(dense, self.unit)
        return replace(self, dense=dense, noise=no_noise(layers, N, dense.dtype))


class _Adding:
    """Noise on its way to all entries: first all of Z, then what makes it agree with the products that are known."""

    def __init__(
        self, W: UpdatedMatrices, factor: float, dense: Array, kept: tuple[Array, Array] | None, bands: int
    ) -> None:
        """
        Args:
            W: before.
            factor: what A and the noise are multiplied by.
            dense: where the sum is written.
            kept: as in `UpdatedMatrices.drawn`.
            bands: number of bands of rows.
        """
        self.factor = factor
        self._W, self._dense, self._kept = W, dense, kept
        self._spread = math.sqrt(W.noise.variance)
        right, left = W.noise.frames
        self._from_right = np.empty_like(right)
        self._from_left = np.zeros((bands, *left.shape[1:]), left.dtype)

    def noise(self, rng: np.random.Generator, number: int, band: tuple[int, slice]) -> None:
        """Add ``√v Z`` to a band of rows, and note Z's products with the query directions."""
        layer, rows = band
        N = self._dense.shape[-1]
        height = max(1, _BLOCK_BYTES // (N * self._dense.itemsize))
        scratch = np.empty((min(height, N), N), self._dense.dtype)
        axpy = get_blas_funcs("axpy", (scratch,))
        right, left = self._W.noise.frames[:, layer]
        for top in range(rows.start, rows.stop, height):
            where = slice(top, min(top + height, rows.stop))
            before, after = self._W.dense[layer, where], self._dense[layer, where]
            if self.factor != 1:
                np.multiply(before, before.dtype.type(self.factor), out=after)
            elif self._dense is not self._W.dense:
                after[...] = before
            if self._spread == 0:
                continue
            block = scratch[: where.stop - where.start]
            self._fill(rng, layer, where, block)
            axpy(block.reshape(-1), after.reshape(-1), a=self.factor * self._spread)
            if len(right):
                self._from_right[layer][:, where] = right @ block.T
                self._from_left[number] += left[:, where] @ block

    def _fill(self, rng: np.random.Generator, layer: int, where: slice, block: Array) -> None:
        if self._kept is None:
            fill_normal(rng, block)
            return
        last, fresh = self._kept
        fill_normal(rng, fresh[layer, where])
        np.add(fresh[layer, where], last[layer, where], out=block)

    def corrections(self, bands: Sequence[tuple[int, slice]]) -> tuple[Array, Array]:
        """``P (G - √v Zᵀ P)ᵀ + (1 - P Pᵀ) (F - √v Z Q) Qᵀ`` as outer products, (layers, 2 k, N) each."""
        (right, left), (forward, backward) = self._W.noise.frames, self._W.noise.products
        spread = forward.dtype.type(self._spread)
        ahead = forward - spread * self._from_right
        ahead -= (ahead @ left.transpose(0, 2, 1)) @ left
        back = backward.copy()
        for number, (layer, _) in enumerate(bands):
            back[layer] -= spread * self._from_left[number]
        return np.concatenate([left, ahead], axis=1), np.concatenate([back, right], axis=1)


def _add_products(left: Array, right: Array, factor: float, out: Array) -> None:
    """Add ``factor · L Rᵀ`` to a matrix in place; L and R transposed, (rank, rows) and (rank, columns)."""
    if len(left):
        gemm = get_blas_funcs("gemm", (out,))
        # BLAS reads columns first: every matrix is a transpose.
        gemm(factor, right.T, left, beta=1.0, c=out.T, overwrite_c=True)


def _share(threads: int, parts: Sequence[Callable[[], None]]) -> None:
    """Call all parts, on several threads."""

    def some(first: int) -> None:
        for part in parts[first::threads]:
            part()

    helpers = [Thread(target=some, args=(first,)) for first in range(1, min(threads, len(parts)))]
    for helper in helpers:
        helper.start()
    some(0)
    for helper in helpers:
        helper.join()


@dataclass(frozen=True, eq=False)
class MatricesInStep:
    """Matrices while a network takes products with them; their noise is drawn along these query directions.

    Attributes:
        matrices: as they were before.
        queried: their noise; None where there is none.
        uses: of every step, the layers in it and their coefficients.
    """

    matrices: UpdatedMatrices
    queried: QueriedNoise | None
    uses: Uses

    def forward(self, step: int, phi: Array) -> Array:
        """``W^(t) φ``, (N, P)."""
        own = self.matrices

        def product(layer: int) -> Array:
            noise = None if self.queried is None else self.queried.forward(layer, phi)
            return self._product(own.dense[layer], own.left[layer], own.right[layer], noise, phi)

        return combined(self.uses[step], product)

    def backward(self, step: int, delta: Array) -> Array:
        """``W^(t)ᵀ δ``, (N, P)."""
        own = self.matrices

        def product(layer: int) -> Array:
            noise = None if self.queried is None else self.queried.backward(layer, delta)
            return self._product(own.dense[layer].T, own.right[layer], own.left[layer], noise, delta)

        return combined(self.uses[step], product)

    def _product(self, dense: Array, left: Array, right: Array, noise: Array | None, columns: Array) -> Array:
        """``c (A + L Rᵀ + B) x`` in units of W, where ``B x`` is `noise`."""
        product = multiplied(dense, columns)
        if len(left):
            product += multiplied(left.T, multiplied(right, columns))
        if noise is not None:
            product += noise
        scale = dense.dtype.type(self.matrices.unit * self.matrices.scale)
        return np.asarray(np.multiply(product, scale, out=product))

    def noise(self) -> DeferredNoise:
        """What is known of the noise after the products."""
        return self.matrices.noise if self.queried is None else self.queried.noise()


def stacked(parts: Sequence[Array]) -> Array:
    """Arrays (rank, N) of each layer as one, (layers, largest rank, N), filled up with zeros."""
    if len(parts) == 1:
        return parts[0][None]
    ranks = [len(part) for part in parts]
    if min(ranks) == max(ranks):
        return np.array(parts)
    full = np.zeros((len(parts), max(ranks), parts[0].shape[1]), parts[0].dtype)
    for layer, part in enumerate(parts):
        full[layer, : len(part)] = part
    return full


def multiplied(matrix: Array, columns: Array) -> Array:
    """``A x``; a single column as a vector, for which BLAS has a faster product."""
    if columns.shape[1] == 1:
        return np.asarray((matrix @ columns[:, 0])[:, None])
    return np.asarray(matrix @ columns)


def plain(eta: Array, unit: float) -> UpdatedMatrices:
    """Matrices as they are."""
    layers, N = len(eta), eta.shape[-1]
    none = np.zeros((layers, 0, N), eta.dtype)
    return UpdatedMatrices(eta, 1.0, none, none, no_noise(layers, N, eta.dtype), unit)

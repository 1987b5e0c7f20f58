"""Gaussian noise of N × N matrices, drawn along query directions only, and in full once in many steps.

A step of Langevin dynamics adds N² normals to W, but the network takes a few products with W only: the query
directions. Let B be the noise that W has gathered, of variance v an entry, and let q_1 … q_k and p_1 … p_k be
orthonormal query directions, for which ``F = B Q`` and ``G = Bᵀ P`` are known. Then

    B = P Gᵀ + (1 - P Pᵀ) F Qᵀ + √v (1 - P Pᵀ) Z (1 - Q Qᵀ),

where Z, of standard normals, is independent of all products so far. Along a further direction q,
``B q = P Gᵀ q + √v (1 - P Pᵀ) g`` with fresh normals g. Another step's noise adds to F, to G and to v. The law is
exactly that of matrices drawn at once, also where directions depend on earlier products: Z is independent of these.
Derived in derivations/appendix/13_noise_along_query_directions.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from numerics.linalg import Array
from numerics.sampling.normals import fill_normal


@dataclass(frozen=True, eq=False)
class DeferredNoise:
    """What is known of B.

    Attributes:
        variance: v.
        frames: the query directions q_i, then p_i, each (layers, k, N).
        products: B q_i, then Bᵀ p_i, likewise.
    """

    variance: float
    frames: Array
    products: Array

    @property
    def directions(self) -> int:
        """k."""
        return int(self.frames.shape[2])

    def with_more(self, rng: np.random.Generator, variance: float) -> DeferredNoise:
        """With independent noise of a given variance added."""
        total = self.variance + variance
        if not self.directions:
            return replace(self, variance=total)
        more = np.empty_like(self.products)
        fill_normal(rng, more, math.sqrt(variance))
        right, left = self.frames
        # Both halves hold pᵀ ξ q.
        across = left @ more[0].transpose(0, 2, 1) - more[1] @ right.transpose(0, 2, 1)
        more[1] += across @ right
        more += self.products
        return replace(self, variance=total, products=more)


def no_noise(layers: int, width: int, dtype: np.dtype[np.generic]) -> DeferredNoise:
    """B = 0."""
    none = np.zeros((2, layers, 0, width), dtype)
    return DeferredNoise(0.0, none, none)


class QueriedNoise:
    """B while products are taken with it: each is drawn along its query directions, and remembered."""

    def __init__(self, rng: np.random.Generator, noise: DeferredNoise, more: int) -> None:
        """Make room for `more` directions of each layer, on either side."""
        sides, layers, known, N = noise.frames.shape
        self._rng, self._variance = rng, noise.variance
        self._frames, self._products = (
            np.empty((sides, layers, known + more, N), noise.products.dtype) for _ in range(2)
        )
        self._frames[:, :, :known] = noise.frames
        self._products[:, :, :known] = noise.products
        self._counts = np.full((sides, layers), known)

    def forward(self, layer: int, columns: Array) -> Array:
        """``B x`` for columns x, (N, P)."""
        return self._product(0, layer, columns)

    def backward(self, layer: int, columns: Array) -> Array:
        """``Bᵀ x`` for columns x, (N, P)."""
        return self._product(1, layer, columns)

    def noise(self) -> DeferredNoise:
        """What is known of B now; where there is room for more query directions, along random ones too."""
        for side, layer in np.argwhere(self._counts < self._frames.shape[2]):
            missing = self._frames.shape[2] - self._counts[side, layer]
            self._product(side, layer, np.zeros((self._frames.shape[3], missing), self._frames.dtype))
        return DeferredNoise(self._variance, self._frames, self._products)

    def _product(self, side: int, layer: int, columns: Array) -> Array:
        frame, products = self._frames[side, layer], self._products[side, layer]
        others = slice(self._counts[1 - side, layer])
        across, known = self._frames[1 - side, layer, others], self._products[1 - side, layer, others]
        count = int(self._counts[side, layer])
        for column in columns.T:
            direction = _new_direction(self._rng, frame[:count], column)
            drawn = products[count]
            fill_normal(self._rng, drawn, math.sqrt(self._variance))
            drawn += (known @ direction - across @ drawn) @ across
            frame[count] = direction
            count += 1
        self._counts[side, layer] = count
        if columns.shape[1] == 1:
            return np.asarray(((frame[:count] @ columns[:, 0]) @ products[:count])[:, None])
        return np.asarray(products[:count].T @ (frame[:count] @ columns))


def _new_direction(rng: np.random.Generator, frame: Array, vector: Array) -> Array:
    """What a frame of orthonormal rows leaves of a vector, normalised; of a random one if it leaves nothing."""
    rest = vector - (frame @ vector) @ frame
    size = float(rest @ rest)
    if not size > (100 * np.finfo(vector.dtype).eps) ** 2 * float(vector @ vector):
        fill_normal(rng, rest)
        rest -= (frame @ rest) @ frame
        size = float(rest @ rest)
    rest /= rest.dtype.type(math.sqrt(size))
    rest -= (frame @ rest) @ frame  # the first pass's rounding errors may have been scaled up
    rest /= np.sqrt(rest @ rest)
    return np.asarray(rest)

"""Block-diagonal matrices whose blocks belong to times, of one size or of several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from numerics.linalg import FloatArray


@dataclass(frozen=True)
class TimeBlocks:
    """Rows of k times, sizes[t] of each. Blocks are (…, k, r, r) with r the largest size, zero beyond their own.

    Attributes:
        sizes: rows of each time.
    """

    sizes: tuple[int, ...]

    @cached_property
    def _parts(self) -> list[slice]:
        ends = np.cumsum(self.sizes)
        return [slice(int(end) - size, int(end)) for end, size in zip(ends, self.sizes, strict=True)]

    @cached_property
    def _alike(self) -> bool:
        return len(set(self.sizes)) == 1

    def diagonal(self, A: FloatArray, B: FloatArray | None) -> FloatArray:
        """The diagonal blocks of ``A Bᵀ``, for rows A (…, Σr, c) and B (Σr, c); of A itself where B is None."""
        k, r = len(self.sizes), max(self.sizes)
        if B is not None and self._alike:
            left, right = A.reshape(*A.shape[:-2], k, r, A.shape[-1]), B.reshape(k, r, B.shape[-1])
            return np.asarray(left @ right.swapaxes(-1, -2))
        if B is None and A.ndim == 2 and self._alike:
            each = np.arange(k)
            return A.reshape(k, r, k, r)[each, :, each]
        blocks = np.zeros((*A.shape[:-2], k, r, r))
        for t, (part, size) in enumerate(zip(self._parts, self.sizes, strict=True)):
            blocks[..., t, :size, :size] = A[..., part, part] if B is None else A[..., part, :] @ B[part].T
        return blocks

    def times(self, blocks: FloatArray, rows: FloatArray) -> FloatArray:
        """The block-diagonal matrix times rows (Σr, c), (…, Σr, c)."""
        if self._alike:
            k, r = len(self.sizes), self.sizes[0]
            product = blocks @ rows.reshape(k, r, rows.shape[-1])
            return np.asarray(product.reshape(*blocks.shape[:-3], k * r, rows.shape[-1]))
        out = np.empty((*blocks.shape[:-3], *rows.shape))
        for t, (part, size) in enumerate(zip(self._parts, self.sizes, strict=True)):
            out[..., part, :] = blocks[..., t, :size, :size] @ rows[part]
        return out

    def columns_times(self, A: FloatArray, blocks: FloatArray) -> FloatArray:
        """A (Σr, Σr) times the block-diagonal matrix, (…, Σr, Σr)."""
        out = np.empty((*blocks.shape[:-3], *A.shape))
        for t, (part, size) in enumerate(zip(self._parts, self.sizes, strict=True)):
            out[..., part] = A[:, part] @ blocks[..., t, :size, :size]
        return out

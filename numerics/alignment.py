"""Alignment of kernels of any size that doubles hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def alignment(first: FloatArray, second: FloatArray) -> FloatArray:
    """Uncentred kernel alignment ``tr(AB)/√(tr A² tr B²)`` (docs/theory.md section 9), (…,); NaN for a zero kernel."""
    one, other = direction(first), direction(second)
    return np.asarray(np.sum(one * other, axis=(-2, -1)))


def direction(kernel: FloatArray) -> FloatArray:
    """The kernel over its norm; a power of two first, which rounds nothing and keeps squares in range."""
    size = np.abs(kernel).max(axis=(-2, -1), keepdims=True)
    scaled = np.ldexp(np.asarray(kernel, dtype=np.float64), -np.frexp(size)[1])
    with np.errstate(invalid="ignore"):
        return np.asarray(scaled / np.sqrt(np.sum(scaled**2, axis=(-2, -1), keepdims=True)))

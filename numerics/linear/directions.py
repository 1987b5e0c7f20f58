"""Directions that inputs span, and coordinates along them (docs/theory.md section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from numerics.linalg import FloatArray, IntArray
from numerics.linear.space import CUT


def along(x: FloatArray, V: FloatArray) -> FloatArray:
    """``xV``, the same for equal rows to the last bit."""
    different, which = np.unique(x, axis=0, return_inverse=True)
    return np.asarray((different @ V)[which.ravel()])


def equilibrated(x: FloatArray) -> FloatArray:
    """Rows over their norms, so that small patterns count."""
    sizes = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.where(sizes > 0, sizes, 1.0))


def conditioning(x: FloatArray) -> float:
    """Smallest over largest singular value of equilibrated rows."""
    values = np.linalg.svd(equilibrated(x), compute_uv=False)
    return float(values[len(x) - 1] / values[0]) if len(values) == len(x) and values[0] > 0 else 0.0


def input_directions(x: FloatArray) -> tuple[FloatArray, tuple[int, ...]]:
    """Orthonormal directions that the inputs span, (D, ρ), those of earlier times first; their number at each time."""
    V = np.zeros((x.shape[2], 0))
    counts = []
    for rows in x.transpose(1, 0, 2):
        new = rows[rows.any(axis=1)]
        if len(new) and V.shape[1] < x.shape[2]:
            rest = equilibrated(new)
            largest = math.sqrt(len(new))
            rest = rest - (rest @ V) @ V.T
            _, values, right = np.linalg.svd(np.unique(rest, axis=0), full_matrices=False)
            fresh = right[values > CUT * largest].T
            fresh = np.linalg.qr(fresh - V @ (V.T @ fresh))[0]
            V = np.concatenate([V, fresh], axis=1)
        counts.append(V.shape[1])
    return V, tuple(counts)


def block_starts(sizes: Sequence[int]) -> IntArray:
    """First coordinate of each block, and their number."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)

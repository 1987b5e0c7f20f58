"""What lowered matrix expressions call; no SymPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.lapack import routines as lapack
from numerics.linalg import FloatArray


def factor(A: FloatArray) -> FloatArray:
    """Lower Cholesky factor; ``LinAlgError`` if A is not positive-definite."""
    return np.asarray(np.linalg.cholesky(A), dtype=np.float64)


def inverse(L: FloatArray) -> FloatArray:
    """``(LLᵀ)^{-1}``, exactly symmetric, from the lower factor."""
    half, info = lapack.dpotri(L, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError(f"dpotri returned {info}")
    lower = np.tril(half)
    return np.asarray(lower + np.tril(half, -1).T)


def log_determinant(L: FloatArray) -> float:
    """``ln |LLᵀ|`` from the lower factor."""
    return float(2.0 * np.log(np.diagonal(L)).sum())


def shift(A: FloatArray, P: int) -> FloatArray:
    """``A⁻``: rows and columns moved one time block on, zeros in the first."""
    result = np.zeros_like(A)
    result[P:, P:] = A[:-P, :-P]
    return result


def adjoint_shift(A: FloatArray, P: int) -> FloatArray:
    """``A⁺``: rows and columns moved one time block back, zeros in the last."""
    result = np.zeros_like(A)
    result[:-P, :-P] = A[P:, P:]
    return result


def mask(A: FloatArray, P: int, M: FloatArray | None = None) -> FloatArray:
    """``M∘A``, each P × P block times its entry of M; the diagonal blocks where M is None."""
    if M is not None:
        if P == 1:
            return A * M
        weighted = A.reshape(len(M), P, len(M), P) * M[:, None, :, None]
        return weighted.reshape(A.shape)
    result = np.zeros_like(A)
    blocks = np.arange(len(A)).reshape(-1, P)
    rows, columns = blocks[:, :, None], blocks[:, None, :]
    result[rows, columns] = A[rows, columns]
    return result


def restrict(A: FloatArray, supervised: NDArray[Any]) -> FloatArray:
    """``𝒯A𝒯ᵀ``."""
    if supervised.ndim == 1:
        return np.asarray(A[np.ix_(supervised, supervised)])
    return np.asarray(supervised @ A @ supervised.T)


def embed(A: FloatArray, supervised: NDArray[Any], rows: int) -> FloatArray:
    """``𝒯ᵀA𝒯``."""
    if supervised.ndim == 1:
        result = np.zeros((rows, rows))
        result[np.ix_(supervised, supervised)] = A
        return result
    return np.asarray(supervised.T @ A @ supervised)

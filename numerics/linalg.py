"""Dense linear algebra that several parts need: array types, symmetric matrices and their vectors, alignment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.lapack import routines as lapack

#: Of any dtype: networks are sampled in single precision too.
Array = NDArray[Any]
FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


def symmetric(A: FloatArray) -> FloatArray:
    """``(A + Aᵀ)/2`` over the last two axes."""
    return 0.5 * (A + A.swapaxes(-1, -2))


def norm(A: FloatArray) -> float:
    """The norm of all entries, ``‖A‖``; of small arrays in a third of NumPy's time."""
    return math.sqrt(np.vdot(A, A))


@dataclass(frozen=True, eq=False)
class SymmetricVectors:
    """Symmetric (m, m) matrices as vectors of length s = m(m+1)/2 with ``vec(A)·vec(B) = tr AB``.

    The upper triangle row by row, off-diagonal entries times √2; ``places`` tells where each entry of a matrix stands.
    """

    m: int
    rows: IntArray
    columns: IntArray
    places: IntArray
    weights: FloatArray

    def vec(self, matrix: FloatArray) -> FloatArray:
        """(…, m, m) → (…, s)."""
        return np.asarray(matrix[..., self.rows, self.columns] * self.weights)

    def matrix(self, vector: FloatArray) -> FloatArray:
        """(…, s) → (…, m, m)."""
        return from_entries(np.asarray(vector / self.weights), self.m)

    def products(self, values: FloatArray) -> FloatArray:
        """``vec(a aᵀ)`` for each row a, (K, m) → (K, s)."""
        return np.asarray(values[:, self.rows] * values[:, self.columns] * self.weights)


@lru_cache(maxsize=64)
def symmetric_vectors(m: int) -> SymmetricVectors:
    """The vector form of symmetric (m, m) matrices."""
    rows, columns = np.triu_indices(m)
    places = np.empty((m, m), dtype=np.intp)
    places[rows, columns] = places[columns, rows] = np.arange(len(rows))
    return SymmetricVectors(m, rows, columns, places, np.where(rows == columns, 1.0, math.sqrt(2.0)))


def to_vector(S: FloatArray) -> FloatArray:
    """Orthonormal coordinates of symmetric matrices, (…, m, m) → (…, m(m+1)/2)."""
    return symmetric_vectors(S.shape[-1]).vec(S)


def from_vector(z: FloatArray, m: int, positions: IntArray | None = None) -> FloatArray:
    """Inverse of ``to_vector``; where z has some of its positions only, the others are 0."""
    if positions is not None:
        kept, z = z, np.zeros((*z.shape[:-1], m * (m + 1) // 2))
        z[..., positions] = kept
    return symmetric_vectors(m).matrix(z)


def from_entries(entries: FloatArray, m: int) -> FloatArray:
    """Symmetric matrices with these entries of the upper triangle, row by row, (…, m(m+1)/2) → (…, m, m)."""
    return entries.take(symmetric_vectors(m).places, axis=-1)


# LAPACK directly: for small matrices the checks of NumPy and SciPy take longer than the work itself
def lower_factor(A: FloatArray) -> FloatArray:
    """The lower Cholesky factor of a symmetric matrix.

    Raises:
        numpy.linalg.LinAlgError: it is not positive-definite.
    """
    factor, info = lapack.dpotrf(A, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError(f"dpotrf returned {info}")
    return np.asarray(factor)


def stacked_factors(A: FloatArray) -> FloatArray:
    """Lower Cholesky factors of many small matrices, (k, m, m) → (m, m, k); NaN where one is not positive-definite.

    Entry by entry for all at once: LAPACK takes longer to be called for each than to factorise it.
    """
    m = A.shape[-1]
    left, factors = np.moveaxis(A, 0, -1), np.zeros((m, m, len(A)))
    with np.errstate(invalid="ignore", divide="ignore"):
        for j in range(m):
            column = left[j:, j] - np.einsum("iak,ak->ik", factors[j:, :j], factors[j, :j])
            factors[j:, j] = column / np.sqrt(column[0])
    return factors


def stacked_solve_lower(L: FloatArray, B: FloatArray) -> FloatArray:
    """``L⁻¹B`` for many small lower triangular L, (m, m, k) and (m, n, k)."""
    solved = np.empty_like(B)
    for i in range(len(L)):
        solved[i] = (B[i] - np.einsum("ak,ank->nk", L[i, :i], solved[:i])) / L[i, i]
    return solved


def solve_lower(L: FloatArray, B: FloatArray) -> FloatArray:
    """``L⁻¹B`` for a lower triangular L."""
    solved, info = lapack.dtrtrs(L, B, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError(f"dtrtrs returned {info}")
    return np.asarray(solved)


def solve_factored(L: FloatArray, B: FloatArray) -> FloatArray:
    """``(LLᵀ)⁻¹B``."""
    solved, info = lapack.dpotrs(L, B, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError(f"dpotrs returned {info}")
    return np.asarray(solved)


def eigh(A: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues of a symmetric matrix, in ascending order, and its eigenvectors."""
    values, vectors, info = lapack.dsyevd(A, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError(f"dsyevd returned {info}")
    return np.asarray(values), np.asarray(vectors)


def smallest_eigenpairs(A: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """The smallest eigenvalues of a symmetric matrix, (count,), and their eigenvectors, in columns.

    Raises:
        numpy.linalg.LinAlgError: they are not found.
    """
    values, vectors, found, _, info = lapack.dsyevr(A, range="I", il=1, iu=count, lower=1, lwork=80 * max(len(A), 1))
    if info != 0 or found != count:
        raise np.linalg.LinAlgError(f"dsyevr returned {info}")
    return np.asarray(values[:count]), np.asarray(vectors)


def singular_values(A: FloatArray) -> FloatArray:
    """Those of a matrix, in descending order.

    Raises:
        numpy.linalg.LinAlgError: they are not found.
    """
    _, values, _, info = lapack.dgesdd(A, compute_uv=0)
    if info != 0:
        raise np.linalg.LinAlgError(f"dgesdd returned {info}")
    return np.asarray(values)


def inertia(A: FloatArray) -> int:
    """How many eigenvalues of a symmetric matrix are negative (Bunch and Kaufman 1977)."""
    factors, pivots, _ = lapack.dsytrf(A, lower=1)
    # of a pivot of two rows one is negative
    paired = int(np.count_nonzero(pivots < 0)) // 2
    return paired + int(np.count_nonzero((np.diagonal(factors) < 0) & (pivots >= 0)))


def lu_factors(A: FloatArray) -> tuple[FloatArray, IntArray]:
    """LU factors of a square matrix.

    Raises:
        numpy.linalg.LinAlgError: it is singular.
    """
    factors, pivots, info = lapack.dgetrf(A)
    if info != 0:
        raise np.linalg.LinAlgError(f"dgetrf returned {info}")
    return factors, pivots


def solve_factorised(factors: tuple[FloatArray, IntArray], B: FloatArray) -> FloatArray:
    """``A⁻¹B`` by the factors of A."""
    return np.asarray(lapack.dgetrs(*factors, B)[0])


def positive_solve(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """``A⁻¹ b`` for a covariance A, scaled to unit variances first: its entries may differ by many orders.

    Raises:
        numpy.linalg.LinAlgError: A is not positive-definite.
    """
    size = np.sqrt(np.maximum(np.diagonal(matrix), np.finfo(float).tiny))
    scale = size if right.ndim == 1 else size[:, None]
    return np.asarray(solve_factored(lower_factor(matrix / np.outer(size, size)), right / scale) / scale)


def components(size: int, one: IntArray, other: IntArray) -> IntArray:
    """The number of each node's connected component, in order of their first nodes, (size,).

    Args:
        size: how many nodes there are.
        one, other: the nodes at both ends of each edge.
    """
    first = np.arange(size)
    while True:
        lower = np.minimum(first[one], first[other])
        found = first.copy()
        for places in (one, other, first[one], first[other]):
            np.minimum.at(found, places, lower)
        found = found[found]
        if (found == first).all():
            return np.unique(first, return_inverse=True)[1]
        first = found


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

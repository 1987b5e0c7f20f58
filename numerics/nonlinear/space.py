"""Coordinates of one neuron's trajectory h in which its covariance is regular, and symmetric matrices as vectors.

The inputs at t = 0 may be degenerate (rank r < P): then ``h^1 = A z`` with ``A Aᵀ = u x^0 x^0ᵀ/D`` and r standard
normal coordinates z. At later times Φ⁻ has full rank and h itself is the coordinate: ``h = E g``,
``g = (z, h^2, …, h^n)``, ``g ~ N(0, C_g)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from numerics.problem import FloatArray, Problem

#: Eigenvalues of the input kernel below this, relative to the largest, are zero.
RANK_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class TrajectorySpace:
    """The coordinates of a problem.

    Attributes:
        problem: what is learnt.
        embedding: E, (nP, d).
        inputs: ``C_g`` without its part from Φ, (d, d).
        rank: r, the number of coordinates of the first time.
        mask: 1 where the architecture keeps an entry of Φ⁻, (nP, nP).
    """

    problem: Problem
    embedding: FloatArray
    inputs: FloatArray
    rank: int
    mask: FloatArray

    @property
    def d(self) -> int:
        """Dimension of a trajectory."""
        return int(self.embedding.shape[1])

    @property
    def m(self) -> int:
        """Rows of Φ, nP."""
        return int(self.embedding.shape[0])

    def covariance(self, kernel: FloatArray) -> FloatArray:
        """``C_g[Φ]``, (d, d)."""
        P, C = self.problem.P, self.inputs.copy()
        C[self.rank :, self.rank :] += self.problem.w * (self.mask * kernel)[:-P, :-P]
        return C

    def with_labels(self, part: float) -> TrajectorySpace:
        """The same coordinates with y² scaled by `part`."""
        return replace(self, problem=self.problem.with_(y=self.problem.y * np.sqrt(part)))

    def pull_back(self, matrix: FloatArray) -> FloatArray:
        """The adjoint of ``δΦ → δC_g``: a (d, d) matrix to the (nP, nP) entries of Φ that it comes from."""
        P = self.problem.P
        back = np.zeros((self.m, self.m))
        back[:-P, :-P] = self.problem.w * self.mask[:-P, :-P] * matrix[self.rank :, self.rank :]
        return back


def trajectory_space(problem: Problem) -> TrajectorySpace:
    """The coordinates of `problem`."""
    P, n = problem.P, problem.n
    x = problem.x.transpose(1, 0, 2).reshape(n * P, -1) * np.sqrt(problem.u / problem.D)
    gram = x @ x.T
    size, vectors = np.linalg.eigh(gram[:P, :P])
    keep = size > RANK_TOLERANCE * size.max()
    A = vectors[:, keep] * np.sqrt(size[keep])
    rank = int(keep.sum())
    embedding = np.zeros((n * P, rank + (n - 1) * P))
    embedding[:P, :rank] = A
    embedding[P:, rank:] = np.eye((n - 1) * P)
    inverse = np.linalg.pinv(embedding)
    inputs = inverse @ gram @ inverse.T
    time = np.arange(n * P) // P
    mask = np.ones((n * P,) * 2) if problem.arch == "rnn" else (time[:, None] == time).astype(float)
    return TrajectorySpace(problem, embedding, 0.5 * (inputs + inputs.T), rank, mask)


@dataclass(frozen=True, eq=False)
class SymmetricVectors:
    """Symmetric (m, m) matrices as vectors of length m(m+1)/2 with ``vec(A)·vec(B) = tr AB``."""

    m: int
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    weights: FloatArray

    def vec(self, matrix: FloatArray) -> FloatArray:
        """(…, m, m) → (…, s)."""
        return np.asarray(matrix[..., self.rows, self.columns] * self.weights)

    def matrix(self, vector: FloatArray) -> FloatArray:
        """(…, s) → (…, m, m)."""
        full = np.zeros((*vector.shape[:-1], self.m, self.m))
        full[..., self.rows, self.columns] = vector / self.weights
        full[..., self.columns, self.rows] = vector / self.weights
        return full

    def products(self, values: FloatArray) -> FloatArray:
        """``vec(a aᵀ)`` for each row a, (K, m) → (K, s)."""
        return np.asarray(values[:, self.rows] * values[:, self.columns] * self.weights)


def symmetric_vectors(m: int) -> SymmetricVectors:
    """The vector form of symmetric (m, m) matrices."""
    rows, columns = np.triu_indices(m)
    return SymmetricVectors(m, rows, columns, np.where(rows == columns, 1.0, np.sqrt(2.0)))

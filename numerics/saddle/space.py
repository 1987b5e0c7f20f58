"""The space of kernels that a problem's inputs allow: H = Q Ĥ Qᵀ with Ĥ positive-definite.

The kernel's range is that of the random network's kernel ``H_0 = C[H_0]`` (the prior gives every other direction
zero variance, and the posterior is absolutely continuous to it). With input of rank r < P, working in Q is exact;
no jitter is added anywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numerics.problem import InputError, Problem

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KernelSpace:
    """A basis of the joint index space (t, p), time-major.

    Attributes:
        n, P: hidden times and patterns.
        pattern_basis: orthonormal columns q (P, r) if the basis is ``Q = 1_n ⊗ q``, else None.
        basis: any Q with full column rank, (nP, m), where it is not of that form.
    """

    n: int
    P: int
    pattern_basis: FloatArray | None
    basis: FloatArray | None

    @property
    def dimension(self) -> int:
        """Columns of Q, m."""
        if self.pattern_basis is not None:
            return int(self.n * self.pattern_basis.shape[1])
        assert self.basis is not None
        return int(self.basis.shape[1])

    @property
    def block(self) -> int:
        """Size of a time block in the coordinates in which the mask acts: r, or P for a general basis."""
        return self.P if self.pattern_basis is None else int(self.pattern_basis.shape[1])

    def full_basis(self) -> FloatArray:
        """Q, (nP, m)."""
        if self.pattern_basis is not None:
            return np.asarray(np.kron(np.eye(self.n), self.pattern_basis), dtype=np.float64)
        assert self.basis is not None
        return self.basis

    def expand(self, H: FloatArray) -> FloatArray:
        """``Q H Qᵀ``, (nP, nP)."""
        if self.pattern_basis is not None and self.pattern_basis.shape[1] == self.P:
            q = self.pattern_basis
            if np.array_equal(q, np.eye(self.P)):
                return H.copy()
        Q = self.full_basis()
        return 0.5 * (Q @ H @ Q.T + (Q @ H @ Q.T).T)

    def basis_rows(self, positions: NDArray[np.intp]) -> FloatArray:
        """Rows of Q at positions of the joint index."""
        if self.pattern_basis is None:
            assert self.basis is not None
            return self.basis[positions]
        rows = np.zeros((len(positions), self.n, self.block))
        rows[np.arange(len(positions)), positions // self.P] = self.pattern_basis[positions % self.P]
        return rows.reshape(len(positions), -1)

    def project_inputs(self, problem: Problem) -> FloatArray:
        """``uX⁻`` in the space, (m, m)."""
        X = input_covariance(problem)
        if self.pattern_basis is not None:
            q, r = self.pattern_basis, self.block
            blocks = X.reshape(self.n, self.P, self.n, self.P)
            reduced = np.einsum("pa,tpsq,qb->tasb", q, blocks, q, optimize=True)
            return np.asarray(reduced.reshape(self.n * r, self.n * r))
        assert self.basis is not None
        dual = np.linalg.pinv(self.basis)
        return dual @ X @ dual.T

    # --- the shift in time and the mask -----------------------------------------------------------------------

    def shift_rows(self, A: FloatArray) -> FloatArray:
        """``ΣA``: rows moved one time on."""
        if self.pattern_basis is not None:
            r = self.block
            moved = np.zeros_like(A)
            moved[r:] = A[:-r]
            return moved
        return self._shift_matrix() @ A

    def _shift_matrix(self) -> FloatArray:
        assert self.basis is not None
        moved = np.zeros_like(self.basis)
        moved[self.P :] = self.basis[: -self.P]
        # the range of H_0 contains its own shift, so this solves exactly
        return np.asarray(np.linalg.lstsq(self.basis, moved, rcond=None)[0])

    def rows(self, A: FloatArray) -> FloatArray:
        """Time blocks 1 … n-1 of ``QA``, (n-1, block, columns)."""
        if self.pattern_basis is not None:
            return A.reshape(self.n, self.block, -1)[:-1]
        assert self.basis is not None
        return (self.basis @ A).reshape(self.n, self.P, -1)[:-1]

    def receiving_rows(self) -> FloatArray:
        """The maps R_t with ``(C)_blocks = Σ_t R_tᵀ (block t of H) R_t`` for the masked shift, (n-1, block, m)."""
        if self.pattern_basis is not None:
            return np.eye(self.dimension).reshape(self.n, self.block, -1)[1:]
        assert self.basis is not None
        dual = np.asarray(np.linalg.pinv(self.basis)).T
        return dual.reshape(self.n, self.P, -1)[1:]

    def shifted(self, H: FloatArray, arch: str) -> FloatArray:
        """``[H⁻]`` in the space, with the architecture's mask."""
        if arch == "rnn":
            return self.shift_rows(self.shift_rows(H).T).T
        if self.pattern_basis is not None:
            r, n = self.block, self.n
            moved = np.zeros_like(H)
            source, target = H.reshape(n, r, n, r), moved.reshape(n, r, n, r)
            for t in range(n - 1):
                target[t + 1, :, t + 1] = source[t, :, t]
            return moved
        assert self.basis is not None
        receive = self.receiving_rows()
        send = self.basis.reshape(self.n, self.P, -1)[:-1]
        blocks = send @ H @ np.swapaxes(send, -1, -2)
        return np.asarray(np.einsum("tam,tab,tbk->mk", receive, blocks, receive, optimize=True))


def input_covariance(problem: Problem) -> FloatArray:
    """``u X⁻``, ``(X⁻)^{tt'}_{pp'} = x^{t-1}_p · x^{t'-1}_{p'} / D``, (nP, nP)."""
    factor = input_factor(problem)
    return factor @ factor.T


def input_factor(problem: Problem) -> FloatArray:
    """``√(u/D) x^{t-1}_p`` as rows in the time-major index, (nP, D)."""
    rows = problem.x.transpose(1, 0, 2).reshape(problem.n * problem.P, problem.D)
    return math.sqrt(problem.u / problem.D) * rows


def kernel_space(problem: Problem) -> KernelSpace:
    """The range of the random network's kernel.

    Raises:
        InputError: a pattern's input is zero at all times up to a supervised one, so that its output cannot be
            anything but zero.
    """
    n, P = problem.n, problem.P
    if not problem.x[:, 1:].any():
        q = _range(problem.x[:, 0])
        dead = ~problem.x[:, 0].any(axis=1)
        if dead.any() and np.isfinite(problem.y[dead]).any():
            raise InputError("x: is zero for a supervised pattern; accepted: non-zero inputs for supervised patterns")
        if q.shape[1] == P:
            q = np.eye(P)
        return KernelSpace(n, P, q, None)
    basis = _range(_prior_factor(problem))
    if basis.shape[1] == n * P:
        return KernelSpace(n, P, np.eye(P), None)
    return KernelSpace(n, P, None, basis)


def _range(A: FloatArray) -> FloatArray:
    """Orthonormal basis of the column space; rows are equilibrated first, so that small patterns count."""
    sizes = np.linalg.norm(A, axis=1)
    scaled = A / np.where(sizes > 0, sizes, 1.0)[:, None]
    left, values, _ = np.linalg.svd(scaled, full_matrices=False)
    rank = int(np.sum(values > values[0] * max(A.shape) * np.finfo(np.float64).eps))
    unscaled = left[:, :rank] * np.where(sizes > 0, sizes, 0.0)[:, None]
    return np.linalg.qr(unscaled)[0]


def _prior_factor(problem: Problem) -> FloatArray:
    """A factor Z with ``H_0 = ZZᵀ``: the responses to independent Gaussian weights, (nP, columns).

    RNN: the responses W^k U are independent for different k, ``H_0 = Σ_k w^k Σ^k uX⁻ (Σᵀ)^k``. DNN: each time's random
    weights are fresh, so h^t is a fresh draw with the last time's covariance, plus the shared ``U x^{t-1}``.
    """
    n, P = problem.n, problem.P
    inputs = input_factor(problem)
    columns = [inputs]
    if problem.arch == "rnn":
        for k in range(1, n):
            moved = np.zeros_like(inputs)
            moved[k * P :] = problem.w ** (k / 2) * inputs[: -k * P]
            columns.append(moved)
        return np.concatenate(columns, axis=1)
    fresh = inputs[:P]  # a factor of the time's own covariance
    for t in range(1, n):
        block = np.zeros((n * P, fresh.shape[1]))
        block[t * P : (t + 1) * P] = math.sqrt(problem.w) * fresh
        columns.append(block)
        own = np.concatenate([math.sqrt(problem.w) * fresh, inputs[t * P : (t + 1) * P]], axis=1)
        left, values, _ = np.linalg.svd(own, full_matrices=False)
        fresh = left * values
    return np.concatenate(columns, axis=1)

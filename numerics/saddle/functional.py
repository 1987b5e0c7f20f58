"""The linear network's kernel free energy for any problem, with exact derivatives in the natural metric.

``F(H) = ½ yᵀ(v 𝒯H𝒯ᵀ+κ)⁻¹y + ½ tr[HC⁻¹] - ½ ln(|H|/|C|) - m/2``, ``C = w[H⁻] + uX⁻`` (THEORY.md section 3).

A kernel close to ``H = LLᵀ`` is ``L exp(S) Lᵀ`` with a symmetric ``S``: then H stays positive-definite, and the entropy
is of order one in S whatever the scales of H. Gradient and Hessian here are in S: ``dF = ⟨G, S⟩ + ½⟨S, 𝓗S⟩ + …``. With
``M = LᵀC⁻¹L``, ``D = √w L⁻¹ΣL`` (Σ shifts one time on), ``N = MD``, ``A = DᵀMD`` and ``B = NᵀN - ½A``,

``G  = -½ v q̂q̂ᵀ + ½(M - 1) + ½(A - NᵀN)``,
``𝓗S = ½S - ½NSNᵀ - ½NᵀSN + ½(ASB + BSA) + energy + ½(GS + SG)``,

where ``q̂ = Lᵀ𝒯ᵀ(v𝒯H𝒯ᵀ+κ)⁻¹y`` and the last pair is the curvature of the path ``exp(S)`` itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from numerics.problem import Problem
from numerics.saddle.space import KernelSpace, kernel_space
from numerics.symmetry.states import actions

FloatArray = NDArray[np.float64]


# LAPACK directly: for small kernels SciPy's checks would take longer than the solve itself
def _solve_lower(L: FloatArray, B: FloatArray) -> FloatArray:
    """``L⁻¹B`` for a lower triangular L."""
    solved, info = lapack.dtrtrs(L, B, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError(f"dtrtrs returned {info}")
    return np.asarray(solved)


def _solve_factored(L: FloatArray, B: FloatArray) -> FloatArray:
    """``(LLᵀ)⁻¹B``."""
    solved, info = lapack.dpotrs(L, B, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError(f"dpotrs returned {info}")
    return np.asarray(solved)


def symmetric(A: FloatArray) -> FloatArray:
    """``(A + Aᵀ)/2`` over the last two axes."""
    return 0.5 * (A + np.swapaxes(A, -1, -2))


@dataclass(frozen=True, eq=False)
class KernelFunctional:
    """``F`` of one problem on the space of kernels that its inputs allow.

    Attributes:
        space: the m-dimensional space in which kernels are positive-definite.
        arch: ``"rnn"`` or ``"dnn"``.
        readout: rows of the space's basis at the supervised positions, (s, m).
        labels: their labels, (s,).
        v, w, kappa: widths and noise.
        input_covariance: ``uX⁻`` in the space, (m, m).
        reversals: how each generator of the sign symmetries acts on kernels (``numerics.symmetry.states``).
    """

    space: KernelSpace
    arch: Literal["rnn", "dnn"]
    readout: FloatArray
    labels: FloatArray
    v: float
    w: float
    kappa: float
    input_covariance: FloatArray
    reversals: tuple[FloatArray, ...]

    @property
    def dimension(self) -> int:
        """Rows of the unknown matrix, m."""
        return self.space.dimension

    def covariance(self, H: FloatArray) -> FloatArray:
        """``C = w[H⁻] + uX⁻`` in the space."""
        return self.w * self.space.shifted(H, self.arch) + self.input_covariance

    def prior_kernel(self) -> FloatArray:
        """``H_0 = C[H_0]``, the kernel of the random network: n forward steps."""
        H = self.input_covariance
        for _ in range(self.space.n - 1):
            H = self.covariance(H)
        return H

    def at(self, H: FloatArray) -> KernelPoint:
        """Factorise at ``H``.

        Raises:
            numpy.linalg.LinAlgError: H is not positive-definite.
        """
        return KernelPoint(self, H, np.asarray(np.linalg.cholesky(H)))


@dataclass(frozen=True, eq=False)
class KernelPoint:
    """A kernel with its factorisations: value, gradient and Hessian–vector products of F.

    Attributes:
        functional: the free energy.
        H: kernel in the space, (m, m).
        L: its lower Cholesky factor; S is measured in it.
    """

    functional: KernelFunctional
    H: FloatArray
    L: FloatArray

    @cached_property
    def _covariance_factor(self) -> FloatArray:
        return np.asarray(np.linalg.cholesky(self.functional.covariance(self.H)))

    @cached_property
    def M(self) -> FloatArray:
        """``LᵀC⁻¹L``; its eigenvalues are those of ``C⁻¹H``."""
        half = _solve_lower(self._covariance_factor, self.L)
        return half.T @ half

    @cached_property
    def _readout(self) -> FloatArray:
        return self.functional.readout @ self.L

    @cached_property
    def _noisy(self) -> FloatArray:
        """Lower factor of ``v𝒯H𝒯ᵀ + κ``, (s, s)."""
        f = self.functional
        gram = f.v * self._readout @ self._readout.T
        gram.flat[:: len(gram) + 1] += f.kappa
        return np.asarray(np.linalg.cholesky(gram))

    @cached_property
    def dual(self) -> FloatArray:
        """``q = (v𝒯H𝒯ᵀ + κ)⁻¹ y``, (s,)."""
        return _solve_factored(self._noisy, self.functional.labels)

    @cached_property
    def _q(self) -> FloatArray:
        return np.asarray(self._readout.T @ self.dual)

    @cached_property
    def energy(self) -> float:
        """``½ yᵀ(v𝒯H𝒯ᵀ + κ)⁻¹y``."""
        return 0.5 * float(self.functional.labels @ self.dual)

    @cached_property
    def entropy(self) -> float:
        """``½ tr[HC⁻¹] - m/2 - ½ ln(|H|/|C|)``, the divergence from the random network; at least 0."""
        # sum of x - 1 - ln x over the eigenvalues x of C⁻¹H, from diagonals where nothing cancels badly
        logs = 2.0 * np.log(np.diagonal(self.L) / np.diagonal(self._covariance_factor))
        return 0.5 * float(np.sum(np.diagonal(self.M) - 1.0 - logs))

    @property
    def free_energy(self) -> float:
        """``F``."""
        return self.energy + self.entropy

    # --- gradient -----------------------------------------------------------------------------------------------

    @cached_property
    def _messages(self) -> FloatArray:
        """``½ × `` the adjoint of the covariance map on ``C⁻¹ - C⁻¹HC⁻¹``, in S-coordinates."""
        if self.functional.arch == "rnn":
            return 0.5 * (self._A - self._NN)
        return self._dnn.adjoint(self._dnn.precision - self._dnn.response)

    @property
    def energy_gradient(self) -> FloatArray:
        """The energy's part of ``G``, ``-½ v q̂q̂ᵀ``, (m, m)."""
        return -0.5 * self.functional.v * np.outer(self._q, self._q)

    @cached_property
    def gradient(self) -> FloatArray:
        """``G`` with ``dF = ⟨G, S⟩`` for ``H → L exp(S) Lᵀ``, (m, m)."""
        G = 0.5 * self.M + self._messages + self.energy_gradient
        G.flat[:: len(G) + 1] -= 0.5
        return symmetric(G)

    @cached_property
    def residual(self) -> float:
        """``‖G‖/Σ‖terms of G‖`` (Frobenius norms): relative to what cancels at a stationary point."""
        f = self.functional
        energy = 0.5 * f.v * float(self._q @ self._q)
        scale = energy + 0.5 * float(np.linalg.norm(self.M)) + 0.5 * math.sqrt(f.dimension)
        return float(np.linalg.norm(self.gradient)) / (scale + float(np.linalg.norm(self._messages)))

    # --- Hessian ------------------------------------------------------------------------------------------------

    @cached_property
    def _D(self) -> FloatArray:
        shifted = self.functional.space.shift_rows(self.L)
        return math.sqrt(self.functional.w) * _solve_lower(self.L, shifted)

    @cached_property
    def _N(self) -> FloatArray:
        return self.M @ self._D

    @cached_property
    def _A(self) -> FloatArray:
        return self._D.T @ self._N

    @cached_property
    def _NN(self) -> FloatArray:
        return self._N.T @ self._N

    @cached_property
    def _B(self) -> FloatArray:
        return self._NN - 0.5 * self._A

    @cached_property
    def _dnn(self) -> _MaskedMaps:
        return _MaskedMaps(self)

    @cached_property
    def _readout_response(self) -> FloatArray:
        """``L ᵀ𝒯ᵀ(v𝒯H𝒯ᵀ+κ)⁻¹𝒯L`` as its half, (s, m)."""
        return _solve_lower(self._noisy, self._readout)

    def hessian_product(self, S: FloatArray) -> FloatArray:
        """``𝓗S`` for a symmetric S, or a stack of them (…, m, m); exactly symmetric, as iterations on it need."""
        return symmetric(self._curvature(S) + self.gradient @ S)

    def euclidean_hessian_product(self, S: FloatArray) -> FloatArray:
        """The change of ``Lᵀ(∂F/∂H)L`` with L held fixed: ``𝓗S`` without the curvature of the path."""
        return self._curvature(S)

    def _curvature(self, S: FloatArray) -> FloatArray:
        f = self.functional
        Sq = S @ self._q
        half = self._readout_response
        dq = -f.v * (Sq @ half.T) @ half
        energy = -0.5 * f.v * (dq[..., :, None] * self._q + dq[..., None, :] * self._q[:, None])
        if f.arch == "dnn":
            return 0.5 * S + energy + self._dnn.curvature(S)
        N = self._N
        forward = N @ (S @ N.T)
        backward = N.T @ (S @ N)
        return 0.5 * S - 0.5 * (forward + backward) + symmetric(self._A @ (S @ self._B)) + energy

    # --- moves --------------------------------------------------------------------------------------------------

    def move(self, S: FloatArray) -> KernelPoint:
        """The point ``L exp(S) Lᵀ``; the factor is recomputed."""
        values, vectors = np.linalg.eigh(symmetric(S))
        half = (self.L @ vectors) * np.exp(0.5 * values)
        return self.functional.at(half @ half.T)


def _by_block(rows: FloatArray) -> FloatArray:
    """Rows of time blocks (t, P, (s, P)) → (s, (t, P), P): the columns of block s together."""
    blocks, P, columns = rows.shape
    return np.ascontiguousarray(rows.reshape(blocks * P, columns // P, P).transpose(1, 0, 2))


def _by_block_inverse(columns: FloatArray) -> FloatArray:
    """(…, s, (t, P), P) → (…, t, P, (s, P))."""
    *lead, blocks, rows, P = columns.shape
    return np.moveaxis(columns, -3, -2).reshape(*lead, rows // P, P, blocks * P)


class _MaskedMaps:
    """The DNN's covariance map ``S ↦ w[H⁻]``: only the time blocks on the diagonal pass."""

    def __init__(self, point: KernelPoint) -> None:
        f = point.functional
        self._w = f.w
        self._space = f.space
        self._below = f.space.rows(point.L)  # time blocks that send, (n-1, P, m)
        inverse = _solve_factored(point._covariance_factor, np.eye(f.dimension))
        receive = f.space.receiving_rows()  # (n-1, P, m)
        self._in = receive @ inverse  # time blocks that receive
        self.precision = self._in @ np.swapaxes(receive, -1, -2)
        self._J = self._in @ point.L
        self.response = self._J @ np.swapaxes(self._J, -1, -2)
        flat = receive.reshape(-1, f.dimension)
        self._precision_columns = _by_block(self._in @ flat.T)
        self._precision_rows = self._in @ flat.T
        J = self._J.reshape(-1, f.dimension)
        self._response_rows = self._J @ J.T

    def adjoint(self, blocks: FloatArray) -> FloatArray:
        """½ × adjoint: blocks (…, n-1, P, P) → S-coordinates."""
        return 0.5 * self._w * self._congruence(self._below, blocks)

    @staticmethod
    def _congruence(rows: FloatArray, blocks: FloatArray) -> FloatArray:
        """``Σ_t rows_tᵀ blocks_t rows_t``."""
        inner = blocks @ rows  # (…, n-1, P, m)
        flat = rows.reshape(-1, rows.shape[-1])
        return flat.T @ inner.reshape(*inner.shape[:-3], -1, inner.shape[-1])

    def curvature(self, S: FloatArray) -> FloatArray:
        stacked = S[..., None, :, :]
        change = self._w * (self._below @ stacked) @ np.swapaxes(self._below, -1, -2)  # dC, by blocks
        direct = -0.5 * self._congruence(self._J, change)
        # d(C⁻¹ - C⁻¹HC⁻¹) on the diagonal blocks: -K - J S Jᵀ + (K H C⁻¹ + transpose), K = C⁻¹ dC C⁻¹
        half = _by_block_inverse(self._precision_columns @ change)
        K = half @ np.swapaxes(self._precision_rows, -1, -2)
        KH = half @ np.swapaxes(self._response_rows, -1, -2)
        JSJ = (self._J @ stacked) @ np.swapaxes(self._J, -1, -2)
        return direct + self.adjoint(-K - JSJ + 2.0 * symmetric(KH))


def kernel_functional(problem: Problem) -> KernelFunctional:
    """The free energy of a linear problem on the space that its inputs span."""
    space = kernel_space(problem)
    return KernelFunctional(
        space=space,
        arch=problem.arch,
        readout=space.basis_rows(problem.supervised),
        labels=problem.labels,
        v=problem.v,
        w=problem.w,
        kappa=problem.kappa,
        input_covariance=space.project_inputs(problem),
        reversals=actions(problem, space),
    )

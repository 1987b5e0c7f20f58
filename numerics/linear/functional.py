"""The linear network's kernel free energy for any problem, with exact derivatives in the natural metric.

``F(H) = ½ yᵀ(v 𝒯H𝒯ᵀ+κ)⁻¹y + ½ tr[HC⁻¹] - ½ ln(|H|/|C|) - m/2``, ``C = w[H⁻] + uX⁻`` (docs/theory.md section 3).

A kernel close to ``H = LLᵀ`` is ``L exp(S) Lᵀ`` with a symmetric ``S``: then H stays positive-definite, and the entropy
is of order one in S whatever the scales of H. Gradient and Hessian here are in S: ``dF = ⟨G, S⟩ + ½⟨S, 𝓗S⟩ + …``. With
``M = LᵀC⁻¹L``, ``D = √w L⁻¹ΣL`` (Σ shifts one time on), ``N = MD``, ``A = DᵀMD`` and ``B = NᵀN - ½A``,

``G  = -½ v q̂q̂ᵀ + ½(M - 1) + ½(A - NᵀN)``,
``𝓗S = ½S - ½NSNᵀ - ½NᵀSN + ½(ASB + BSA) + energy + ½(GS + SG)``,

where ``q̂ = Lᵀ𝒯ᵀ(v𝒯H𝒯ᵀ+κ)⁻¹y`` and the last pair is the curvature of the path ``exp(S)`` itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, solve_factored, solve_lower, symmetric
from numerics.linear.labels import reached_labels
from numerics.linear.space import KernelSpace, kernel_space
from numerics.linear.time_blocks import TimeBlocks
from numerics.symmetry.actions import actions


@dataclass(frozen=True, eq=False)
class KernelFunctional:
    """``F`` of one problem on the space of kernels that its inputs allow.

    Attributes:
        space: the m-dimensional space in which kernels are positive-definite.
        arch: ``"rnn"`` or ``"dnn"``.
        readout: rows of the space's basis at the supervised positions, (s, m).
        labels: their labels, (s,).
        unexplained: ``|y|²`` in directions of the labels that no kernel reaches: its energy is a constant.
        v, w, kappa: widths and noise.
        input_covariance: ``uX⁻`` in the space, (m, m).
        reversals: how each generator of the sign symmetries acts on kernels (``numerics.symmetry.states``).
    """

    space: KernelSpace
    arch: str
    readout: FloatArray
    labels: FloatArray
    unexplained: float
    v: float
    w: float
    kappa: float
    input_covariance: FloatArray
    reversals: tuple[FloatArray, ...]

    @property
    def dimension(self) -> int:
        """Rows of the unknown matrix, m."""
        return self.space.dimension

    @property
    def unexplained_energy(self) -> float:
        """``½|y|²/κ`` of labels that no kernel reaches."""
        return 0.5 * self.unexplained / self.kappa if self.unexplained else 0.0

    def with_labels(self, factor: float) -> KernelFunctional:
        """The same with all labels times a factor."""
        return replace(self, labels=factor * self.labels, unexplained=factor**2 * self.unexplained)

    def covariance(self, H: FloatArray) -> FloatArray:
        """``C = w[H⁻] + uX⁻`` in the space."""
        return self.w * self.space.shifted(H, self.arch) + self.input_covariance

    def covariance_adjoint(self, force: FloatArray) -> FloatArray:
        """The adjoint of the linear part of `covariance`: dF/dH, through C, of a symmetric dF/dC."""
        return self.w * self.space.shifted_back(force, self.arch)

    @cached_property
    def is_separate(self) -> bool:
        """Whether a DNN's C has no entries between what different W give: inputs reach none of it."""
        links = self.space.masked_links
        return not any(self.input_covariance[link.target].any() for link in links)

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
    def covariance(self) -> FloatArray:
        """C, (m, m)."""
        return self.functional.covariance(self.H)

    @cached_property
    def _covariance_factor(self) -> FloatArray:
        return np.asarray(np.linalg.cholesky(self.covariance))

    @cached_property
    def inverse_factor(self) -> FloatArray:
        """``L⁻¹``."""
        return solve_lower(self.L, np.eye(len(self.L)))

    @cached_property
    def M(self) -> FloatArray:
        """``LᵀC⁻¹L``; its eigenvalues are those of ``C⁻¹H``."""
        half = solve_lower(self._covariance_factor, self.L)
        return half.T @ half

    @cached_property
    def _readout(self) -> FloatArray:
        return self.functional.readout @ self.L

    @cached_property
    def noisy_factor(self) -> FloatArray:
        """Lower factor of ``v𝒯H𝒯ᵀ + κ``, (s, s)."""
        f = self.functional
        gram = f.v * self._readout @ self._readout.T
        gram.flat[:: len(gram) + 1] += f.kappa
        return np.asarray(np.linalg.cholesky(gram))

    @cached_property
    def dual(self) -> FloatArray:
        """``q = (v𝒯H𝒯ᵀ + κ)⁻¹ y``, (s,)."""
        return solve_factored(self.noisy_factor, self.functional.labels)

    @cached_property
    def _q(self) -> FloatArray:
        return np.asarray(self._readout.T @ self.dual)

    @cached_property
    def energy(self) -> float:
        """``½ yᵀ(v𝒯H𝒯ᵀ + κ)⁻¹y``."""
        return 0.5 * float(self.functional.labels @ self.dual) + self.functional.unexplained_energy

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
        return math.sqrt(self.functional.w) * solve_lower(self.L, shifted)

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
        return solve_lower(self.noisy_factor, self._readout)

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

    def distance(self, other: KernelPoint) -> float:
        """``‖L'⁻¹HL'⁻ᵀ - 1‖`` in the natural metric at another kernel."""
        half = solve_lower(other.L, self.L)
        return float(np.linalg.norm(half @ half.T - np.eye(len(half))))

    def curvature_terms(self) -> tuple[FloatArray, FloatArray]:
        """X and Y, (5, m, m) each, with ``sym Σ X S Yᵀ`` the change of ``Lᵀ(∂F/∂H)L``, where all times share W."""
        identity, half = np.eye(len(self.L)), self._readout_response
        pull = self.functional.v**2 * (half.T @ half)
        N, A = self._N, self._A
        X = np.array([0.5 * identity, pull, -0.5 * N, -0.5 * N.T, A])
        return X, np.array([identity, np.outer(self._q, self._q), N, N.T, self._B])

    # --- moves --------------------------------------------------------------------------------------------------

    def move(self, S: FloatArray) -> KernelPoint:
        """The point ``L exp(S) Lᵀ``; the factor is recomputed."""
        values, vectors = np.linalg.eigh(symmetric(S))
        half = (self.L @ vectors) * np.exp(0.5 * values)
        return self.functional.at(half @ half.T)

    def reflected(self, flips: Sequence[FloatArray]) -> KernelPoint:
        """The mean of the kernel and its images under diagonal signs."""
        H = self.H
        for flip in flips:
            H = 0.5 * (H + flip[:, None] * H * flip)
        return self.functional.at(H)


class _MaskedMaps:
    """The DNN's covariance map ``S ↦ w[H⁻]``: only the time blocks on the diagonal pass."""

    def __init__(self, point: KernelPoint) -> None:
        f, links = point.functional, point.functional.space.masked_links
        self._w = f.w
        self._blocks = TimeBlocks(tuple(link.target.stop - link.target.start for link in links))
        self._separate = f.is_separate
        received = np.concatenate([np.arange(link.target.start, link.target.stop) for link in links])
        self._below = np.concatenate([link.rows(point.L) for link in links])  # what is sent, (Σr, m)
        inverse = solve_factored(point._covariance_factor, np.eye(f.dimension))
        self._J = inverse[received] @ point.L
        precision = inverse[np.ix_(received, received)]
        self.precision = self._blocks.diagonal(precision, None)
        self.response = self._blocks.diagonal(self._J, self._J)
        self._stacked = np.concatenate([self._below, self._J])
        if not self._separate:
            self._precision_rows, self._response_rows = precision, self._J @ self._J.T

    def adjoint(self, blocks: FloatArray) -> FloatArray:
        """½ × adjoint: blocks (…, n-1, r, r) → S-coordinates."""
        return 0.5 * self._w * (self._below.T @ self._blocks.times(blocks, self._below))

    def curvature(self, S: FloatArray) -> FloatArray:
        blocks, sent = self._blocks, len(self._below)
        both = self._stacked @ S
        change = self._w * blocks.diagonal(both[..., :sent, :], self._below)  # dC
        JSJ = blocks.diagonal(both[..., sent:, :], self._J)
        # d(C⁻¹ - C⁻¹HC⁻¹) on the diagonal blocks: -K - J S Jᵀ + (K H C⁻¹ + transpose), K = C⁻¹ dC C⁻¹
        if self._separate:
            half = self.precision @ change
            K, KH = half @ self.precision, half @ self.response
        else:
            half = blocks.columns_times(self._precision_rows, change)
            K, KH = blocks.diagonal(half, self._precision_rows), blocks.diagonal(half, self._response_rows)
        force = 0.5 * self._w * (2.0 * symmetric(KH) - K - JSJ)
        direct = blocks.times(-0.5 * change, self._J)
        return np.asarray(self._stacked.T @ np.concatenate([blocks.times(force, self._below), direct], axis=-2))


def kernel_functional(problem: Problem) -> KernelFunctional:
    """The free energy of a linear problem on the space that its inputs span."""
    problem.plain("kernel_functional")
    space = kernel_space(problem)
    factor = math.sqrt(problem.u) * space.inputs
    whole = KernelFunctional(
        space=space,
        arch=problem.arch,
        readout=space.basis_rows(problem.supervised),
        labels=problem.labels,
        unexplained=0.0,
        v=problem.v,
        w=problem.w,
        kappa=problem.kappa,
        input_covariance=factor @ factor.T,
        reversals=actions(problem, space),
    )
    if space.is_identity:  # the labels' positions are independent of each other
        return whole
    readout, labels, unexplained = reached_labels(problem, whole.readout)
    return replace(whole, readout=readout, labels=labels, unexplained=unexplained)

"""Kernels of problems that differ in numbers only, all at once: F's derivatives, and Newton's method on them.

The formulas of ``numerics.linear.functional`` with a leading axis. The covariance is ``C = w Σ_k E_k H E_kᵀ + C_0``,
with one E for each independent matrix that M has: one where all times share W, one for each layer of a DNN.
With ``D_k = √w L⁻¹E_kL``, ``N_k = MD_k`` and ``A_kl = D_kᵀN_l`` the entropy's Hessian is

``½S - ½ Σ_k (N_k S N_kᵀ + N_kᵀ S N_k) + Σ_kl [sym(A_kl S N_lᵀN_k) - ½ A_kl S A_klᵀ]``, ``sym(X) = ½(X + Xᵀ)``.

Every term is ``X S Yᵀ``: the whole matrix is one product of the X's and Y's, its entries in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from numerics.cached import cached_property
from numerics.inputs.driving import RANK
from numerics.linalg import BoolArray, FloatArray, IntArray, symmetric, symmetric_vectors
from numerics.linear.functional import KernelFunctional

#: Entries of the largest arrays that are made at once.
ENTRIES_TOGETHER = 4_000_000
#: Entries of arrays that stay in a processor's cache.
ENTRIES_IN_CACHE = 30_000
#: A residual at which Newton's method stops; it goes on from a larger one while it falls by a factor, at last in each
#: step where it is small already, else in one of several: far from a state, or next to a fold, it may rise at first.
GOAL, SMALL, FALL, PATIENCE = 1e-15, 1e-14, 0.1, 8


@dataclass(frozen=True, eq=False)
class KernelBatch:
    """Kernels ``H = LLᵀ`` of one problem each.

    Attributes:
        functionals: B free energies in the coordinates of one space.
        L: lower Cholesky factors, (B, m, m).
    """

    functionals: Sequence[KernelFunctional]
    L: FloatArray

    def chosen(self, which: BoolArray) -> KernelBatch:
        """Some of them, with what a step from these needs if the gradient is known."""
        if which.all():
            return self
        found = KernelBatch([self.functionals[int(k)] for k in np.flatnonzero(which)], self.L[which])
        known = {name: getattr(self, name)[which] for name in ("M", "_D", "_N", "gradient")}
        found.__dict__.update(known, _energies=tuple(part.chosen(which) for part in self._energies))
        return found

    def numbers(self, name: str) -> FloatArray:
        """A number of each functional, (B,)."""
        return np.array([getattr(f, name) for f in self.functionals])

    @cached_property
    def kernel(self) -> FloatArray:
        """H, (B, m, m)."""
        return self.L @ _transposed(self.L)

    @cached_property
    def _shifts(self) -> FloatArray:
        """E, (B or 1, K, m, m)."""
        first = self.functionals[0]
        if all(f.space is first.space for f in self.functionals):
            return shifts(first)[None]
        each = [shifts(f) for f in self.functionals]
        K = max(len(E) for E in each)
        return np.array([np.concatenate([E, np.zeros((K - len(E), *E.shape[1:]))]) for E in each])

    @cached_property
    def _covariance_factor(self) -> FloatArray:
        E = self._shifts
        sent = (E @ self.kernel[:, None] @ _transposed(E)).sum(axis=1)
        inputs = np.array([f.input_covariance for f in self.functionals])
        return np.asarray(np.linalg.cholesky(self.numbers("w")[:, None, None] * sent + inputs))

    @cached_property
    def M(self) -> FloatArray:
        """``LᵀC⁻¹L``, (B, m, m)."""
        half = np.asarray(np.linalg.solve(self._covariance_factor, self.L))
        return _transposed(half) @ half

    @cached_property
    def _D(self) -> FloatArray:
        sent = self._shifts @ self.L[:, None]
        root = np.sqrt(self.numbers("w"))[:, None, None, None]
        return root * np.asarray(np.linalg.solve(self.L[:, None], sent))

    @cached_property
    def _N(self) -> FloatArray:
        return self.M[:, None] @ self._D

    @cached_property
    def _energies(self) -> tuple[_Energies, ...]:
        """One for each set of outputs with the same supervised entries."""
        return tuple(_Energies.of(self, k) for k in range(len(self.functionals[0].targets)))

    @cached_property
    def energy(self) -> FloatArray:
        """``½ Σ_c y_cᵀ(v𝒯_cH𝒯_cᵀ + κ)⁻¹y_c``, (B,)."""
        unexplained = np.array([f.unexplained_energy for f in self.functionals])
        return np.asarray(sum((part.value for part in self._energies), unexplained))

    @cached_property
    def entropy(self) -> FloatArray:
        """The divergence from the random network, (B,)."""
        own, ratio = (np.diagonal(A, axis1=1, axis2=2) for A in (self.M, self.L))
        ratio = ratio / np.diagonal(self._covariance_factor, axis1=1, axis2=2)
        return np.asarray(0.5 * np.sum(own - 1.0 - 2.0 * np.log(ratio), axis=1))

    @cached_property
    def _messages(self) -> FloatArray:
        """The part of the gradient that goes through the covariance."""
        N, D = self._N, self._D
        return np.asarray(0.5 * (_transposed(D) @ N - _transposed(N) @ N).sum(axis=1))

    @cached_property
    def gradient(self) -> FloatArray:
        """``dF = ⟨G, S⟩`` for ``H → L exp(S) Lᵀ``, (B, m, m)."""
        pull = sum((part.pull for part in self._energies), np.zeros_like(self.M))
        return symmetric(0.5 * (self.M - np.eye(self.M.shape[1]) - pull) + self._messages)

    @cached_property
    def residual(self) -> FloatArray:
        """``‖G‖/Σ‖terms of G‖``, (B,)."""
        pull = sum((np.trace(part.pull, axis1=1, axis2=2) for part in self._energies), np.zeros(len(self.M)))
        scale = 0.5 * (pull + _norm(self.M) + np.sqrt(self.M.shape[1])) + _norm(self._messages)
        return np.asarray(_norm(self.gradient) / scale)

    def hessian(self, positions: IntArray | None = None, *, along_path: bool = False) -> FloatArray:
        """The Hessian on orthonormal coordinates of symmetric S, or on some of them, (B, d, d).

        Args:
            positions: of ``linalg.to_vector``; all where None.
            along_path: with the curvature of ``exp(S)`` itself, which vanishes at a stationary point.
        """
        N, A = self._N, _transposed(self._D)[:, :, None] @ self._N[:, None]
        identity = np.broadcast_to(np.eye(N.shape[-1]), self.M.shape)
        # N_lᵀN_k, transposed: k first
        NN = _transposed(N)[:, :, None] @ N[:, None]
        terms = [
            (0.5 * identity, identity),
            *((part.response, part.pull) for part in self._energies),
            *((-0.5 * N[:, k], N[:, k]) for k in range(N.shape[1])),
            *((-0.5 * _transposed(N[:, k]), _transposed(N[:, k])) for k in range(N.shape[1])),
            *((A[:, k, j], NN[:, k, j] - 0.5 * A[:, k, j]) for k in range(N.shape[1]) for j in range(N.shape[1])),
        ]
        if along_path:
            terms.append((self.gradient, identity))
        X, Y = (np.stack([term[k] for term in terms], axis=1) for k in (0, 1))
        return assembled(X, Y, positions)


@dataclass(frozen=True, eq=False)
class _Energies:
    """The part of the energy of outputs that are supervised at the same entries.

    Attributes:
        value: ``½ Σ_c y_cᵀ(v𝒯H𝒯ᵀ+κ)⁻¹y_c``, (B,).
        pull: ``v q̂q̂ᵀ``, with ``q̂ = Lᵀ𝒯ᵀ(v𝒯H𝒯ᵀ+κ)⁻¹y``, (B, m, m).
        response: ``v Lᵀ𝒯ᵀ(v𝒯H𝒯ᵀ+κ)⁻¹𝒯L``, (B, m, m).
    """

    value: FloatArray
    pull: FloatArray
    response: FloatArray

    def chosen(self, which: BoolArray) -> _Energies:
        """Some of them."""
        return _Energies(self.value[which], self.pull[which], self.response[which])

    @staticmethod
    def of(batch: KernelBatch, place: int) -> _Energies:
        """Those of one set."""
        targets = [f.targets[place] for f in batch.functionals]
        one = all(target.readout is targets[0].readout for target in targets)
        rows = np.asarray((targets[0].readout if one else np.array([t.readout for t in targets])) @ batch.L)
        v, kappa = (batch.numbers(name)[:, None, None] for name in ("v", "kappa"))
        noisy = v * rows @ _transposed(rows) + kappa * np.eye(rows.shape[1])
        labels = np.array([target.labels for target in targets])
        dual = np.asarray(np.linalg.solve(noisy, labels))
        q = _transposed(rows) @ dual
        half = np.asarray(np.linalg.solve(np.linalg.cholesky(noisy), rows))
        value = 0.5 * np.sum(labels * dual, axis=(1, 2))
        return _Energies(value, v * q @ _transposed(q), v * _transposed(half) @ half)


def assembled(X: FloatArray, Y: FloatArray, positions: IntArray | None) -> FloatArray:
    """``S ↦ sym Σ_q X_q S Y_qᵀ`` on orthonormal coordinates of symmetric matrices, (…, Q, m, m) → (…, d, d)."""
    *lead, count, m, _ = X.shape
    X, Y = X.reshape(-1, count, m * m), Y.reshape(-1, count, m * m)
    (straight, crossed), weights = _orders(m, None if positions is None else tuple(positions.tolist()))
    # as many at once as a processor keeps at hand
    found, size = np.empty((len(X), *weights.shape)), max(1, ENTRIES_IN_CACHE // m**4)
    for first in range(0, len(X), size):
        x, y = X[first : first + size], Y[first : first + size]
        products = _transposed(np.concatenate([x, y], axis=1)) @ np.concatenate([y, x], axis=1)
        products = products.reshape(-1, m**4)
        part = products.take(straight, axis=1)
        part += products.take(crossed, axis=1)
        np.multiply(weights, part, out=found[first : first + size])
    return found.reshape(*lead, *weights.shape)


def shifts(functional: KernelFunctional) -> FloatArray:
    """``E_k`` of the covariance, (rank of M, m, m): with ``M = GGᵀ``, the rows R of time t times ``G_tk``."""
    space, identity = functional.space, np.eye(functional.dimension)
    if space.is_tied:
        return space.shift_rows(identity)[None]
    values, vectors = np.linalg.eigh(space.sharing)
    G = np.sqrt(np.maximum(values, 0.0)) * vectors
    found = np.zeros((len(values), *identity.shape))
    for t, step in enumerate(space.steps):
        found[:, step.target] = G[t, :, None, None] * step.rows(identity)
    return np.asarray(found[values > RANK * values[-1]])


@lru_cache(maxsize=64)
def _orders(m: int, positions: tuple[int, ...] | None) -> tuple[tuple[IntArray, IntArray], FloatArray]:
    """Where ``X_ik Y_jl`` and ``X_il Y_jk`` stand in ``(ik, jl)``, for rows (ij), columns (kl), and their weights in
    ``sym(X S Yᵀ + Y S Xᵀ)/2``."""
    vectors = symmetric_vectors(m)
    kept = np.arange(len(vectors.rows)) if positions is None else np.array(positions, dtype=np.intp)
    i, j, weights = vectors.rows[kept], vectors.columns[kept], vectors.weights[kept]
    rows, columns = (i[:, None], j[:, None]), (i, j)
    straight = (rows[0] * m + columns[0]) * m**2 + rows[1] * m + columns[1]
    crossed = (rows[0] * m + columns[1]) * m**2 + rows[1] * m + columns[0]
    return (straight, crossed), 0.25 * weights[:, None] * weights


def parts(count: int, functional: KernelFunctional) -> Iterator[slice]:
    """Slices of a batch whose largest arrays stay within ``ENTRIES_TOGETHER`` entries."""
    size = max(1, ENTRIES_TOGETHER // functional.dimension**4)
    return (slice(first, first + size) for first in range(0, count, size))


def newton(
    functionals: Sequence[KernelFunctional], start: FloatArray, positions: IntArray, *, iterations: int = 20
) -> KernelBatch:
    """Newton on stationarity from kernels close to a state, each as far as its residual falls.

    Args:
        functionals: B of them.
        start: lower Cholesky factors, (B, m, m).
        positions: directions along which kernels may change, of ``linalg.to_vector``; others are kept zero.
        iterations: at most.
    """
    m = start.shape[-1]
    vectors = symmetric_vectors(m)
    kept = np.zeros((m, m), dtype=bool)
    kept[vectors.rows[positions], vectors.columns[positions]] = True
    kept |= kept.T
    best, best_L, L = np.full(len(start), np.inf), np.array(start), np.where(kept, start, 0.0)
    going, stalled = np.arange(len(start)), np.zeros(len(start), dtype=int)
    for _ in range(iterations):
        here = KernelBatch([functionals[int(k)] for k in going], L)
        with np.errstate(invalid="ignore"):
            falls = here.residual < FALL * best[going]
            better = here.residual < best[going]
        best_L[going[better]], best[going[better]] = L[better], here.residual[better]
        stalled[going] = np.where(falls, 0, stalled[going] + 1)
        patience = np.where(best[going] <= SMALL, 0, PATIENCE)
        on: BoolArray = (best[going] > GOAL) & (stalled[going] <= patience) & np.isfinite(here.residual)
        if not on.any():
            break
        going = going[on]
        L = _moved(here.chosen(on), positions, kept)
    return KernelBatch(functionals, best_L)


def _moved(here: KernelBatch, positions: IntArray, kept: BoolArray) -> FloatArray:
    """Factors after one step."""
    m = here.L.shape[-1]
    vectors = symmetric_vectors(m)
    z = np.zeros((len(here.L), len(vectors.rows)))
    right = vectors.vec(here.gradient)[:, positions, None]
    z[:, positions] = -np.asarray(np.linalg.solve(here.hessian(positions), right))[..., 0]
    S = vectors.matrix(z)
    S *= np.minimum(1.0, 1.0 / np.maximum(_norm(S), 1e-300))[:, None, None]
    # exp(S) = GGᵀ to second order: LG keeps the digits that H = LLᵀ loses under strong signals
    half = np.eye(m) + 0.5 * S + 0.125 * S @ S
    return np.where(kept, here.L @ np.asarray(np.linalg.cholesky(half @ half)), 0.0)


def _transposed(A: FloatArray) -> FloatArray:
    return np.swapaxes(A, -1, -2)


def _norm(A: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(A, axis=(-2, -1)))

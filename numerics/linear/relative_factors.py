"""Relative factors, coordinates in which the entropy is quadratic.

With Cholesky factors ``H = LLᵀ`` and ``C = KKᵀ``, ordered in time, the lower triangular ``Q = K⁻¹L`` says how a kernel
differs from the random network's, and ``F = E(H) + ½‖Q‖² - Σ ln Q_ii - m/2`` (docs/theory.md section 3). K follows
from the kernel at earlier times, so that Q gives H time by time: as with the weights themselves, what a step changes at
one time is carried on to all later ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from numerics.linalg import FloatArray, lower_factor, solve_lower
from numerics.linear.carrying import Carried
from numerics.linear.functional import KernelFunctional

#: Logarithms of Q's diagonal are kept within this.
LARGEST_LOGARITHM = 80.0


@dataclass(frozen=True, eq=False)
class RelativeFactors:
    """F in z: the lower triangle of Q, with logarithms on the diagonal; for stacks of kernels, (k, m, m) and (k, d)."""

    functional: KernelFunctional
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]

    @staticmethod
    def of(functional: KernelFunctional) -> RelativeFactors:
        """Of a problem whose coordinates are ordered in time."""
        return RelativeFactors(functional, *np.tril_indices(functional.dimension))

    def vector(self, H: FloatArray) -> FloatArray:
        """z of one kernel, (d,).

        Raises:
            numpy.linalg.LinAlgError: H is not positive-definite in double precision.
        """
        Q = solve_lower(lower_factor(self.functional.covariance(H)), lower_factor(H))
        z = Q[self.rows, self.columns]
        z[self._on] = np.log(z[self._on])
        return np.asarray(z)

    def kernels(self, z: FloatArray) -> FloatArray:
        """H of each z, (k, m, m); NaN where double precision does not carry it."""
        if self._first is not None:
            L = self._carried(self._matrices(z), self._first)[0]
            return L @ np.swapaxes(L, -1, -2)
        with np.errstate(all="ignore"):
            L = Carried.of(self.functional, self._matrices(z)).L
            return L @ np.swapaxes(L, -1, -2)

    def values_and_gradients(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """F and its derivative at each z, (k,) and (k, d); infinity where double precision does not carry it."""
        Q = self._matrices(z)
        values, gradients = np.full(len(z), np.inf), np.zeros_like(z)
        with np.errstate(all="ignore"):
            try:
                if self._first is not None:
                    values, gradients = self._all_carried(Q, self._first)
                else:
                    carried = Carried.of(self.functional, Q)
                    energy, dL = self._energies(carried.L)
                    values, gradients = self._with_entropy(energy, carried.back(dL), Q)
            except np.linalg.LinAlgError:
                if len(z) > 1:  # not all of them
                    each = [self.values_and_gradients(one[None]) for one in z]
                    return np.concatenate([value for value, _ in each]), np.concatenate([g for _, g in each])
        failed = ~(np.isfinite(values) & np.isfinite(gradients).all(axis=1))
        values[failed], gradients[failed] = np.inf, 0.0
        return values, gradients

    @cached_property
    def _on(self) -> NDArray[np.intp]:
        """Places of Q's diagonal in z."""
        return np.flatnonzero(self.rows == self.columns)

    def _matrices(self, z: FloatArray) -> FloatArray:
        m = self.functional.dimension
        Q = np.zeros((len(z), m, m))
        Q[:, self.rows, self.columns] = z
        logarithms = np.minimum(np.maximum(z[:, self._on], -LARGEST_LOGARITHM), LARGEST_LOGARITHM)
        Q.reshape(len(z), m * m)[:, :: m + 1] = np.exp(logarithms)
        return Q

    # --- one W and input at t = 0 only: K is known from L, ``K = diag(K_0, √w L)`` without L's last block ----------

    @cached_property
    def _first(self) -> FloatArray | None:
        """``K_0``, if all of C at later times is what one W carries there; else None."""
        f, r = self.functional, self.functional.space.block
        whole = f.space.is_tied and f.space.is_shift and len(set(f.space.sizes)) == 1
        if not whole or f.input_covariance[r:].any():
            return None
        return np.asarray(np.linalg.cholesky(f.input_covariance[:r, :r]))

    def _carried(self, Q: FloatArray, first: FloatArray) -> tuple[FloatArray, FloatArray]:
        """L and K of each Q, a block of rows after another."""
        r, root = len(first), np.sqrt(self.functional.w)
        L, K = np.zeros_like(Q), np.zeros_like(Q)
        K[:, :r, :r] = first
        for start in range(0, Q.shape[1], r):
            here = slice(start, start + r)
            if start:
                K[:, here, r : start + r] = root * L[:, start - r : start, :start]
            L[:, here] = K[:, here] @ Q
        return L, K

    def _all_carried(self, Q: FloatArray, first: FloatArray) -> tuple[FloatArray, FloatArray]:
        f, r, m = self.functional, len(first), Q.shape[1]
        L, K = self._carried(Q, first)
        energy, dL = self._energies(L)
        transposed, root = np.swapaxes(Q, -1, -2), np.sqrt(f.w)
        for start in range(m - r, 0, -r):
            back = dL[:, start : start + r] @ transposed
            dL[:, start - r : start, :-r] += root * back[:, :, r:]
        return self._with_entropy(energy, np.swapaxes(K, -1, -2) @ dL, Q)

    def _energies(self, L: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The energy at ``H = LLᵀ``, (k,), and its derivative by L, (k, m, m)."""
        f = self.functional
        value, force = np.full(len(L), f.unexplained_energy), np.zeros_like(L)
        for target in f.targets:
            rows = target.readout @ L
            gram = f.v * rows @ np.swapaxes(rows, -1, -2)
            s = len(target.labels)
            gram.reshape(len(gram), s * s)[:, :: s + 1] += f.kappa
            dual = np.linalg.solve(gram, target.labels)
            value += 0.5 * np.einsum("ksc,sc->k", dual, target.labels)
            pull = target.readout.T @ dual
            force -= f.v * pull @ (np.swapaxes(dual, -1, -2) @ rows)
        return value, force

    def _with_entropy(self, energy: FloatArray, dQ: FloatArray, Q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """F, and its derivative by z from that of the energy by Q."""
        diagonal = np.diagonal(Q, axis1=-2, axis2=-1)
        entropy = 0.5 * np.einsum("kij,kij->k", Q, Q) - np.log(diagonal).sum(axis=-1) - 0.5 * Q.shape[-1]
        g = (dQ + Q)[:, self.rows, self.columns]
        g[:, self._on] = g[:, self._on] * diagonal - 1.0
        return energy + entropy, g

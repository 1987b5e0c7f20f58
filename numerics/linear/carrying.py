"""Kernels from relative factors Q, ``H = LLᵀ`` with ``L = KQ``, ``KKᵀ = C[H]``, block after block in time; and back.

The rows of C at one time follow from those of L before (docs/theory.md sections 3 and 10): with ``T = RL``,
``C_ha = w M̂_ha∘(T_h T_aᵀ) + C_0`` for the rows h of a block and all rows a up to it. ``K_ha = C_ha K_aa⁻ᵀ`` and
``K_hh = chol(C_hh - K_ha K_haᵀ)`` then give ``L_h = K_h Q``. One pass forwards and one backwards, for stacks (k, m, m).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from numerics.linalg import BoolArray, FloatArray, symmetric
from numerics.linear.functional import KernelFunctional
from numerics.linear.space import Link


@dataclass(frozen=True, eq=False)
class Carried:
    """L and K of each Q; NaN where double precision does not carry them.

    Attributes:
        functional: F.
        Q, L, K: lower triangular, (k, m, m).
        inverse: ``K⁻¹``.
        taken: ``T = RL``.
    """

    functional: KernelFunctional
    Q: FloatArray
    L: FloatArray
    K: FloatArray
    inverse: FloatArray
    taken: FloatArray

    @staticmethod
    def of(functional: KernelFunctional, Q: FloatArray) -> Carried:
        """Forwards in time."""
        f = functional
        L, K, inverse, taken = (np.zeros_like(Q) for _ in range(4))
        for here, end, step in _blocks(f):
            first = here.start
            if step is not None:
                taken[:, step.target] = step.rows(L)
            C = f.w * f.space.mask[here, :end] * (taken[:, here] @ _transposed(taken[:, :end]))
            C += f.input_covariance[here, :end]
            side = C[..., :first] @ _transposed(inverse[:, :first, :first])
            own, own_inverse = _factors(C[..., first:] - side @ _transposed(side))
            K[:, here, :first], K[:, here, here] = side, own
            inverse[:, here, here] = own_inverse
            inverse[:, here, :first] = -own_inverse @ (side @ inverse[:, :first, :first])
            L[:, here, :end] = K[:, here, :end] @ Q[:, :end, :end]
        return Carried(functional, Q, L, K, inverse, taken)

    def back(self, dL: FloatArray) -> FloatArray:
        """The derivative by Q, lower triangular where Q is, of what has the derivative dL by L, (k, m, m)."""
        f, Q, K, inverse, taken = self.functional, self.Q, self.K, self.inverse, self.taken
        dL, dK, dT = dL.copy(), np.zeros_like(Q), np.zeros_like(Q)
        for here, end, step in reversed(list(_blocks(f))):
            first = here.start
            dK[:, here, :end] += dL[:, here, :end] @ _transposed(Q[:, :end, :end])
            half = _lower(_transposed(K[:, here, here]) @ dK[:, here, here])
            half[:, np.arange(end - first), np.arange(end - first)] *= 0.5
            own = inverse[:, here, here]
            dC_own = _transposed(own) @ symmetric(half) @ own
            dside = dK[:, here, :first] - 2.0 * dC_own @ K[:, here, :first]
            dC_side = dside @ inverse[:, :first, :first]
            dK[:, :first, :first] -= _lower(_transposed(dC_side) @ K[:, here, :first])
            if step is not None:
                weight = f.w * f.space.mask[here, :end]
                forces = weight * np.concatenate([dC_side, 2.0 * dC_own], axis=-1)
                dT[:, here] += forces @ taken[:, :end]
                dT[:, :first] += _transposed(forces[..., :first]) @ taken[:, here]
                sent = dT[:, step.target]
                dL[:, step.source] += sent if step.sent is None else step.sent.T @ sent
        return np.asarray(_transposed(K) @ dL)


def _blocks(functional: KernelFunctional) -> Iterator[tuple[slice, int, Link | None]]:
    """Rows of each block, their end, and what the time before sends there."""
    starts = functional.space.starts.tolist()
    for k, (start, end) in enumerate(itertools.pairwise(starts)):
        yield slice(start, end), end, functional.space.steps[k - 1] if k else None


def _transposed(A: FloatArray) -> FloatArray:
    return A.swapaxes(-1, -2)


@cache
def _below(m: int) -> BoolArray:
    return np.tri(m, dtype=bool)


def _lower(A: FloatArray) -> FloatArray:
    """``np.tril`` of a stack, without its mask made anew each time."""
    return np.where(_below(A.shape[-1]), A, 0.0)


def _factors(C: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cholesky factors and their inverses; NaN for those that have none."""
    try:
        K = np.asarray(np.linalg.cholesky(C))
        return K, np.asarray(np.linalg.inv(K))
    except np.linalg.LinAlgError:
        if len(C) == 1:
            return np.full_like(C, np.nan), np.full_like(C, np.nan)
        pairs = [_factors(one[None]) for one in C]
        return np.concatenate([K for K, _ in pairs]), np.concatenate([inverse for _, inverse in pairs])

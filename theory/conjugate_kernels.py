r"""Two conjugate kernels for any activation, as matrix expressions for symbolic n, P and supervised set.

``F[Φ, Φ̃] = ½ tr[Y(v𝒯Φ𝒯ᵀ+κ)⁻¹] + tr Φ̃Φ - ln Z``, ``Z = ∫ dh N(h|0, C[Φ]) exp(φᵀΦ̃φ)``, ``C = w[Φ⁻] + uX⁻``
(docs/theory.md section 4).

ln Z is no matrix expression, but its differential is. With ``ℓ = ln N(h|0, C) + φᵀΦ̃φ``, the log of the integrand,
``d ln Z = ⟨dℓ⟩``. ℓ is linear in the outer products ``hhᵀ`` and ``φφᵀ``, hence so is dℓ, and its average has the
moments ``S = ⟨hhᵀ⟩`` and ``M = ⟨φφᵀ⟩`` in their place: to differentiate F once, treat S and M as constants.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sympy import Inverse, S, Trace

from theory.matrix_calculus.differential import gradient
from theory.matrix_calculus.kernel_functional import H as PHI
from theory.matrix_calculus.kernel_functional import Y, forward_covariance, propagator
from theory.matrix_calculus.nodes import LogDet, SymmetricSymbol
from theory.symbols import P, n

#: Φ̃, and the tilted moments ``M = ⟨φφᵀ⟩`` and ``S = ⟨hhᵀ⟩``; Φ is ``kernel_functional.H``.
CONJUGATE = SymmetricSymbol("Q", n * P)
ACTIVITY = SymmetricSymbol("M", n * P)
SECOND_MOMENT = SymmetricSymbol("S", n * P)


def log_integrand(arch: str) -> Any:
    """``⟨ℓ⟩ = -½ tr[S C⁻¹] - ½ ln|C| + tr[Φ̃M]``, without the constant ``(nP/2) ln 2π``."""
    C = forward_covariance(arch)
    return -S.Half * Trace(SECOND_MOMENT * Inverse(C)) - S.Half * LogDet(C) + Trace(CONJUGATE * ACTIVITY)


def frozen_free_energy(arch: str) -> Any:
    """F with ``⟨ℓ⟩`` for ln Z: where S and M are the tilted moments, its first derivatives are those of F."""
    energy = S.Half * Trace(Y * propagator())
    return energy + Trace(CONJUGATE * PHI) - log_integrand(arch)


@cache
def conjugate_gradient(arch: str) -> Any:
    """``∂F/∂Φ̃ = Φ - ⟨φφᵀ⟩``."""
    return gradient(frozen_free_energy(arch), CONJUGATE)


@cache
def kernel_gradient(arch: str) -> Any:
    """``∂F/∂Φ = Φ̃ - (v/2) 𝒯ᵀRYR𝒯 - (w/2) [C⁻¹⟨hhᵀ⟩C⁻¹ - C⁻¹]⁺``, ``R = (v𝒯Φ𝒯ᵀ+κ)⁻¹``.

    ``[·]`` is the mask, ``⁺`` moves one step back in time.
    """
    return gradient(frozen_free_energy(arch), PHI)

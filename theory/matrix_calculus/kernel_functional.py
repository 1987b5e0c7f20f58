r"""The linear network's kernel free energy as a matrix expression, for symbolic n, P and supervised set.

``F(H) = ½ tr[Y (v 𝒯H𝒯ᵀ + κ)^{-1}] + ½ tr[H C^{-1}] - ½ ln|H| + ½ ln|C|``, ``C = w[H⁻] + uX⁻`` (docs/theory.md
section 3). H and X⁻ are nP × nP, Y is m × m for m supervised pairs (t, p); all are symmetric.

For inputs of rank r < P the same expressions hold in the r-dimensional input space: r takes the place of P,
and ``𝒯`` is the m × nr matrix that maps the reduced kernel to the supervised pairs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sympy import Identity, Inverse, Rational, Trace

from theory.matrix_calculus.differential import differential, gradient
from theory.matrix_calculus.nodes import LogDet, Mask, Restrict, Shift, SymmetricSymbol
from theory.symbols import P, kappa, m, n, u, v, w

#: Kernel, its change in a Hessian–vector product, shifted input kernel, and label outer product.
H = SymmetricSymbol("H", n * P)
dH = SymmetricSymbol("dH", n * P)
X_SHIFTED = SymmetricSymbol("X", n * P)
Y = SymmetricSymbol("Y", m)

ARCHITECTURES = ("rnn", "dnn")


def forward_covariance(arch: str) -> Any:
    """``C[H] = w[H⁻] + uX⁻``, the covariance of one neuron's trajectory; ``[·]`` is the DNN's mask."""
    if arch not in ARCHITECTURES:
        raise ValueError(f"arch: is {arch!r}; accepted: rnn or dnn")
    shifted = Shift(H) if arch == "rnn" else Mask(Shift(H))
    return w * shifted + u * X_SHIFTED


def propagator() -> Any:
    """``(v 𝒯H𝒯ᵀ + κ)^{-1}``, m × m: what the likelihood inverts."""
    return Inverse(v * Restrict(H, m) + kappa * Identity(m))


def free_energy(arch: str) -> Any:
    """F(H) as a sum of constants times ``Trace`` and ``LogDet``."""
    half = Rational(1, 2)
    C = forward_covariance(arch)
    energy = half * Trace(Y * propagator())
    return energy + half * Trace(H * Inverse(C)) - half * LogDet(H) + half * LogDet(C)


@cache
def free_energy_gradient(arch: str) -> Any:
    """The symmetric G with ``dF = tr[G dH]``; stationarity is ``G = 0``."""
    return gradient(free_energy(arch), H)


@cache
def free_energy_hessian_vector_product(arch: str) -> Any:
    """The change of G when H changes by the symmetric ``dH``."""
    return differential(free_energy_gradient(arch), H, dH)


def fold(expression: Any, arch: str) -> tuple[Any, dict[Any, Any]]:
    """The expression with ``C`` and ``K = v 𝒯H𝒯ᵀ + κ`` as symbols, and what the symbols stand for."""
    definitions = {
        SymmetricSymbol("C", n * P): forward_covariance(arch),
        SymmetricSymbol("K", m): propagator().arg,
    }
    return expression.xreplace({value: name for name, value in definitions.items()}), definitions

r"""The kernel functional in the natural metric: ``H = L exp(S) Lᵀ`` around a kernel ``LLᵀ``, for any coordinates of H.

F is the sum over supervised sets of the energy ``½ tr[yᵀ(v TETᵀ + κ)⁻¹y]``, and the entropy

``½ tr[LELᵀC⁻¹] - ½ ln|LELᵀ| + ½ ln|C|``, ``C = w M∘(BEBᵀ) + C_0``,

with ``E = exp(S)``, ``B = RL`` for the rows R that W takes and ``T = 𝒯L`` (docs/theory.md sections 3 and 10 to 12). R,
C_0 and 𝒯 hold skip connections and biases: in coordinates of the drive ``A h`` they are ``ΣA⁻¹``, ``uX⁻ + βB`` and
``𝒯A⁻¹``. M is over those coordinates that receive something. Outputs with one supervised set are columns of one y.

Gradient and Hessian come from the package's own differential, taken by E and then at E = 1. They are those along
straight lines, H to ``L(1 + S)Lᵀ``; the path ``exp(S)`` adds ``½(GS + SG)`` to the Hessian. C and ``v TTᵀ + κ`` there
are given by their Cholesky factors K.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sympy import Identity, Inverse, MatMul, MatrixSymbol, Rational, Symbol, Trace, Transpose

from theory.matrix_calculus.arrangement import arranged, sandwich_terms
from theory.matrix_calculus.differential import differential, gradient
from theory.matrix_calculus.nodes import Factored, LogDet, LowerSymbol, Mask, SymmetricSymbol, Whitened
from theory.symbols import P, kappa, m, n, v, w

_SIZE = n * P
HALF = Rational(1, 2)

#: Cholesky factor of the kernel, what W takes of it, and the step.
L = LowerSymbol("L", _SIZE)
B = MatrixSymbol("B", _SIZE, _SIZE)
#: For any M: the rows of B that receive something, and where they stand, unit columns.
_RECEIVED = Symbol("r", integer=True, positive=True)
TAKEN = MatrixSymbol("B", _RECEIVED, _SIZE)
PLACES = MatrixSymbol("Z", _SIZE, _RECEIVED)
SHARING = SymmetricSymbol("M", _RECEIVED)
S = SymmetricSymbol("S", _SIZE)
#: Rows that read out the labels of one supervised set, its labels, and what is inverted, by Cholesky factors.
T = MatrixSymbol("T", m, _SIZE)
LABELS = MatrixSymbol("y", m, Symbol("k", integer=True, positive=True))
COVARIANCE = Factored("K", _SIZE)
NOISY = Factored("K", m)

_E, _EARLIER, _CONSTANT = (SymmetricSymbol(name, _SIZE) for name in ("E", "E_1", "C_0"))
_ONE = {_E: Identity(_SIZE), _EARLIER: Identity(_SIZE)}


@cache
def energy() -> dict[str, Any]:
    """Value, gradient, and its change with S, of one supervised set's energy; and its parts.

    ``response`` is U T with ``(v TTᵀ + κ)⁻¹ = UᵀU``, and ``pull`` is ``q = Tᵀ(v TTᵀ + κ)⁻¹y``.
    """
    noisy = v * MatMul(T, _E, Transpose(T)) + kappa * Identity(m)
    F = HALF * Trace(MatMul(Transpose(LABELS), Inverse(noisy), LABELS))
    response = Whitened(NOISY, T)
    pull = MatMul(Transpose(response), Whitened(NOISY, LABELS))
    found = _derivatives(F, noisy, NOISY)
    return {"value": found["value"], "response": response, "pull": pull} | found


@cache
def entropy(tied: bool) -> dict[str, Any]:
    """Value, gradient, and its change with S, of the entropy without ``-m/2``; and its parts.

    ``relative`` is ``M = LᵀC⁻¹L`` and ``messages`` the gradient through C; with one W for all times, ``left_k`` and
    ``right_k`` are X and Y of a change with the symmetric part of ``Σ X S Y``.

    Args:
        tied: whether M is 1 everywhere, else a symbol.
    """

    def whole(step: Any, earlier: Any) -> tuple[Any, Any]:
        if tied:
            covariance = w * MatMul(B, earlier, Transpose(B)) + _CONSTANT
        else:
            received = Mask(MatMul(TAKEN, earlier, Transpose(TAKEN)), SHARING)
            covariance = w * MatMul(PLACES, received, Transpose(PLACES)) + _CONSTANT
        moved = MatMul(L, step, Transpose(L))
        divergence = HALF * Trace(MatMul(Transpose(L), Inverse(covariance), L, step)) - HALF * LogDet(moved)
        return divergence + HALF * LogDet(covariance), covariance

    F, covariance = whole(_E, _E)
    apart, other = whole(_E, _EARLIER)
    relative = MatMul(Transpose(L), Inverse(covariance), L)
    parts = {
        "relative": arranged(_here(relative, covariance, COVARIANCE), S),
        "messages": arranged(_here(gradient(apart, _EARLIER), other, COVARIANCE), S),
    }
    if tied:
        change = _here(differential(gradient(F, _E), _E, S), covariance, COVARIANCE)
        for k, (left, right) in enumerate(sandwich_terms(change, S)):
            parts |= {f"left_{k}": left, f"right_{k}": right}
    return parts | _derivatives(F, covariance, COVARIANCE)


def _derivatives(F: Any, inverted: Any, factor: Any) -> dict[str, Any]:
    G = gradient(F, _E)
    value = _here(F, inverted, factor).replace(Trace, lambda inside: Trace(arranged(inside, S)))
    change = arranged(_here(differential(G, _E, S), inverted, factor), S)
    return {"value": value, "gradient": arranged(_here(G, inverted, factor), S), "change": change}


def _here(expression: Any, inverted: Any, factor: Any) -> Any:
    """At E = 1, where what is inverted is given by its Cholesky factor."""
    known = inverted.xreplace(_ONE).doit()
    return expression.xreplace(_ONE).doit().xreplace({known: factor})

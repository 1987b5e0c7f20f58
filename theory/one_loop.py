"""One loop around a saddle of any action, to first order in 1/N: covariance and shift of the mean.

See docs/theory.md section 13. For the law ``∫ dx exp(-N F(x) - A(x))`` of variables x, some of which may run along the
imaginary axis,

``N Cov(x) → Σ = (∂²F)⁻¹``,  ``N (⟨x⟩ - x*) → -Σ·r``,  ``r_j = ∂_j A + ½ F_jkl Σ_kl``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sympy import Expr, Matrix, Rational, Symbol, diff, hessian, simplify


@dataclass(frozen=True)
class OneLoopTerms:
    """Terms of order 1/N.

    Attributes:
        covariance: Σ, N times the covariance.
        shift: N times the mean's distance from the saddle.
    """

    covariance: Matrix
    shift: Matrix


def one_loop(F: Expr, A: Expr, variables: Sequence[Symbol], saddle: Mapping[Symbol, Expr]) -> OneLoopTerms:
    """Covariance and shift at a saddle.

    Args:
        F, A: the action, of order N and of order one.
        variables: x.
        saddle: their values where ``∂F = 0``.

    Raises:
        ArithmeticError: F is not stationary there.
    """
    at = dict(saddle)
    if any(simplify(diff(F, x).subs(at)) != 0 for x in variables):
        raise ArithmeticError("F is not stationary at this point")
    covariance = hessian(F, list(variables)).subs(at).inv().applyfunc(simplify)
    size = range(len(variables))
    force = [
        diff(A, x).subs(at)
        + Rational(1, 2)
        * sum(diff(F, x, variables[k], variables[m]).subs(at) * covariance[k, m] for k in size for m in size)
        for x in variables
    ]
    return OneLoopTerms(covariance, (-covariance * Matrix(force)).applyfunc(simplify))

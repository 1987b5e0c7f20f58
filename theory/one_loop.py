"""One loop around a saddle of any action: free energy to order one; covariance and shift of the mean to order 1/N.

See docs/theory.md section 13. For the law ``∫ dx exp(-N F(x) - A(x))`` of variables x, some of which may run along the
imaginary axis,

``N Cov(x) → Σ = (∂²F)⁻¹``,  ``N (⟨x⟩ - x*) → -Σ·r``,  ``r_j = ∂_j A + ½ F_jkl Σ_kl``,

``-ln ∫ Π_i √(N/2π) dx_i exp(-N F - A) = N F* + A* + ½ ln((-1)^c |∂²F|) + O(1/N)``

with c variables along the imaginary axis: a pair of a kernel and its conjugate has the factor N/2π of a δ function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sympy import Expr, Matrix, Rational, Symbol, diff, hessian, log, simplify


@dataclass(frozen=True)
class OneLoopTerms:
    """What one loop adds.

    Attributes:
        free_energy: beside N F, of order one.
        covariance: Σ, N times the covariance.
        shift: N times the mean's distance from the saddle.
    """

    free_energy: Expr
    covariance: Matrix
    shift: Matrix


def one_loop(
    F: Expr, A: Expr, variables: Sequence[Symbol], saddle: Mapping[Symbol, Expr], conjugates: int = 0
) -> OneLoopTerms:
    """Free energy, covariance and shift at a saddle.

    Args:
        F, A: the action, of order N and of order one.
        variables: x.
        saddle: their values where ``∂F = 0``.
        conjugates: c, how many of the variables run along the imaginary axis.

    Raises:
        ArithmeticError: F is not stationary there.
    """
    at = dict(saddle)
    if any(simplify(diff(F, x).subs(at)) != 0 for x in variables):
        raise ArithmeticError("F is not stationary at this point")
    curvature = hessian(F, list(variables)).subs(at)
    covariance = curvature.inv().applyfunc(simplify)
    size = range(len(variables))
    force = [
        diff(A, x).subs(at)
        + Rational(1, 2)
        * sum(diff(F, x, variables[k], variables[m]).subs(at) * covariance[k, m] for k in size for m in size)
        for x in variables
    ]
    of_order_one = A.subs(at) + Rational(1, 2) * log(simplify((-1) ** conjugates * curvature.det()))
    return OneLoopTerms(of_order_one, covariance, (-covariance * Matrix(force)).applyfunc(simplify))

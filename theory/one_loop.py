"""Loops around a saddle of any action: free energy to order 1/N; covariance and shift of the mean to order 1/N.

See docs/theory.md section 13. For the law ``∫ dx exp(-N F(x) - A(x))`` of variables x, some of which may run along the
imaginary axis,

``N Cov(x) → Σ = (∂²F)⁻¹``,  ``N (⟨x⟩ - x*) → -Σ·r``,  ``r_j = ∂_j A + ½ F_jkl Σ_kl``,

``-ln ∫ Π_i √(N/2π) dx_i exp(-N F - A) = N F* + A* + ½ ln((-1)^c |∂²F|) + O(1/N)``

with c variables along the imaginary axis: a pair of a kernel and its conjugate has the factor N/2π of a δ function. The
next term is ``Γ_2/N``, the diagrams of two loops,

``Γ_2 = ⅛ F_ijkl Σ_ij Σ_kl - (1/12) F_ijk F_lmn Σ_il Σ_jm Σ_kn + ½ A_ij Σ_ij - ½ r·Σr``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from sympy import Expr, Integer, Matrix, Rational, Symbol, diff, hessian, log, simplify


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


def two_loops(F: Expr, A: Expr, variables: Sequence[Symbol], saddle: Mapping[Symbol, Expr]) -> Expr:
    """Γ_2 at a saddle.

    Args:
        F, A: the action, of order N and of order one.
        variables: x.
        saddle: their values where ``∂F = 0``.

    Raises:
        ArithmeticError: F is not stationary there.
    """
    at, loop = dict(saddle), one_loop(F, A, variables, saddle)
    size, covariance = range(len(variables)), loop.covariance

    def derivative(expression: Expr, *places: int) -> Expr:
        return diff(expression, *(variables[place] for place in places)).subs(at)

    third = {places: derivative(F, *places) for places in product(size, repeat=3)}
    total: Expr = Integer(0)
    for i, j in product(size, repeat=2):
        total += Rational(1, 2) * derivative(A, i, j) * covariance[i, j]
        for k, m in product(size, repeat=2):
            total += Rational(1, 8) * derivative(F, i, j, k, m) * covariance[i, j] * covariance[k, m]
    for one, other in product(third, repeat=2):
        links = [covariance[a, b] for a, b in zip(one, other, strict=True)]
        total -= Rational(1, 12) * third[one] * third[other] * links[0] * links[1] * links[2]
    # the shift is -Σ r, and r its own curvature times it
    curvature = hessian(F, list(variables)).subs(at)
    return simplify(total - Rational(1, 2) * (loop.shift.T * curvature * loop.shift)[0, 0])

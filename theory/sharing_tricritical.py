"""Tricritical points of shared:ρ and drift:ρ: where the transition turns from continuous to discontinuous along ρ.

docs/theory.md section 10. Units ``u = v = w = 1``. ``p + qζ`` of ``theory.sharing_landau`` as a function of ρ, at any
precision; its zeros for T = 5 and 6 without noise are algebraic numbers whose polynomials follow here. How many there
are without noise is proved for each T: ρ and Λ are rational in ``c = cos θ`` of the critical mode,
``ρ = cos(nθ/2)/cos((n-2)θ/2)`` and ``Λ = (1-ρ²)/(1-2ρc+ρ²)``, with ρ from 0 to 1 as c rises from cos π/n to 1, and
Sturm's theorem counts the zeros of the numerator of ``p + q``, a polynomial in c.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import mpmath
from sympy import (
    QQ,
    Expr,
    Poly,
    Rational,
    Symbol,
    cancel,
    chebyshevt,
    cos,
    floor,
    fraction,
    pi,
    resultant,
)

from theory import symbols
from theory.kernel import require_horizon
from theory.sharing import SharingFamily
from theory.sharing_landau import Quartic, exact_quartic, quartic
from theory.sharing_stability import EIGENVALUE, Instability, eigenvalue_condition

#: Points of (0, 1) between which a change of sign is looked for.
GRID = 100
#: Longest network whose polynomial is found by elimination.
LONGEST_POLYNOMIAL = 6
#: c = cos θ, and the resolution at which its lower end cos π/n, where ρ = 0, is enclosed.
COSINE = Symbol("c")
RESOLUTION = 10**9


def largest_eigenvalue(size: int, rho: Any) -> Any:
    """Λ of ``ρ^|t-t'|``, m × m, an mpmath number, from the angle of ``theory.sharing_stability.angle_condition``."""
    ctx = mpmath.mp

    def condition(angle: Any) -> Any:
        return ctx.cos((size + 1) * angle / 2) - rho * ctx.cos((size - 1) * angle / 2)

    low, high = ctx.mpf(0), ctx.pi / (size + 1)
    angle = ctx.findroot(condition, (low, high), solver="anderson", tol=ctx.eps**2, verify=False)
    return (1 - rho**2) / (1 - 2 * rho * ctx.cos(angle) + rho**2)


def quartic_at(family: str, T: int, rho: Any) -> Quartic:
    """The quartic coefficient for an mpmath number ρ in (0, 1)."""
    size = T - 2
    one = mpmath.mpf(1)
    powers = [one] + [rho if family == "shared" else rho**k for k in range(1, size)]
    M = [[powers[abs(s - t)] for t in range(size)] for s in range(size)]
    eigenvalue = largest_eigenvalue(size, rho)
    return quartic(M, 1, (1, size), eigenvalue / (eigenvalue - 1), one)


def continuity_at(family: str, T: int, rho: Any, kappa: Any) -> Any:
    """``(p + qζ)/ζ``: the transition is continuous where it is positive and λ(r) rises."""
    found = quartic_at(family, T, rho)
    return found.constant * (1 + kappa / found.ratio ** (T - 1)) + found.share


def tricritical_correlations(family: str, T: int, digits: int = 40) -> tuple[Any, ...]:
    """The ρ in (0, 1) at which the order changes at κ = 0, mpmath numbers to so many digits.

    Changes of sign of ``p + qζ`` on a grid, where λ(r) rises; each root refined.

    Raises:
        ValueError: for another family or T < 4.
    """
    if family not in ("shared", "drift"):
        raise ValueError(f"family: is {family!r}; accepted: shared or drift")
    require_horizon(T, 4)
    grid = []
    with mpmath.workdps(20):
        for k in range(1, GRID):
            rho = mpmath.mpf(k) / GRID
            grid.append((rho, continuity_at(family, T, rho, 0)))
    roots = []
    with mpmath.workdps(digits + 20):
        for (low, before), (high, after) in pairwise(grid):
            if (before > 0) != (after > 0):
                root = mpmath.findroot(
                    lambda rho: continuity_at(family, T, rho, 0),
                    (low, high),
                    solver="anderson",
                    tol=mpmath.mpf(10) ** (-2 * digits),
                    verify=False,
                )
                if _rises(quartic_at(family, T, root), 0):
                    roots.append(root)
    return tuple(roots)


def _rises(found: Quartic, kappa: Any) -> bool:
    """Whether λ(r) rises at ``r_c``."""
    growth = found.ratio**found.hidden
    return bool(found.rise(growth / (growth + kappa)) > 0)


@cache
def tricritical_polynomial(family: str, T: int) -> Poly:
    """A polynomial with integer coefficients among whose roots are the tricritical ρ at κ = 0, T ≤ 6.

    The numerator of ``p + q``, a rational function of Λ and ρ, and the polynomial that Λ obeys have a common root Λ.
    """
    require_horizon(T, 4)
    if T > LONGEST_POLYNOMIAL:
        raise ValueError(f"T: is {T}; accepted: 4 to {LONGEST_POLYNOMIAL}")
    rho, n = symbols.rho, T - 1
    found, field = exact_quartic(SharingFamily(family, rho).matrix(n), Instability(1, EIGENVALUE, (1, n - 1), 1))
    numerator = Poly(fraction(field.to_sympy(found.constant + found.share))[0], EIGENVALUE, domain=QQ.frac_field(rho))
    condition = Poly(eigenvalue_condition(n - 1), EIGENVALUE, domain=QQ.frac_field(rho))
    reduced = fraction(numerator.rem(condition).as_expr().together())[0]
    return Poly(resultant(reduced, condition.as_expr(), EIGENVALUE), rho).primitive()[1]


def correlation_at_cosine(n: int) -> Expr:
    """``ρ = cos(nθ/2)/cos((n-2)θ/2)`` as a rational function of c."""
    if n % 2 == 0:
        return chebyshevt(n // 2, COSINE) / chebyshevt(n // 2 - 1, COSINE)
    half = Symbol("y")

    def even_part(k: int) -> Expr:
        """``cos(kθ/2)/cos(θ/2)``, k odd, by ``cos²(θ/2) = (1+c)/2``."""
        terms = Poly(cancel(chebyshevt(k, half) / half), half).terms()
        return sum(coefficient * ((1 + COSINE) / 2) ** (power // 2) for (power,), coefficient in terms)

    return even_part(n) / even_part(n - 2)


@cache
def continuity_numerator(family: str, T: int) -> Poly:
    """The numerator of ``p + q`` (κ = 0) as a polynomial in c; its denominator vanishes nowhere within.

    Raises:
        ArithmeticError: if the denominator does.
    """
    require_horizon(T, 4)
    n = T - 1
    field = QQ.frac_field(COSINE)
    rho, c, one = field.from_sympy(cancel(correlation_at_cosine(n))), field.gens[0], field.one
    eigenvalue = (one - rho**2) / (one - 2 * rho * c + rho**2)
    powers = [one] + [rho if family == "shared" else rho**k for k in range(1, n - 1)]
    rows = [[powers[abs(s - t)] for t in range(n - 1)] for s in range(n - 1)]
    found = quartic(rows, 1, (1, n - 1), eigenvalue / (eigenvalue - one), one)
    value = found.constant + found.share
    outer, inner = _count_within(Poly(value.denom.as_expr(), COSINE), n)
    if inner or outer > 1:  # one at ρ = 0 itself, where p + q diverges
        raise ArithmeticError(f"{family}, T = {T}: the denominator vanishes within")
    return Poly(value.numer.as_expr(), COSINE)


def tricritical_count(family: str, T: int) -> int:
    """How many ρ in (0, 1) are tricritical at κ = 0, by Sturm's theorem.

    Raises:
        ArithmeticError: if a zero is too close to ρ = 0 to be told from it.
    """
    outer, inner = _count_within(continuity_numerator(family, T), T - 1)
    if outer != inner:
        raise ArithmeticError(f"{family}, T = {T}: a zero within 1/{RESOLUTION} of ρ = 0")
    return inner


def _count_within(polynomial: Poly, n: int) -> tuple[int, int]:
    """Its different zeros in c < 1, from just below and from just above cos π/n."""
    below = Rational(int(floor(cos(pi / n) * RESOLUTION)), RESOLUTION)
    at_one = int(polynomial.eval(1) == 0)
    outer, inner = (polynomial.count_roots(low, 1) - at_one for low in (below, below + Rational(1, RESOLUTION)))
    return outer, inner

"""Stability of the incoherent branch for any sharing matrix and any T (docs/theory.md section 10).

M has unit diagonal (``theory.sharing`` scales any other to it), units u = v = w = 1, ``n = T - 1``, ``H = D^{1/2} (1
+ E) D^{1/2}`` with ``D = diag(r^t)``. With ``G = M∘E₋`` the second-order part of F is

``2F₂ = r (tr G² - tr E₊G) + ½ (tr E² - tr G²) + (r-1)ζ E_nn²``,

which joins entries of equal lag only. Lag 0 meets the diagonal of M alone: it is the same for every M. At lag l ≥ 1,
with ``E_{t,t+l} = a_t``, ``m = n - l`` and ``g_t = M_{t,t+l}`` (t < m), the correlations that this lag meets,

``2F₂ = aᵀ L a``, ``L`` tridiagonal: diagonal ``1 + (2r-1) g_t²`` (last: 1), off-diagonal ``-r g_t``.

``L = r BᵀB - (r-1) (1 - g²)`` with ``B = 1 - `` (g one place below the diagonal), and ``1 - g²`` diagonal, its last
entry 1. The congruence by ``B⁻¹`` is ``r - (r-1) K`` with the **correlation matrix of the lag**

``K_tt' = g_t g_{t+1} … g_{t'-1}``, ``t ≤ t'``,

that of a Markov chain of unit variances whose neighbours have the correlations g. By Sylvester's law of inertia, as
many modes of this lag are unstable at r as K has eigenvalues above ``r/(r-1)``. The branch loses its stability at
``r_c = Λ/(Λ-1)``, Λ the largest eigenvalue of all K, to the mode ``a = B⁻¹x``, ``Kx = Λx``; where no K has an
eigenvalue above 1, never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from sympy import (
    Expr,
    I,
    ImmutableMatrix,
    Integer,
    Matrix,
    Poly,
    Symbol,
    cos,
    diag,
    expand,
    eye,
    factor,
    numer,
    prod,
    real_roots,
    sin,
    together,
)
from sympy import (
    symbols as new_symbols,
)

from theory import symbols
from theory.claims import assert_zero

#: Variable of characteristic polynomials of K; "Lambda" does not parse.
EIGENVALUE = Symbol("Lamda", positive=True)
#: Of eigenvalues that are compared; those that agree so far are taken for equal.
EQUAL_DIGITS = 50


@dataclass(frozen=True)
class SharingSector:
    """What one lag meets of M, and the second variation that follows.

    Attributes:
        lag: l ≥ 1.
        correlations: ``g_1 … g_{m-1}``, ``g_t = M_{t,t+l}``.
    """

    lag: int
    correlations: tuple[Expr, ...]

    @property
    def size(self) -> int:
        """``m = n - l``."""
        return len(self.correlations) + 1

    def form(self, r: Expr = symbols.r) -> ImmutableMatrix:
        """``L``, m × m."""
        L = eye(self.size).as_mutable()
        for t, g in enumerate(self.correlations):
            L[t, t] += (2 * r - 1) * g**2
            L[t, t + 1] = L[t + 1, t] = -r * g
        return ImmutableMatrix(L)

    def correlation_matrix(self) -> ImmutableMatrix:
        """``K``, m × m."""
        g = self.correlations
        return ImmutableMatrix(self.size, self.size, lambda s, t: prod(g[min(s, t) : max(s, t)], Integer(1)))

    def difference(self) -> ImmutableMatrix:
        """``B``, m × m."""
        B = eye(self.size).as_mutable()
        for t, g in enumerate(self.correlations):
            B[t + 1, t] = -g
        return ImmutableMatrix(B)

    def residual(self) -> ImmutableMatrix:
        """``1 - g²``, diagonal, m × m: what is left of each variance given the later neighbour."""
        return ImmutableMatrix(diag(*(1 - g**2 for g in self.correlations), 1))

    def segments(self) -> list[tuple[int, SharingSector]]:
        """The parts between vanishing correlations, each with the place of its first entry, from 0: K is their direct
        sum."""
        cuts = [t + 1 for t, g in enumerate(self.correlations) if g == 0]
        bounds = zip([0, *cuts], [*cuts, self.size], strict=True)
        return [(first, SharingSector(self.lag, self.correlations[first : end - 1])) for first, end in bounds]

    @cached_property
    def largest_eigenvalue(self) -> Expr:
        """The largest eigenvalue of K, exact where g are rational."""
        return max((segment._largest() for _, segment in self.segments()), key=_number)

    def _largest(self) -> Expr:
        if self.size == 1:
            return Integer(1)
        K = self.correlation_matrix()
        if all(g**2 == 1 for g in self.correlations):
            return Integer(self.size)
        return max((real_roots(base)[-1] for base, _ in _characteristic(K).factor_list()[1]), key=_number)


def _characteristic(K: Matrix) -> Poly:
    return Poly(K.charpoly().all_coeffs(), EIGENVALUE)


def _number(eigenvalue: Expr) -> Expr:
    return eigenvalue.evalf(EQUAL_DIGITS)


def sharing_sector(M: ImmutableMatrix, lag: int) -> SharingSector:
    """What lag l ≥ 1 meets of a sharing matrix of unit diagonal.

    Raises:
        ValueError: for a lag that no two of the n hidden times have.
    """
    n = M.shape[0] + 1
    if not 1 <= lag <= n - 1:
        raise ValueError(f"lag: is {lag}; accepted: 1 to {n - 1} for {n} hidden times")
    return SharingSector(lag, tuple(M[t, t + lag] for t in range(n - 1 - lag)))


@dataclass(frozen=True)
class Instability:
    """Where the incoherent branch loses its stability.

    Attributes:
        lag: l of the mode.
        eigenvalue: Λ.
        times: first and last t, from 1, at which the mode ``E_{t,t+l}`` does not vanish.
        degeneracy: how many modes turn unstable here.
    """

    lag: int
    eigenvalue: Expr
    times: tuple[int, int]
    degeneracy: int

    @property
    def ratio(self) -> Expr:
        """``r_c = Λ/(Λ-1)``."""
        return self.eigenvalue / (self.eigenvalue - 1)


def instability(M: ImmutableMatrix) -> Instability | None:
    """The first instability of the incoherent branch, exact; None where there is none.

    Of several modes that turn unstable together, that of the smallest lag and the latest times.

    Args:
        M: rational, unit diagonal, ``(n-1) × (n-1)``.
    """
    found = []
    for lag in range(1, M.shape[0]):
        for first, segment in reversed(sharing_sector(M, lag).segments()):
            if segment.size > 1:
                found.append(Instability(lag, segment.largest_eigenvalue, (first + 1, first + segment.size), 1))
    if not found:
        return None
    largest = max(_number(entry.eigenvalue) for entry in found)
    close = [entry for entry in found if abs(_number(entry.eigenvalue) - largest) < Integer(10) ** (5 - EQUAL_DIGITS)]
    return replace(close[0], degeneracy=len(close))


def critical_mode(correlations: Sequence[Any], ratio: Any, one: Any) -> list[Any]:
    """The null vector of L at ``r_c``, from row after row; its last entry is 1.

    Args:
        correlations: of one lag, none of them zero: elements of a field, as the others, or mpmath numbers.
    """
    mode = [one]
    for t, g in enumerate(correlations):
        before = ratio * correlations[t - 1] * mode[t - 1] if t else 0 * one
        row = (one + (ratio + ratio - one) * g * g) * mode[t] - before
        mode.append(row / (ratio * g))
    return [a / mode[-1] for a in mode]


@cache
def assert_congruence(size: int) -> None:
    """``L = r BᵀB - (r-1)(1-g²)`` and ``Bᵀ K B = 1 - g²``, hence ``B⁻ᵀ L B⁻¹ = r - (r-1)K``, for symbols ``g_t``.

    Raises:
        ArithmeticError: if a step fails.
    """
    sector = SharingSector(1, new_symbols(f"g_1:{size}", real=True))
    r, B, K = symbols.r, sector.difference(), sector.correlation_matrix()
    claims = {
        "L": sector.form() - (r * B.T * B - (r - 1) * sector.residual()),
        "K": B.T * K * B - sector.residual(),
        "the congruence": sector.form() - B.T * (r * eye(size) - (r - 1) * K) * B,
    }
    for name, difference in claims.items():
        if any(entry.expand() != 0 for entry in difference):
            raise ArithmeticError(f"{name}: {Matrix(difference)} does not vanish")


# --- equal correlations along the lag: shared:ρ and drift:ρ ----------------------------------------------------------


def eigenvalue_at(angle: Expr, rho: Expr = symbols.rho) -> Expr:
    """``Λ = (1-ρ²)/(1 - 2ρ cos θ + ρ²)``, eigenvalue of ``K_tt' = ρ^|t-t'|`` (Kac, Murdock and Szegő 1953)."""
    return (1 - rho**2) / (1 - 2 * rho * cos(angle) + rho**2)


def ratio_at(angle: Expr, rho: Expr = symbols.rho) -> Expr:
    """``r_c = Λ/(Λ-1) = (1-ρ²)/(2ρ(cos θ - ρ))``."""
    return (1 - rho**2) / (2 * rho * (cos(angle) - rho))


def angle_condition(size: Expr, angle: Expr, rho: Expr = symbols.rho) -> Expr:
    """Zero at the angle of the largest eigenvalue, its smallest root: ``cos((m+1)θ/2) - ρ cos((m-1)θ/2)``, θ <
    π/(m+1)."""
    return cos((size + 1) * angle / 2) - rho * cos((size - 1) * angle / 2)


@cache
def assert_angle_condition() -> None:
    """Derive the condition from the tridiagonal form of symbolic length m.

    With all correlations ρ, rows 2 … m-1 of ``L a = 0`` are solved by ``a_t = sin tθ``, which solves row 1 too, if
    ``1 + (2r-1)ρ² = 2rρ cos θ``; this gives r. The last row then is ``a_m - rρ a_{m-1} = 0``.

    Raises:
        ArithmeticError: if a step fails.
    """
    m, angle, rho = Symbol("m", positive=True), Symbol("theta", positive=True), symbols.rho
    r = ratio_at(angle)

    def exponentials(expression: Expr) -> Expr:
        """The numerator of the same as a rational function of ``x = e^{iθ/2}`` and ``y = e^{imθ/2}``: zero only if it
        is zero."""
        x, y = Symbol("x"), Symbol("y")

        def put(sign: int) -> Callable[[Expr], Expr]:
            def replaced(argument: Expr) -> Expr:
                turns = (argument / angle).expand()
                e = x ** (2 * turns.coeff(m, 0)) * y ** (2 * turns.coeff(m, 1))
                return (e + sign / e) / (2 if sign == 1 else 2 * I)

            return replaced

        return expand(numer(together(expression.replace(sin, put(-1)).replace(cos, put(1)))))

    t = m
    inner = (1 + (2 * r - 1) * rho**2) * sin(t * angle) - r * rho * (sin((t - 1) * angle) + sin((t + 1) * angle))
    last = sin(m * angle) - r * rho * sin((m - 1) * angle)
    other = sin((m + 1) * angle / 2) - rho * sin((m - 1) * angle / 2)
    eigenvalue = eigenvalue_at(angle)
    claims = {
        "rows before the last": inner,
        "the last row": last * 2 * (cos(angle) - rho) - 2 * angle_condition(m, angle) * other,
        "r_c": ratio_at(angle) - eigenvalue / (eigenvalue - 1),
    }
    assert_zero(claims, exponentials)


def eigenvalue_condition(size: int) -> Expr:
    """The polynomial in Λ and ρ whose largest root is the largest eigenvalue of ``K_tt' = ρ^|t-t'|``.

    Reversing time commutes with K; by Perron and Frobenius the largest eigenvalue belongs to a vector that does not
    change its sign, so to K restricted to vectors that are their own reverse.
    """
    rho, half = symbols.rho, (size + 1) // 2

    def entry(s: int, t: int) -> Expr:
        mirrored = size - 1 - t
        return rho ** abs(s - t) + (rho ** abs(s - mirrored) if mirrored != t else 0)

    symmetric = Matrix(half, half, entry)
    return factor(_characteristic(symmetric).as_expr())

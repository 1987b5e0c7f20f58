"""The quartic Landau coefficient at the critical point for symbolic T, with its proof (docs/theory.md section 5).

Units ``u = v = w = 1``, ``n = T - 1``, ``r = r_c = (n-1)/(n-2)``, ``H = D^{1/2} M D^{1/2}`` as in ``theory.landau``,
and ``ζ = r^n/(r^n + κ)``, the share of the last kernel entry in ``H^{nn} + κ``. The critical mode is
``E_{t,t+1} = a_t = t/(n-1)``. To second order in it the entries of lag 0 and 2 follow; with ``X`` for these and ``R``
for the second-order part of the gradient on ``M = 1 + αE``,

``2F = … + α⁴ (Φ₄(E) + ½ tr RX)``,  ``L X = -R``,

``R = r[up(E₋²) - pad(3E₋² - E₋E₊ - E₊E₋)] - E² + pad(E₋²)``,
``Φ₄ = r(tr E₋⁴ - tr E₊E₋³) + ¼(tr E⁴ - tr E₋⁴)``,

where ``E₋``, ``E₊`` are the first and the last ``n-1`` rows and columns, ``pad`` puts a block at times ``1 … n-1`` and
``up`` at ``2 … n``. ``L`` is tridiagonal within each lag with constant coefficients and ``a_t`` is linear, so the
responses are quadratic in t, and every sum is elementary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sympy import QQ, Add, Expr, Poly, Rational, Symbol, bernoulli, binomial, factor, linsolve

from theory import symbols
from theory.incoherent import critical_ratio

_t, _n = symbols.t, symbols.n
_RATIO = critical_ratio(_n + 1)


@dataclass(frozen=True)
class QuarticCoefficient:
    """Responses and quartic coefficient as functions of ``symbols.n`` and ``symbols.zeta``.

    Attributes:
        mode: ``a_t``.
        lag_two: the response at ``(t, t+2)``, t = 1 … n-2.
        lag_zero: the response at ``(t, t)``, t = 1 … n-1.
        lag_zero_last: the response at ``(n, n)``.
        quartic: ``b`` in ``F = F₀ + ½ a (r-r_c) α² + ¼ b α⁴ + …``.
    """

    mode: Expr
    lag_two: Expr
    lag_zero: Expr
    lag_zero_last: Expr
    quartic: Expr


def _rational(expression: Expr) -> Expr:
    """An expression as one reduced fraction; 0 exactly when it vanishes identically."""
    field = QQ.frac_field(_n, symbols.zeta, _t)
    return field.to_sympy(field.from_sympy(expression))


def _coefficients(polynomial: Expr) -> list[Expr]:
    """Coefficients of powers of t: a polynomial that vanishes for all t has none but zeros."""
    return list(Poly(polynomial, _t).all_coeffs())


def _linear_solution(equations: list[Expr], unknown: list[Symbol]) -> dict[Symbol, Expr]:
    solutions = list(linsolve(equations, unknown))
    if len(solutions) != 1 or set(unknown) & set().union(*(x.free_symbols for x in solutions[0])):
        raise ArithmeticError("the slaved modes are not determined")
    return dict(zip(unknown, solutions[0], strict=True))


def _power_sum(power: int, upper: Expr) -> Expr:
    """``Σ_{t=1}^{upper} t^power``, Faulhaber's formula."""
    return Add(
        *(
            Rational((-1) ** j * binomial(power + 1, j) * bernoulli(j, 0), power + 1) * upper ** (power + 1 - j)
            for j in range(power + 1)
        )
    )


def time_sum(summand: Expr, upper: Expr) -> Expr:
    """``Σ_{t=1}^{upper}`` of a polynomial in t."""
    terms = Poly(summand, _t).terms()
    return Add(*(coefficient * _power_sum(power, upper) for (power,), coefficient in terms))


def _a(t: Expr) -> Expr:
    return t / (_n - 1)


def lag_two_source(t: Expr) -> Expr:
    """``R_{t,t+2}`` for t < n-2, where no index is at the end of time."""
    return _RATIO * (_a(t - 1) * _a(t) - 3 * _a(t) * _a(t + 1) + _a(t) * _a(t + 2) + _a(t + 1) ** 2)


def lag_two_source_last() -> Expr:
    """``R_{n-2,n}``: the blocks that end at n-1 do not reach it."""
    return _RATIO * _a(_n - 3) * _a(_n - 2) - _a(_n - 2) * _a(_n - 1)


def lag_zero_source(t: Expr) -> Expr:
    """``R_{t,t}`` for 1 < t < n-1."""
    earlier = _a(t - 2) ** 2 + _a(t - 1) ** 2
    here = _a(t - 1) ** 2 + _a(t) ** 2
    return _RATIO * (earlier - 3 * here + 2 * (_a(t) * _a(t - 1) + _a(t) * _a(t + 1)))


def lag_zero_source_first() -> Expr:
    """``R_{1,1}``: there is no earlier time."""
    return _RATIO * (-3 * _a(1) ** 2 + 2 * _a(1) * _a(2))


def lag_zero_source_last_two() -> tuple[Expr, Expr]:
    """``R_{n-1,n-1}`` and ``R_{n,n}``."""
    r = _RATIO
    before = r * (_a(_n - 3) ** 2 + _a(_n - 2) ** 2 - 3 * _a(_n - 2) ** 2 + 2 * _a(_n - 1) * _a(_n - 2))
    return before - _a(_n - 1) ** 2, r * _a(_n - 2) ** 2 - _a(_n - 1) ** 2


def _lag_two_response() -> Expr:
    """Solves ``-r b_{t-1} + 2r b_t - r b_{t+1} = -R``, ``b_0 = 0``, ``b_{n-2} - r b_{n-3} = -R_last``."""
    r = _RATIO
    c1, c2 = Symbol("c1"), Symbol("c2")

    def b(t: Expr) -> Expr:
        return c1 * t + c2 * t**2

    interior = r * (2 * b(_t) - b(_t - 1) - b(_t + 1)) + lag_two_source(_t)
    last = b(_n - 2) - r * b(_n - 3) + lag_two_source_last()
    found = _linear_solution([*_coefficients(interior), last], [c1, c2])
    if _rational(interior.subs(found)) != 0 or _rational(last.subs(found)) != 0:
        raise ArithmeticError("the lag-2 response does not satisfy its recursion")
    return factor(b(_t).subs(found))


def _lag_zero_response() -> tuple[Expr, Expr]:
    """Solves the lag-0 recursion; the last row has the energy's curvature, ``1 + 2(r-1)ζ`` on its diagonal."""
    r, zeta = _RATIO, symbols.zeta
    c0, c1, c2, last = (Symbol(name) for name in ("c0", "c1", "c2", "last"))

    def d(t: Expr) -> Expr:
        return c0 + c1 * t + c2 * t**2

    before, end = lag_zero_source_last_two()
    rows = (
        2 * r * d(1) - r * d(2) + lag_zero_source_first(),
        r * (2 * d(_t) - d(_t - 1) - d(_t + 1)) + lag_zero_source(_t),
        r * (2 * d(_n - 1) - d(_n - 2) - last) + before,
        (1 + 2 * (r - 1) * zeta) * last - r * d(_n - 1) + end,
    )
    unknown = [c0, c1, c2, last]
    found = _linear_solution([rows[0], *_coefficients(rows[1]), *rows[2:]], unknown)
    if any(_rational(row.subs(found)) != 0 for row in rows):
        raise ArithmeticError("the lag-0 response does not satisfy its recursion")
    return factor(d(_t).subs(found)), factor(found[last])


def _fourth_order() -> Expr:
    """``Φ₄(E)``: sums over times; ``a_0 = 0``, and blocks that end at n-1 have no ``a_{n-1}``."""
    r = _RATIO

    def trace_fourth(count: Expr) -> Expr:
        """``tr E⁴ = Σ 2a_t⁴ + 4a_t²a_{t+1}²`` with ``a_1 … a_count``."""
        return time_sum(2 * _a(_t) ** 4, count) + time_sum(4 * _a(_t) ** 2 * _a(_t + 1) ** 2, count - 1)

    crossed = 2 * (
        time_sum(_a(_t + 1) * _a(_t) * (_a(_t - 1) ** 2 + _a(_t) ** 2 + _a(_t + 1) ** 2), _n - 2)
        - _a(_n - 1) * _a(_n - 2) * _a(_n - 1) ** 2
    )
    return r * (trace_fourth(_n - 2) - crossed) + (trace_fourth(_n - 1) - trace_fourth(_n - 2)) / 4


@cache
def quartic_coefficient() -> QuarticCoefficient:
    """The quartic Landau coefficient for symbolic ``n = T - 1``.

    ``b = -(n + 2(n²-6n+4)ζ) / (2(n-1)(2nζ-1))``; derived here, asserted by the recursions that its responses satisfy,
    and equal to ``theory.landau`` for each T.
    """
    two = _lag_two_response()
    zero, last = _lag_zero_response()
    before, end = lag_zero_source_last_two()
    crossed = (
        time_sum(2 * lag_two_source(_t) * two, _n - 3)
        + 2 * lag_two_source_last() * two.subs(_t, _n - 2)
        + (lag_zero_source_first() - lag_zero_source(1)) * zero.subs(_t, 1)
        + time_sum(lag_zero_source(_t) * zero, _n - 2)
        + before * zero.subs(_t, _n - 1)
        + end * last
    )
    # F is half of 2F, and its α⁴ term is written b/4
    quartic = factor(_rational(2 * (_fourth_order() + crossed / 2)))
    return QuarticCoefficient(_a(_t), two, zero, last, quartic)

"""Looped networks at their critical point, for symbolic T and any number p of layers (docs/theory.md section 10).

Units ``u = v = w = 1``, ``n = T - 1``, ``m = n - p`` (``n = m + p`` below), ``r = m/(m-1)``, ``ζ = r^n/(r^n+κ)``.
Layers p apart are tied, so that lag p meets correlations 1 alone: ``Λ = m``, and the critical mode is ``E_{t,t+p} =
a_t = t/m``. At second order in it (``theory.sharing_landau``) the gradient is constant but for its ends,

``R_tt = s_t + s_{t-p}`` and ``R_{t,t+2p} = s_t`` (t ≤ k = m - p),  ``s_t = r/m²`` before the last t (m or k),
``-1/m`` there,

with ``s = 0`` outside 1 … m. The responses are quadratic up to the end of s and linear beyond it:

``X_tt = Ct + q(t) + q(t-p)``, ``q(t) = t(t-1)/2m²`` up to m, 0 before 1, ``(m-1)/2m`` beyond;
``X_{t,t+2p} = ct + t(t-1)/2m²``.

All sums are elementary; those of lag 2p, and those in which the two parts of lag 0 meet, are there where ``n > 2p``
only. That makes two cases of ``b = (p + qζ)/(n - (n-1)r + 2n(r-1)ζ)``. Entries whose lag is no multiple of p vanish
in every stationary state, not near this point alone (``theory.sharing_groups``).
"""

from __future__ import annotations

from functools import cache

from sympy import Add, Expr, Piecewise, Poly, Rational, Symbol, bernoulli, binomial, factor, sympify

from theory import symbols
from theory.claims import assert_zero

_t = symbols.t
#: Number p of distinct layers, and m = n - p, of which the formulas are rational functions.
LAYERS = Symbol("p", integer=True, positive=True)
LENGTH = Symbol("m", integer=True, positive=True)


def reduced_quartic(short: bool, m: Expr = LENGTH, p: Expr = LAYERS, zeta: Expr = symbols.zeta) -> Expr:
    """``p + qζ``, whose sign decides: continuous where it is positive.

    Args:
        short: whether ``n ≤ 2p`` (both cases agree at ``n = 2p``).
    """
    n = m + p
    if short:
        twice = 2 * ((4 * n - 3 * p) * m - 2 * n + 3 * p) * zeta - ((3 * n - 2 * p) * m - 3 * n + 4 * p)
        return twice / (3 * m**2 * (m - 1))
    share = (
        -3 * n**3 * (n - 1) ** 2
        + 12 * n**2 * p * (2 * n**2 - 3 * n + 1)
        - 2 * n * p**2 * (30 * n**2 - 33 * n + 7)
        + 6 * p**3 * (11 * n**2 - 8 * n + 1)
        - 2 * p**4 * (17 * n - 6)
        + 6 * p**5
    )
    constant = -3 * n**2 * (n - 1) ** 2 + 6 * n * p * (n - 1) ** 2 + 2 * p**2 * (3 * n - 2) - 6 * n * p**3 + 4 * p**4
    return (2 * share * zeta + p * constant) / (6 * p * m**3 * (m - 1) ** 2)


def reduced_quartic_at(T: int | Symbol, p: int, zeta: Expr = symbols.zeta) -> Expr:
    """``p + qζ`` of a network of index T; for symbolic T in two pieces where both occur.

    Raises:
        ValueError: for an integer T, if lag p has one entry at most, ``p > T - 3``.
    """
    layers, length = sympify(p), T - 1 - sympify(p)
    if isinstance(T, int):
        if p > T - 3:
            raise ValueError(f"p: is {p}; accepted: 1 to {T - 3} for T = {T}")
        return factor(reduced_quartic(2 * p >= T - 1, length, layers, zeta))
    long = factor(reduced_quartic(False, length, layers, zeta))
    if p <= 2:  # n ≥ p + 2 ≥ 2p
        return long
    return Piecewise((long, 2 * p < T), (factor(reduced_quartic(True, length, layers, zeta)), True))


def amplitude_squared(T: int | Symbol, p: int) -> Expr:
    """``A = (m-1)/m · ζ² r^{m+1}/(p + qζ)`` in ``(H^{n,n-p})² = A (λ-λ_c) + …``."""
    m = T - 1 - sympify(p)
    return (m - 1) / m * symbols.zeta**2 * (m / (m - 1)) ** (m + 1) / reduced_quartic_at(T, p)


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


@cache
def assert_quartic(short: bool) -> None:
    """Derive ``reduced_quartic`` for symbolic m and p, and assert each step.

    Raises:
        ArithmeticError: if one fails.
    """
    m, p, zeta = LENGTH, LAYERS, symbols.zeta
    n, r, k = m + p, m / (m - 1), m - p
    stiff = 1 + 2 * (r - 1) * zeta
    lam = n - (n - 1) * r + 2 * n * (r - 1) * zeta
    inner, end = r / m**2, -1 / m

    def a(t: Expr) -> Expr:
        return t / m

    def q(t: Expr) -> Expr:
        return t * (t - 1) / (2 * m**2)

    flat = q(m)  # q beyond m; (m-1)/2m
    slope = (1 - 2 * zeta) / (m * lam)
    # one part of R_tt, for an index t and its partner t+p; the other is the same at t-p
    part = r * (a(_t - 1) ** 2 - 3 * a(_t) ** 2 + 2 * a(_t) * a(_t + 1))
    fourth = (
        r * 2 * time_sum(a(_t) ** 4 - a(_t + 1) * a(_t) ** 3, m - 1)
        + (2 * time_sum(a(_t) ** 4, m) - 2 * time_sum(a(_t) ** 4, m - 1)) / 4
    )
    # s · X of lag 0: s meets Ct + q(t) and, where n > 2p, q(t-p); s at t-p meets Ct, q(t-p) and q(t) or its limit
    line = slope * (time_sum(inner * _t, m - 1) + end * m + time_sum(inner * (_t + p), m - 1) + end * n)
    alone = 2 * (time_sum(inner * q(_t), m - 1) + end * flat)
    claims = {
        "R_tt": part - inner,
        "its end": r * a(m - 1) ** 2 - a(m) ** 2 - end,
        "the response within": r * (2 * q(_t) - q(_t - 1) - q(_t + 1)) + inner,
        "the response at the end of the first part": r * (2 * q(m) - q(m - 1) - flat) + end,
        "the last row": stiff * (slope * n + 2 * flat) - r * (slope * (n - 1) + flat + q(m - 1)) + end,
    }
    if short:
        # q(t-p) begins at t = p + 1 > m, and t of the second part is beyond m
        crossed = flat * (time_sum(inner + 0 * _t, m - 1) + end)
    else:
        crossed = time_sum(inner * q(_t), k - 1) + end * q(k)
        crossed += time_sum(inner * q(_t + p), k) + flat * (time_sum(inner + 0 * _t, m - 1) - inner * k) + end * flat
        fourth += r * 4 * time_sum((a(_t) * a(_t + p)) ** 2, k - 1)
        fourth -= r * 2 * time_sum(a(_t + 1) * a(_t) * a(_t + p) ** 2, k - 1)
        fourth -= r * 2 * time_sum(a(_t + p + 1) * a(_t + p) * a(_t) ** 2, k - 1)
        fourth += ((a(k) * a(m)) ** 2) * 4 / 4
        two = r * (a(_t - 1) * a(_t + p - 1) - 3 * a(_t) * a(_t + p) + a(_t) * a(_t + p + 1) + a(_t + 1) * a(_t + p))
        pull = (1 / m - q(k) + r * q(k - 1)) * (m - 1) / p
        claims |= {
            "R of lag 2p": two - inner,
            "its end at lag 2p": r * a(k - 1) * a(m - 1) - a(k) * a(m) - end,
            "the last row of lag 2p": pull * k + q(k) - r * (pull * (k - 1) + q(k - 1)) + end,
        }
        double = time_sum(inner * (pull * _t + q(_t)), k - 1) + end * (pull * k + q(k))
        crossed += 2 * double
    claims["p + qζ"] = (2 * fourth + line + alone + crossed) * lam - reduced_quartic(short)
    assert_zero(claims, factor)

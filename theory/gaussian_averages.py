r"""Averages of activations over two centred Gaussian variables, in closed form, with their derivatives.

See docs/theory.md section 4.

``x, y`` are jointly Gaussian with ``a = ⟨x²⟩``, ``b = ⟨y²⟩``, ``c = ⟨xy⟩``, ``c² ≤ ab``. For the activations
``linear``, ``erf`` (φ(h) = erf(√π h/2), slope 1 at 0) and ``relu``:

- ``average``: ``⟨φ(x)φ(y)⟩``,
- ``slope_average``: ``⟨φ'(x)φ'(y)⟩``, the derivative of that by c.

They follow from Price's theorem, ``∂_c ⟨f(x)g(y)⟩ = ⟨f'(x)g'(y)⟩``: the average of the derivatives is elementary,
and is integrated over c from the independent variables at c = 0. The variances enter by Bonnet's theorem,
``∂_a ⟨f(x)g(y)⟩ = ½⟨f''(x)g(y)⟩``. The kernels are those of Williams (1997) for erf, and Cho and Saul (2009) for
ReLU.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import mpmath
from sympy import Expr, Rational, Symbol, acos, asin, integrate, lambdify, pi, sqrt

#: Variances of the two variables and their covariance.
a, b = Symbol("a", positive=True), Symbol("b", positive=True)
c = Symbol("c", real=True)

CLOSED_FORMS = ("linear", "erf", "relu")


@cache
def slope_average(activation: str) -> Expr:
    """``⟨φ'(x)φ'(y)⟩`` in a, b, c.

    erf: ``φ' = exp(-πx²/4)``, so the average is ``|1 + (π/2)Σ|^{-1/2}`` for the covariance Σ of (x, y). ReLU: ``φ'`` is
    a step, whose own derivative is ``⟨δ(x)δ(y)⟩ = 1/(2π√(ab-c²))``, integrated from ¼ at c = 0.
    """
    _require(activation)
    if activation == "linear":
        return Rational(1)
    if activation == "erf":
        return 1 / sqrt((1 + pi * a / 2) * (1 + pi * b / 2) - (pi * c / 2) ** 2)
    return _with_arccos(Rational(1, 4) + _arcsine_integral(1 / (2 * pi), sqrt(a * b)))


@cache
def average(activation: str) -> Expr:
    """``⟨φ(x)φ(y)⟩`` in a, b, c: ``slope_average`` integrated over c from its value at c = 0.

    erf: ``(2/π) arcsin[(π/2)c/√((1+πa/2)(1+πb/2))]``. ReLU: ``√(ab) [√(1-ρ²) + ρ(π - arccos ρ)]/(2π)``,
    ``ρ = c/√(ab)``.
    """
    _require(activation)
    if activation == "linear":
        return c
    if activation == "erf":
        return _arcsine_integral(2 / pi, 2 / pi * sqrt((1 + pi * a / 2) * (1 + pi * b / 2)))
    rho = Symbol("rho", real=True)
    scale = sqrt(a * b)
    # independent: ⟨relu⟩ = √(a/2π); then ∫ (¼ + arcsin ρ/2π) dc with c = √(ab) ρ
    inner = Rational(1, 4) + asin(rho) / (2 * pi)
    primitive = integrate(inner, rho)
    grown = primitive - primitive.subs(rho, 0)
    return _with_arccos((scale * (1 / (2 * pi) + grown)).subs(rho, c / scale))


def evaluate(activation: str, what: str, variances: tuple[Any, Any], covariance: Any, digits: int = 30) -> Any:
    """One of the averages as a number of that many digits, at the edges of the domain too.

    Args:
        activation: ``"linear"``, ``"erf"`` or ``"relu"``.
        what: ``"average"`` or ``"slope-average"``.
        variances: a and b, not negative.
        covariance: c with ``c² ≤ ab``; equality is correlation ±1.
        digits: working precision is 10 digits more.

    Raises:
        ValueError: outside the domain; or the slope of ReLU at variance zero, where φ' has no value.
    """
    _require(activation)
    if what not in ("average", "slope-average"):
        raise ValueError(f"what: is {what!r}; accepted: average or slope-average")
    with mpmath.workdps(digits + 10):
        first, second, cross = (mpmath.mpf(x) for x in (*variances, covariance))
        if not (first >= 0 and second >= 0 and cross**2 <= first * second * (1 + mpmath.eps * 8)):
            raise ValueError(f"covariance: {covariance} for variances {variances}; accepted: a, b ≥ 0 and c² ≤ ab")
        if activation == "relu" and first * second == 0:
            if what == "average":
                return mpmath.mpf(0)
            raise ValueError("variances: zero, where relu has no slope; accepted: positive variances")
        if activation == "relu":
            bound = mpmath.sqrt(first * second)
            cross = max(-bound, min(bound, cross))
            # in the correlation, so that ±1 is met exactly
            closed = {"average": average, "slope-average": slope_average}[what]("relu")
            return +(_function(closed.subs(c, c * sqrt(a * b)).simplify())(first, second, cross / bound))
        closed = (average if what == "average" else slope_average)(activation)
        return +_function(closed)(first, second, cross)


def _require(activation: str) -> None:
    if activation not in CLOSED_FORMS:
        raise ValueError(f"activation: is {activation!r}; accepted: {', '.join(CLOSED_FORMS)}")


def _arcsine_integral(factor: Any, scale: Any) -> Expr:
    """``factor ∫_0^c dc'/√(scale² - c'²)``, by the substitution ``c' = scale·s``."""
    s = Symbol("s", real=True)
    primitive = integrate(1 / sqrt(1 - s**2), s)
    return factor * (primitive - primitive.subs(s, 0)).subs(s, c / scale)


def _with_arccos(expression: Any) -> Expr:
    """The form of the literature: ``arcsin ρ = π/2 - arccos ρ``, the angle between the two variables."""
    return expression.replace(asin, lambda rho: pi / 2 - acos(rho)).expand()


@cache
def _function(expression: Expr) -> Any:
    return lambdify((a, b, c), expression, "mpmath")

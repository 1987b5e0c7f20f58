"""Deep residual networks: the random network's kernel at skip a = 1 for n → ∞, by sharing (docs/theory.md section 11).

Linear network, input at t = 0, ``h^{t+1} = h^t + W^(t) h^t``, ``h^1 = Ux``, units u = 1, no biases. The prior's
kernel obeys

``H^{s+1,t+1} - H^{s,t+1} - H^{s+1,t} + H^{st} = w M_st H^{st}``, ``H^{1t} = H^{t1} = 1``,

a discrete wave equation. Tied and untied layers have closed forms,

``H^{s+1,t+1} = Σ_k C(s,k) C(t,k) w^k`` (M = 11ᵀ),  ``(1+w)^{min(s,t)}`` (M = 1).

At depths σ = s/n, τ = t/n, as n → ∞, the kernel stays finite

- for untied layers at ``w = ω/n``: ``e^{ω min(σ,τ)}``;
- for tied layers at ``w = ω/n²``: ``I₀(2√(ωστ))``, and for ``shared:ρ`` at any fixed ρ > 0 with ρω for ω (each
  layer's own part then vanishes as 1/n), for ``looped:p`` at fixed p with ω/p;
- between them at ``w = ω/n``, ``ρ = c/n``: with ``α = cω`` and ``Ω = √(ω²+4α)``

``k(σ,τ) = I₀(2√(αστ)) + ω ∫₀^{min(σ,τ)} I₀(2√(α(σ-s)(τ-s))) d(s) ds``,
``d(s) = k(s,s) = I₀(2√α s) + (ω/Ω) sinh Ωs + (ω²/Ω) ∫₀^s I₀(2√α s') sinh Ω(s-s') ds'``.

``drift:ρ`` at a fixed ρ < 1 is untied with ``ω(1+ρ)/(1-ρ)``: correlations of finite range add up to more noise.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import mpmath
from sympy import Expr, Integer, Rational, Symbol, binomial, diff, exp, factorial, integrate, oo, sqrt

from theory.claims import assert_zero
from theory.sharing import SharingFamily


def prior_kernel(arch: SharingFamily, n: int, w: Any) -> list[list[Any]]:
    """``H^{st}``, s, t = 1 … n, of a network with skip a = 1, from the recursion; of the type of w."""
    one = w / w
    H = [[one] * n for _ in range(n)]
    correlations = [Rational(arch.correlation(lag)) for lag in range(n)]
    weights = [w * int(c.p) / int(c.q) for c in correlations]
    for s in range(n - 1):
        for t in range(s, n - 1):
            value = H[s][t + 1] + H[s + 1][t] - H[s][t] + weights[t - s] * H[s][t]
            H[s + 1][t + 1] = H[t + 1][s + 1] = value
    return H


def tied_kernel(s: int, t: int, w: Expr) -> Expr:
    """``H^{s+1,t+1} = Σ_k C(s,k) C(t,k) w^k`` for tied layers."""
    return sum((binomial(s, k) * binomial(t, k) * w**k for k in range(min(s, t) + 1)), Integer(0))


def untied_kernel(s: int, t: int, w: Expr) -> Expr:
    """``H^{s+1,t+1} = (1+w)^{min(s,t)}`` for untied layers."""
    return (1 + w) ** min(s, t)


def tied_limit(sigma: Any, tau: Any, omega: Any) -> Any:
    """``I₀(2√(ωστ))``, an mpmath number."""
    return mpmath.besseli(0, 2 * mpmath.sqrt(omega * sigma * tau))


def crossover_variance(depth: Any, omega: Any, alpha: Any) -> Any:
    """``d(s)`` at ``w = ω/n``, ``ρ = α/(ωn)``, an mpmath number."""
    rate = mpmath.sqrt(omega**2 + 4 * alpha)
    memory = mpmath.quad(lambda s: tied_limit(s, s, alpha) * mpmath.sinh(rate * (depth - s)), [0, depth])
    return tied_limit(depth, depth, alpha) + omega / rate * (mpmath.sinh(rate * depth) + omega * memory)


def crossover_kernel(sigma: Any, tau: Any, omega: Any, alpha: Any) -> Any:
    """``k(σ,τ)`` there, an mpmath number."""

    def renewed(s: Any) -> Any:
        return tied_limit(sigma - s, tau - s, alpha) * crossover_variance(s, omega, alpha)

    return tied_limit(sigma, tau, alpha) + omega * mpmath.quad(renewed, [0, min(sigma, tau)])


@cache
def assert_limits() -> None:
    """Derive the closed forms and the limits.

    Raises:
        ArithmeticError: if a step fails.
    """
    w, s, t, x = (Symbol(name, positive=True) for name in ("w", "s", "t", "x"))
    alpha, omega, p = (Symbol(name, positive=True) for name in ("alpha", "omega", "p"))
    claims: dict[str, Expr] = {}
    # the difference of C(s,k) in s is C(s,k-1), so that the recursion moves k to k-1 in both factors
    for order in range(1, 6):
        step = binomial(s + 1, order).expand(func=True) - binomial(s, order).expand(func=True)
        claims[f"the difference of C(s,{order})"] = step - binomial(s, order - 1).expand(func=True)
    claims["untied layers"] = (1 + w) ** (s + 1) - (1 + w) ** s - w * (1 + w) ** s
    # C(n σ, k) (ω/n²)^{k/2}: powers of nσ over k!, so that the sum is that of I₀
    for order in range(6):
        pair = binomial(s / x, order).expand(func=True) * binomial(t / x, order).expand(func=True)
        limit = (pair * (omega * x**2) ** order).expand().subs(x, 0)
        claims[f"order {order} of tied layers"] = limit - (omega * s * t) ** order / factorial(order) ** 2
    wave = sum(((alpha * s * t) ** j / factorial(j) ** 2 for j in range(8)), Integer(0))
    rest = diff(wave, s, t) - alpha * wave
    claims["the wave equation"] = rest + alpha * (alpha * s * t) ** 7 / factorial(7) ** 2
    # Laplace: ∫ e^{-pt} I₀(2√α t) dt = 1/√(p²-4α), term by term
    root = sqrt(p**2 - 4 * alpha)
    for order in range(6):
        transformed = integrate(exp(-p * t) * t ** (2 * order), (t, 0, oo)) * alpha**order / factorial(order) ** 2
        claims[f"order {order} of the transform"] = transformed - binomial(2 * order, order) * alpha**order / p ** (
            2 * order + 1
        )
        series = (1 / sqrt(1 - 4 * x)).diff(x, order).subs(x, 0) / factorial(order)
        claims[f"order {order} of the root"] = series - binomial(2 * order, order)
    rate = sqrt(omega**2 + 4 * alpha)
    renewal = (1 / root) / (1 - omega / root)
    claims["the renewal equation"] = renewal - (
        1 / root + omega / (p**2 - rate**2) + omega**2 / root / (p**2 - rate**2)
    )
    # sinh is half the difference of two exponentials, whose transforms are 1/(p ∓ Ω)
    claims["the transform of sinh"] = (1 / (p - x) - 1 / (p + x)) / 2 - x / (p**2 - x**2)
    assert_zero(claims)

"""The coherent branch at T = 5: an elliptic curve (linear network, RNN, endpoint supervision, ``u = v = w = 1``).

See docs/theory.md section 5.

In the coordinates of ``h^1`` and ``h^4`` regressed on ``(h^2, h^3)`` (slopes ``p_1, p_2`` and ``q_1, q_2``, residual
variances α and δ, uncorrelated residuals), the branch that leaves the incoherent one at r = 3/2 lies on

``4(3-α)² g(g + α - 2) = 3α²(2α - 3)``, ``g = q_1``,

and everything even under ``W → -W`` is a rational function of (α, g). With ``y = (α-3)(2g + α - 2)`` the curve is
``y² = α⁴ - 4α³ + 28α² - 60α + 36``, a quartic without double roots: genus 1, so that no parametrisation by rational
functions exists, unlike at T = 4. The branch starts at ``(α, g) = (3/2, 0)``, the critical point, runs through the
smallest α, and returns to ``(3/2, 1/2)`` as λ → ∞.

``residuals`` proves it: every stationarity condition of the full F vanishes modulo the curve's equation. That the
RNN has no other coherent state at T = 5 is not proven here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from sympy import (
    QQ,
    Dummy,
    Expr,
    Integer,
    Matrix,
    Poly,
    Symbol,
    cancel,
    diff,
    discriminant,
    factor,
    fraction,
    invert,
    log,
    numer,
    solve,
    together,
)

from theory import symbols
from theory.display import Equations, Typeset
from theory.typesetting import over_times

HORIZON = 5


@dataclass(frozen=True)
class CoherentCurve(Typeset):
    """The curve and the kernel on it.

    Attributes:
        parameters: ``(α, g)``.
        relation: a polynomial that vanishes on the curve.
        square: ``(p_1)²``.
        even: the even regression coordinates: c, d (variances of ``h^2``, ``h^3``), δ, ``p_2``, ``q_1``.
        odd: the odd ones over ``p_1``: e (covariance of ``h^2`` and ``h^3``), ``q_2``.
        stress: ``μ = λ/(H^{44}+κ)²``.
        last: ``H^{44}``; with the stress it gives ``λ = μ(H^{44}+κ)²``.
    """

    parameters: tuple[Symbol, Symbol]
    relation: Expr
    square: Expr
    even: Mapping[str, Expr]
    odd: Mapping[str, Expr]
    stress: Expr
    last: Expr

    def equations(self) -> Equations:
        """The relation of the parameters, ``p_1``, λ and the kernel's entries."""
        odd = {times: "/p_1" if sum(times) % 2 else "" for times in self.kernel()}
        entries = [(over_times("H", *times) + odd[times], value) for times, value in sorted(self.kernel().items())]
        return [("0", self.relation), ("p_1^2", self.square), (r"\lambda", self.signal()), *entries]

    def signal(self, kappa: Expr = symbols.kappa) -> Expr:
        """``λ = μ(H^{44}+κ)²``."""
        return self.stress * (self.last + kappa) ** 2

    def kernel(self) -> Mapping[tuple[int, int], Expr]:
        """The ten entries; the odd ones, with ``t + s`` odd, over ``p_1``."""
        alpha = self.parameters[0]
        c, d, delta, p2, q1 = (self.even[name] for name in ("c", "d", "delta", "p2", "q1"))
        e, q2 = self.odd["e"], self.odd["q2"]
        x = self.square
        h24, h34 = c * q1 + x * e * q2, e * q1 + d * q2
        return MappingProxyType(
            {
                (1, 1): alpha + x * c + 2 * x * p2 * e + p2**2 * d,
                (1, 2): c + e * p2,
                (1, 3): x * e + d * p2,
                (1, 4): h24 + p2 * h34,
                (2, 2): c,
                (2, 3): e,
                (2, 4): h24,
                (3, 3): d,
                (3, 4): h34,
                (4, 4): delta + q1 * h24 + x * q2 * h34,
            }
        )

    def quartic(self) -> Poly:
        """``α⁴ - 4α³ + 28α² - 60α + 36``: discriminant of the relation in g, over a square."""
        alpha, g = self.parameters
        return Poly(factor(discriminant(self.relation, g) / (16 * (alpha - 3) ** 2)), alpha)


def _reduce(expression: Expr, relation: Poly) -> Expr:
    """The element ``a(α) + b(α) g`` that equals a rational function of (α, g) on the curve."""
    top, bottom = (Poly(part, *relation.gens, domain=relation.domain) for part in fraction(together(expression)))
    inverse = invert(bottom.rem(relation), relation)
    return factor((top.rem(relation) * inverse).rem(relation).as_expr())


def _relation(alpha: Symbol, g: Symbol) -> Expr:
    return 4 * (3 - alpha) ** 2 * g * (g + alpha - 2) - 3 * alpha**2 * (2 * alpha - 3)


def conditions() -> tuple[dict[str, Symbol], dict[str, Expr]]:
    """Symbols of the regression coordinates, and twice the derivative of F by each of the nine.

    ``2S = H^{11} + Var(h^2 - p_1h^3 - p_2h^4)/α + tr[H_{34} (H_{23})⁻¹] - ln δ`` from the block inverse of ``H_{123}``,
    with ``H_{34}``, ``H_{23}`` the covariances of times (3, 4) and (2, 3); ``H^{14}`` is eliminated (times 1 and 4 are
    uncorrelated given 2 and 3). Each condition is ``2∂S - μ ∂H^{44}``.
    """
    names = ("alpha", "delta", "c", "e", "d", "p1", "p2", "q1", "q2", "mu")
    x = {name: Dummy(name) for name in names}
    c, e, d, p1, p2 = (x[name] for name in ("c", "e", "d", "p1", "p2"))
    middle, p, q = Matrix([[c, e], [e, d]]), Matrix([p1, p2]), Matrix([x["q1"], x["q2"]])
    first = x["alpha"] + (p.T * middle * p)[0]
    h24, h34 = middle * q
    h44 = x["delta"] + (q.T * middle * q)[0]
    variance = c - 2 * p1 * e - 2 * p2 * h24 + p1**2 * d + 2 * p1 * p2 * h34 + p2**2 * h44
    trace = (d * d - 2 * h34 * e + h44 * c) / (c * d - e**2)
    entropy = first + variance / x["alpha"] + trace - log(x["delta"])
    return x, {name: diff(entropy, x[name]) - x["mu"] * diff(h44, x[name]) for name in names if name != "mu"}


@cache
def coherent_curve() -> CoherentCurve:
    """The branch at T = 5 as functions of ``(α, g)``.

    Three short relations hold on the curve, ``q_2/p_1 = 3g/(3-2α)``, ``p_2 = 2(3-2α)/(α(3-2g))`` and
    ``d = (α-1) e/p_1``. With them, δ, μ, c, e and ``(p_1)²`` follow from the conditions of δ, ``q_1``, ``q_2``,
    ``p_1`` and ``p_2``, one linear equation each; ``residuals`` then checks all nine.
    """
    alpha, g = symbols.alpha, Symbol("g", positive=True)
    relation = _relation(alpha, g)
    modulus = Poly(relation, g, domain=QQ.frac_field(alpha))
    q2 = 3 * g / (3 - 2 * alpha)
    p2 = 2 * (3 - 2 * alpha) / (alpha * (3 - 2 * g))
    # ∂F/∂H^{24} = 0: q_1/δ = p_2/α.
    delta = _reduce(alpha * g / p2, modulus)
    p2 = _reduce(p2, modulus)
    e, x, k = Dummy("e"), Dummy("x"), Dummy("k")
    d = (alpha - 1) * e
    h34 = e * g + d * q2
    # ∂F/∂p_1 = 0 over p_1, and c = k e: linear in k.
    c = _reduce(solve(alpha * (k * e + e * p2) - e + d + p2 * h34, k)[0], modulus) * e
    # ∂F/∂H^{34} = 0: e/(cd - x e²) = q_2/δ + p_2/α with x = (p_1)², which gives e in terms of x.
    gap = cancel(c * d / e**2) - x
    covariance = 1 / (gap * _reduce(q2 / delta + p2 / alpha, modulus))
    h24 = c * g + x * e * q2
    second = alpha * (x * e + d * p2) - h24 + x * h34 + p2 * (delta + g * h24 + x * q2 * h34)
    linear = Poly(numer(together(second.subs(e, covariance))), x)
    if linear.degree() != 1:
        raise ArithmeticError("the condition of p_2 is not linear in (p_1)²")
    slope, constant = linear.all_coeffs()
    square = _reduce(-constant / slope, modulus)
    value = _reduce(covariance.subs(x, square), modulus)
    even = {
        "c": _reduce(c.subs(e, value), modulus),
        "d": _reduce(d.subs(e, value), modulus),
        "delta": delta,
        "p2": p2,
        "q1": g,
    }
    determinant = even["c"] * even["d"] - square * value**2
    stress = _reduce(even["c"] / determinant + p2**2 / alpha - 1 / delta, modulus)
    odd = {"e": value, "q2": _reduce(q2, modulus)}
    last = delta + g * (even["c"] * g + square * value * q2) + square * q2 * (value * g + even["d"] * q2)
    return CoherentCurve(
        parameters=(alpha, g),
        relation=relation,
        square=square,
        even=MappingProxyType(even),
        odd=MappingProxyType(odd),
        stress=stress,
        last=_reduce(last, modulus),
    )


def residuals(curve: CoherentCurve) -> dict[str, Expr]:
    """The nine stationarity conditions on the curve, reduced modulo its relation: all zero (odd ones over ``p_1``)."""
    alpha, g = curve.parameters
    modulus = Poly(curve.relation, g, domain=QQ.frac_field(alpha))
    x, equations = conditions()
    zero, square = Poly(0, g, domain=modulus.domain), Poly(curve.square, g, domain=modulus.domain)
    even = {"alpha": alpha, "mu": curve.stress, **curve.even}
    odd = {"p1": Integer(1), **curve.odd}
    known = {x[name]: (Poly(value, g, domain=modulus.domain), zero) for name, value in even.items()}
    known |= {x[name]: (zero, Poly(value, g, domain=modulus.domain)) for name, value in odd.items()}

    def on_curve(expression: Expr) -> tuple[Poly, Poly]:
        """Even part and odd part over ``p_1``, both modulo the relation."""
        if expression.is_Number:
            return Poly(expression, g, domain=modulus.domain), zero
        if expression.is_Symbol:
            return known[expression]
        if expression.is_Pow:
            (base, over), power = on_curve(expression.base), int(expression.exp)
            if power < 0:
                if not over.is_zero:
                    raise ArithmeticError(f"{expression.base}: odd under W → -W, and divided by")
                base, power = invert(base, modulus), -power
            factors = [(base, over)] * power
        else:
            factors = [on_curve(part) for part in expression.args]
        if expression.is_Add:
            return sum((each[0] for each in factors), zero), sum((each[1] for each in factors), zero)
        one, other = factors[0]
        for first, second in factors[1:]:
            product = one * first + square * other * second
            one, other = product.rem(modulus), (one * second + other * first).rem(modulus)
        return one, other

    result = {}
    for name, equation in equations.items():
        here, over = on_curve(equation)
        if not here.is_zero and not over.is_zero:
            raise ArithmeticError(f"the condition of {name} has no parity under W → -W")
        result[name] = factor((over if here.is_zero else here).as_expr())
    return result

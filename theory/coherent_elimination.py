"""Exact elimination of the stationary kernels at T = 4: linear network, RNN, endpoint supervision.

See docs/theory.md section 5.

Two regressions on ``h^2`` turn the six conditions into linear equations, solved in turn. Units ``u = v = w = 1``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from sympy import (
    Dummy,
    Expr,
    Integer,
    Poly,
    Symbol,
    cancel,
    diff,
    expand,
    factor,
    factor_list,
    fraction,
    log,
    sympify,
    together,
)

from theory import symbols
from theory.free_energy import FreeEnergy, endpoint_free_energy

HORIZON = 4
SIZE = HORIZON - 1


@dataclass(frozen=True)
class Elimination:
    """The solution of the stationarity conditions, step by step, in the regression coordinates.

    Attributes:
        steps: ``(unknown, value)`` in the order of elimination; each value follows from one linear equation.
        kernel: ``(H^{12})²`` under the key ``(1, 2)``, ``H^{23}/H^{12}`` under ``(2, 3)``, the entries themselves under
            the other keys, in s.
        stress: ``μ = λ/(H^{33}+κ)²`` in s.
    """

    steps: tuple[tuple[Expr, Expr], ...]
    kernel: Mapping[tuple[int, int], Expr]
    stress: Expr


def regression_coordinates() -> dict[Symbol, Expr]:
    """The kernel of T = 4 by the regressions of ``h^1`` and ``h^3`` on ``h^2``.

    ``H^{22} = c``, ``H^{12} = cp``, ``H^{23} = cq``, ``H^{11} = α + cp²``, ``H^{33} = δ + cq²``,
    ``H^{13} = γ + cpq``: one to one, and H is positive definite exactly if α, c, δ > 0 and
    ``γ² < αδ`` (``|H| = c(αδ - γ²)``).
    """
    c, p, q = symbols.c, symbols.p, symbols.q
    entry = symbols.kernel_entry
    return {
        entry(1, 1): symbols.alpha + c * p**2,
        entry(1, 2): c * p,
        entry(1, 3): symbols.gamma + c * p * q,
        entry(2, 2): c,
        entry(2, 3): c * q,
        entry(3, 3): symbols.delta + c * q**2,
    }


def unit_free_energy() -> FreeEnergy:
    """The RNN's free energy at T = 4 in units ``u = v = w = 1``."""
    return endpoint_free_energy(HORIZON, "rnn").units()


def coordinate_stationarity() -> dict[Symbol, Expr]:
    """Twice the derivative of F by each regression coordinate, with ``μ = λ/(H^{33}+κ)²`` for the energy's part.

    ``∂(energy)/∂H^{33} = -½μ`` and no other entry enters the energy, so ``∂F/∂θ = ∂S/∂θ - ½μ ∂H^{33}/∂θ`` with S the
    two entropy terms.
    """
    functional = unit_free_energy()
    coordinates = regression_coordinates()
    last = symbols.kernel_entry(SIZE, SIZE)
    if functional.energy.free_symbols & set(functional.variables) != {last}:
        raise ArithmeticError("the energy depends on kernel entries other than the last diagonal one")
    stress = -2 * diff(functional.energy, last)
    if cancel(stress - symbols.signal / (last + symbols.kappa) ** 2) != 0:
        raise ArithmeticError("the derivative of the energy is not -μ/2")
    entropy = simplified_logs(functional.entropy.subs(coordinates))
    return {
        x: cancel(2 * diff(entropy, x) - symbols.mu * diff(coordinates[last], x))
        for x in (symbols.gamma, symbols.q, symbols.delta, symbols.p, symbols.alpha, symbols.c)
    }


def simplified_logs(expression: Expr) -> Expr:
    """Logarithms with cancelled arguments; elsewhere rational."""
    return expression.replace(log, lambda argument: log(factor(cancel(argument))))


def _solve_linear(equation: Expr, unknown: Expr, nonzero: Iterable[Expr]) -> Expr:
    """The solution of ``equation = 0``, whose numerator is linear in the unknown but for factors in ``nonzero``.

    Raises:
        ArithmeticError: if another factor remains, or none that contains the unknown.
    """
    numerator = fraction(together(equation))[0]
    allowed = [sympify(x) for x in nonzero]
    rest: Expr = Integer(1)
    for base, power in factor_list(numerator)[1]:
        if not any(expand(base - x) == 0 or expand(base + x) == 0 for x in allowed):
            rest *= base**power
    polynomial = Poly(rest, unknown)
    if polynomial.degree() != 1:
        raise ArithmeticError(f"{rest} is not linear in {unknown}")
    slope, constant = polynomial.all_coeffs()
    return factor(-constant / slope)


@cache
def solve_stationarity() -> Elimination:
    """Solve the six stationarity conditions at T = 4 exactly, by six linear equations in turn.

    1. ``γ = 0``: given ``h^2``, ``h^1`` and ``h^3`` are uncorrelated. ``H^{13}`` enters through ``ln|H|`` alone.
    2. ``∂/∂H^{23}`` gives ``q/δ = p/α``. So p and q vanish together (the incoherent branch), or ``q = ηp``, ``δ = ηα``
       with η > 0.
    3. ``∂/∂p = 0`` is linear in α: with ``x = pq``, ``α = cη(1-x)/(c+η)``, hence x < 1.
    4. ``∂/∂δ = 0`` is linear in μ.
    5. ``∂/∂α = 0`` is linear in 1 - x: ``(1-x) c(η²-c-η) = η(c+η)``, hence ``η² - c - η > 0``.
    6. ``∂/∂c = 0`` is linear in c: ``c = η(η-2)/2``. And ``η = 2s``.

    The condition ``∂/∂q = 0`` was used in 2 and is checked at the end, like all others.

    Raises:
        ArithmeticError: if a step fails, which would mean that the free energy is not the one it is.
    """
    alpha, c, delta, gamma = symbols.alpha, symbols.c, symbols.delta, symbols.gamma
    p, q, eta, mu, s = symbols.p, symbols.q, symbols.eta, symbols.mu, symbols.s
    conditions = coordinate_stationarity()
    if _solve_linear(conditions[gamma], gamma, ()) != 0:
        raise ArithmeticError("the residual covariance of times 1 and 3 does not vanish")
    at_zero = {x: cancel(value.subs(gamma, 0)) for x, value in conditions.items()}

    # ∂/∂H^{23} at fixed H^{22}, H^{33}: q moves by dH^{23}/c and δ = H^{33} - cq² by -2q dH^{23}.
    along_23 = cancel(at_zero[q] - 2 * c * q * at_zero[delta])
    delta_value = _solve_linear(along_23.subs(q, eta * p), delta, (p, c))
    # From here on the equations contain p only through p² (one of them after division by p): p² = x/η, x = pq.
    y = Dummy("y", positive=True)  # y = 1 - x
    reduced = {}
    for x in (p, alpha, c, delta):
        condition = at_zero[x] / p if x == p else at_zero[x]
        condition = cancel(condition.subs({q: eta * p}).subs(delta, delta_value))
        reduced[x] = cancel(expand(condition).subs(p**4, (1 - y) ** 2 / eta**2).subs(p**2, (1 - y) / eta))
        if reduced[x].has(p):
            raise ArithmeticError(f"the condition of {x} is not even in p")

    alpha_value = _solve_linear(reduced[p], alpha, (eta,))
    positive = (eta, c, alpha, y, c + eta)
    mu_value = _solve_linear(reduced[delta].subs(alpha, alpha_value), mu, positive)
    y_value = _solve_linear(reduced[alpha].subs(alpha, alpha_value), y, positive)
    last = reduced[c].subs(mu, mu_value).subs(alpha, alpha_value).subs(y, y_value)
    c_value = _solve_linear(last, c, (*positive, eta**2 - c - eta))

    def in_s(expression: Expr) -> Expr:
        for name, value in ((delta, delta_value), (alpha, alpha_value), (mu, mu_value), (y, y_value), (c, c_value)):
            expression = expression.subs(name, value)
        return factor(cancel(expression.subs(eta, 2 * s)))

    square = in_s((1 - y) / eta)
    regression = {alpha: in_s(alpha), delta: in_s(delta), c: in_s(c), gamma: Integer(0), mu: in_s(mu)}
    for x, condition in at_zero.items():
        condition = condition / p if x in (p, q) else condition
        value = cancel(cancel(condition.subs(q, 2 * s * p)).subs(regression))
        if cancel(expand(fraction(value)[0]).subs(p**4, square**2).subs(p**2, square)) != 0:
            raise ArithmeticError(f"the condition of {x} does not hold on the branch")
    kernel = {
        (1, 1): factor(regression[alpha] + regression[c] * square),
        (1, 2): factor(regression[c] ** 2 * square),
        (1, 3): factor(2 * s * regression[c] * square),
        (2, 2): regression[c],
        (2, 3): 2 * s,
        (3, 3): factor(regression[delta] + 4 * s**2 * regression[c] * square),
    }
    steps = (
        (gamma, Integer(0)),
        (delta, delta_value),
        (alpha, alpha_value.subs(y, 1 - p * q)),
        (mu, mu_value),
        (1 - p * q, y_value),
        (c, c_value),
    )
    return Elimination(steps=steps, kernel=MappingProxyType(kernel), stress=regression[mu])

"""Loops around a saddle, against a law whose moments are known."""

from math import lgamma, pi
from math import log as ln

import pytest
from sympy import Rational, Symbol, log, simplify, sqrt, symbols

from theory.one_loop import one_loop, two_loops


def test_the_gamma_law_has_its_mean_and_variance():
    """``x^(N a) exp(-N b x) x^c``: mean ``(N a + c + 1)/(N b)``, variance ``(N a + c + 1)/(N b)²``."""
    x, a, b = (Symbol(name, positive=True) for name in ("x", "a", "b"))
    c = Symbol("c")
    found = one_loop(b * x - a * log(x), -c * log(x), (x,), {x: a / b})
    assert simplify(found.shift[0] - (c + 1) / b) == 0
    assert simplify(found.covariance[0, 0] - a / b**2) == 0
    with pytest.raises(ArithmeticError, match="stationary"):
        one_loop(b * x - a * log(x), -c * log(x), (x,), {x: 2 * a / b})


def test_the_gamma_law_has_its_norm_to_order_one_and_a_conjugate_pair_that_of_a_mean():
    """``∫ x^(N a + c) exp(-N b x) dx = Γ(N a + c + 1)/(N b)^(N a + c + 1)``; the rest falls as 1/N."""
    x, a, b, c = symbols("x a b c", positive=True)
    found = one_loop(b * x - a * log(x), -c * log(x), (x,), {x: a / b}).free_energy
    values, off = {a: 0.7, b: 1.3, c: 0.4}, []
    for N in (200, 400):
        power = 0.7 * N + 1.4
        exact = lgamma(power) - power * ln(1.3 * N) + 0.5 * ln(N / (2 * pi))
        off.append(N * (exact + N * (0.7 - 0.7 * ln(0.7 / 1.3)) + float(found.subs(values))))
    assert off[1] == pytest.approx(off[0], rel=0.01)
    # the mean of N squares of variance u, whatever its law is: a probability
    Q, P, u = Symbol("Q"), *symbols("P u", positive=True)
    assert one_loop(Q * P + log(1 - 2 * u * Q) / 2, 0 * P, (Q, P), {P: u, Q: 0}, 1).free_energy == 0


def test_the_gamma_law_has_stirlings_next_term_in_one_variable_and_in_two():
    """``ln Γ(N a + c + 1)`` has ``B_2(c + 1)/(2 a N)``, ``B_2(x) = x² - x + 1/6``; coordinates do not matter."""
    x, y, a, b = symbols("x y a b", positive=True)
    c = Symbol("c")
    F, A, bernoulli = b * x - a * log(x), -c * log(x), (c + 1) ** 2 - (c + 1) + Rational(1, 6)
    expected = -bernoulli / (2 * a)
    assert simplify(two_loops(F, A, (x,), {x: a / b}) - expected) == 0
    # x = z²: the Jacobian is 2z
    z = Symbol("z", positive=True)
    moved = two_loops(F.subs(x, z**2), A.subs(x, z**2) - log(z), (z,), {z: sqrt(a / b)})
    assert simplify(moved - expected) == 0
    # a factor of its own, turned into both variables
    numbers = {a: 2, b: 3, c: 1}
    F, A, expected = (part.subs(numbers) for part in (F, A, expected))
    turned = {x: x + y, y: x - y}
    both = [(part + other).subs(turned, simultaneous=True) for part, other in ((F, y**2 + y**3 / 3), (A, y))]
    at = {x: Rational(1, 3), y: Rational(1, 3)}
    other = two_loops(y**2 + y**3 / 3, y, (y,), {y: 0})
    assert simplify(two_loops(*both, (x, y), at) - expected - other) == 0

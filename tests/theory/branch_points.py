"""Points of the exact branch at T = 4."""

from sympy import Poly, fraction, sympify, together


def solve_parameter(branch, signal):
    """The real s > 2 at which ``λ(s)`` is the given number: one, none, or two beyond the tricritical κ = 56/3."""
    polynomial = Poly(fraction(together(branch.signal - sympify(signal)))[0], branch.parameter)
    return [root for root in polynomial.real_roots() if (root - 2).is_positive]

"""Roots of polynomials above a number, each in an interval of its own."""

from __future__ import annotations

import pytest
from mpmath import mp
from sympy import Poly, Rational, Symbol

from theory.real_roots import real_roots

x = Symbol("x")


def test_every_root_above_a_number_with_its_multiplicity_and_interval():
    polynomial = Poly((x**2 - 2) * (x - 3) ** 2 * (x - Rational(1, 2)) * (x - 5), x)
    with mp.workdps(30):
        found = real_roots(polynomial, Rational(1, 2), 12)  # a root at the bound itself is not above it
        exact = [mp.sqrt(2), mp.mpf(3), mp.mpf(5)]
        assert [root.multiplicity for root in found] == [1, 2, 1]
        for root, value in zip(found, exact, strict=True):
            assert abs(root.value - value) < mp.mpf(10) ** -25
            low, high = (mp.mpf(end.p) / end.q for end in root.interval)
            assert low <= value <= high
            assert high - low <= 3 * mp.mpf(10) ** -12 * value
            # simple in its own factor, whose sign changes over the interval
            slope = root.polynomial.diff().eval(Rational(str(value)))
            assert (slope > 0) == root.rising
            if low < high:
                ends = [root.polynomial.eval(end) for end in root.interval]
                assert ends[0] * ends[1] < 0
        assert [float(root.value) for root in real_roots(polynomial, Rational(2), 12)] == [3.0, 5.0]
        assert real_roots(polynomial, Rational(6), 12) == []


def test_a_root_beside_a_number():
    """Within its interval too, by the sign of its factor there; a rational root is met exactly."""
    with mp.workdps(30):
        roots = real_roots(Poly((x**2 - 2) * (2 * x - 3) * (x**2 - 8), x), Rational(0), 12)
        first, second, third = roots
        for root, square in ((first, 2), (third, 8)):
            near = Rational(str(mp.nstr(mp.sqrt(square), 20)))
            assert root.compare(near + Rational(1, 10**14)) == -1
            assert root.compare(near - Rational(1, 10**14)) == 1
            assert [root.compare(Rational(number)) for number in (1, 4)] == [1, -1]
        assert [root.rising for root in roots] == [first.rising, not first.rising, first.rising]
        assert second.compare(Rational(3, 2)) == 0


def test_roots_that_agree_to_all_digits_are_refused():
    with mp.workdps(40):
        assert len(real_roots(Poly((x - 1) * (x - 1 - Rational(1, 10**9)), x), Rational(0), 12)) == 2
        with pytest.raises(ArithmeticError, match="to 5 digits"):
            real_roots(Poly((x**2 - 2) * (x**2 - 2 - Rational(1, 10**9)), x), Rational(0), 5)

"""Real roots of polynomials with rational coefficients: all of them, each in an interval of rationals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mpmath import mp
from sympy import Integer, Poly, Rational

from theory.bracketing import bracketed_root


@dataclass(frozen=True)
class RealRoot:
    """A real root of a polynomial.

    Attributes:
        polynomial: a square-free factor of it, of which this is a simple root.
        multiplicity: of the root in the whole polynomial.
        interval: rationals that enclose this root and no other; equal where the root is rational.
        rising: whether the square-free factor rises through the root.
        value: the root, an mpmath number.
    """

    polynomial: Poly
    multiplicity: int
    interval: tuple[Rational, Rational]
    rising: bool
    value: Any

    def compare(self, number: Rational) -> int:
        """The sign of ``root - number``, exactly."""
        low, high = self.interval
        if number < low:
            return 1
        if number > high:
            return -1
        value = self.polynomial.eval(number)
        if value == 0:
            return 0
        return 1 if (value < 0) == self.rising else -1


def real_roots(polynomial: Poly, above: Rational, digits: int) -> list[RealRoot]:
    """Every root above a rational number, in increasing order, to ``digits`` digits relative to its distance from it.

    Sturm's theorem counts the roots of each square-free factor; as many intervals are isolated, and narrowed to
    ``10^-digits`` around an approximation, with exact signs of the factor at their ends.

    Raises:
        ArithmeticError: if intervals and count disagree, or the precision that is set does not suffice.
    """
    x = polynomial.gen
    shifted = Poly(polynomial.as_expr().subs(x, x + above), x, domain="QQ")
    while shifted.eval(0) == 0:  # a root at the bound itself is not above it
        shifted = shifted.quo(Poly(x, x))
    roots = []
    for factor, multiplicity in shifted.sqf_list()[1]:
        isolated = factor.intervals(inf=0)
        if len(isolated) != factor.count_roots(inf=0):
            raise ArithmeticError(f"{len(isolated)} intervals for {factor.count_roots(inf=0)} roots")
        for (low, high), _ in isolated:
            interval, rising, value = _narrowed(factor, low, high, digits)
            if shifted.count_roots(*interval) != 1:
                raise ArithmeticError(f"two roots near {float(value):g} agree to {digits} digits")
            roots.append(
                RealRoot(
                    polynomial=Poly(factor.as_expr().subs(x, x - above), x),
                    multiplicity=multiplicity,
                    interval=(interval[0] + above, interval[1] + above),
                    rising=rising,
                    value=value + mp.mpf(above.p) / above.q,
                )
            )
    return sorted(roots, key=lambda root: root.value)


def _narrowed(factor: Poly, low: Rational, high: Rational, digits: int) -> tuple[tuple[Rational, Rational], bool, Any]:
    """An isolating interval of one simple root made narrow, the sign change there, and the root."""
    slope = factor.diff()
    if low == high:
        return (low, low), bool(slope.eval(low) > 0), mp.mpf(low.p) / low.q
    # an end may be another root, whose slope says which sign the factor has beside it
    before, after = factor.eval(low) or slope.eval(low), factor.eval(high) or -slope.eval(high)
    if (before > 0) == (after > 0):
        raise ArithmeticError(f"no change of sign between {low} and {high}")
    rising = bool(before < 0)
    coefficients = [mp.mpf(c.p) / c.q for c in factor.all_coeffs()]
    ends = [mp.mpf(end.p) / end.q for end in ((low, high) if rising else (high, low))]
    value = bracketed_root(lambda x: mp.polyval(coefficients, x, derivative=1), *ends)
    margin = Rational(1, 10**digits)
    sign, mantissa, exponent, _ = mp.mpf(value)._mpf_
    centre = Rational((-1) ** sign * int(mantissa)) * Integer(2) ** exponent
    interval = centre * (1 - margin), centre * (1 + margin)
    signs = [factor.eval(end) < 0 for end in interval]
    if not low < interval[0] < interval[1] < high or signs != [rising, not rising]:
        raise ArithmeticError(f"the root near {float(value):g} is not known to {digits} digits")
    return interval, rising, value

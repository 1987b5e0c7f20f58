"""What a derivation claims: expressions that vanish for all values of their symbols."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sympy import Expr, Rational, simplify


def assert_zero(claims: Mapping[str, Expr], reduced: Callable[[Expr], Expr] = simplify) -> None:
    """Each claim is zero; its value at one place refuses most that are not, in no time.

    Raises:
        ArithmeticError: if one is not, by name.
    """
    for name, difference in claims.items():
        symbols = sorted(difference.free_symbols, key=str)
        place = {symbol: Rational(17 + 3 * k, 5) for k, symbol in enumerate(symbols)}
        value = difference.subs(place, simultaneous=True).evalf(30, maxn=200)
        if (value.is_number and abs(value) > 1e-15) or reduced(difference) != 0:
            raise ArithmeticError(f"{name}: the difference {difference} does not vanish")

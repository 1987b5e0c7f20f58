"""One loop around a saddle, against a law whose moments are known."""

import pytest
from sympy import Symbol, log, simplify

from theory.one_loop import one_loop


def test_the_gamma_law_has_its_mean_and_variance():
    """``x^(N a) exp(-N b x) x^c``: mean ``(N a + c + 1)/(N b)``, variance ``(N a + c + 1)/(N b)²``."""
    x, a, b = (Symbol(name, positive=True) for name in ("x", "a", "b"))
    c = Symbol("c")
    found = one_loop(b * x - a * log(x), -c * log(x), (x,), {x: a / b})
    assert simplify(found.shift[0] - (c + 1) / b) == 0
    assert simplify(found.covariance[0, 0] - a / b**2) == 0
    with pytest.raises(ArithmeticError, match="stationary"):
        one_loop(b * x - a * log(x), -c * log(x), (x,), {x: 2 * a / b})

"""What the proofs of `theory/` claim, at random points: quick, where their symbolic form takes seconds (slow tests)."""

from __future__ import annotations

import random

import pytest
from sympy import Expr, Rational, sympify

from theory import coherent_elimination, several_outputs, singular_values, skip_tied, skip_untied, symbols
from theory.claims import assert_zero

#: Each proof, functions of its module that only rewrite an expression, and the number of its claims.
PROOFS = {
    "tied states": (skip_tied, "assert_elimination", ("cancel", "together", "factor"), 27),
    "untied states": (skip_untied, "assert_untied", ("factor",), 21),
    "twisted outputs": (several_outputs, "assert_twist", ("factor",), 77),
    "matrix quartic": (several_outputs, "assert_matrix_quartic", ("cancel", "together", "factor"), 10),
    "coherent sharing": (coherent_elimination, "assert_elimination", (), 21),
    "growth of two matrices": (singular_values, "assert_growth", ("together", "factor"), 20),
}
SIZE = {"growth of two matrices": (2,)}


def at_a_point(difference: object) -> Expr:
    """0 where a difference vanishes for random values of its symbols, which are above 1."""
    expression, draw = sympify(difference), random.Random(3)
    point = {symbol: Rational(draw.randint(120, 260), 97) for symbol in sorted(expression.free_symbols, key=str)}
    value = expression.xreplace(point).evalf(30)
    return sympify(0) if abs(value) < 1e-15 else value


@pytest.mark.parametrize("what", PROOFS)
def test_every_claim_holds_at_a_point(what, monkeypatch):
    module, proof, rewriting, claims = PROOFS[what]
    differences = {}

    def claimed(given, *_):
        assert not differences.keys() & given.keys()
        differences.update({name: at_a_point(difference) for name, difference in given.items()})

    monkeypatch.setattr(module, "assert_zero", claimed)
    for name in ("simplify", *rewriting):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, lambda expression: expression)
    getattr(module, proof).__wrapped__(*SIZE.get(what, ()))
    assert not any(differences.values())
    assert len(differences) == claims


def test_a_claim_that_does_not_hold_is_refused_by_name():
    x = symbols.s
    assert_zero({"right": (x + 1) ** 2 - x**2 - 2 * x - 1})
    # anywhere; at the place where claims are tried first alone; and by a way to reduce that leaves it as it is
    for wrong in ((x + 1) ** 2 - x**2 - 2 * x, x - Rational(17, 5)):
        with pytest.raises(ArithmeticError, match=r"^wrong: .* does not vanish"):
            assert_zero({"right": x - x, "wrong": wrong})
    with pytest.raises(ArithmeticError, match=r"^right: "):
        assert_zero({"right": (x + 1) ** 2 - x**2 - 2 * x - 1}, lambda difference: difference)

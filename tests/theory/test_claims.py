"""What the proofs of `theory/` claim, at random points: quick, where their symbolic form takes seconds (slow tests)."""

from __future__ import annotations

import random

import pytest
from sympy import Expr, Rational, sympify

from theory import coherent_sharing, several_outputs, singular_values, skip_tied, skip_untied

#: Each proof, functions of its module that only rewrite an expression, and the number of its claims.
PROOFS = {
    "tied states": (skip_tied, "assert_elimination", ("cancel", "together", "factor"), 27),
    "untied states": (skip_untied, "assert_untied", ("factor",), 21),
    "twisted outputs": (several_outputs, "assert_twist", ("factor",), 77),
    "matrix quartic": (several_outputs, "assert_matrix_quartic", ("cancel", "together", "factor"), 10),
    "coherent sharing": (coherent_sharing, "assert_elimination", (), 21),
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
def test_every_claim_holds_at_a_point_and_the_last_may_not_be_wrong(what, monkeypatch):
    module, proof, rewriting, claims = PROOFS[what]
    differences = []

    def simplified(difference):
        differences.append(at_a_point(difference))
        return differences[-1] + (len(differences) == claims)

    monkeypatch.setattr(module, "simplify", simplified)
    for name in rewriting:
        if hasattr(module, name):
            monkeypatch.setattr(module, name, lambda expression: expression)
    with pytest.raises(ArithmeticError, match="does not vanish"):
        getattr(module, proof).__wrapped__(*SIZE.get(what, ()))
    assert not any(differences[:claims])
    assert claims <= len(differences) <= claims + 1  # the last once more, for the message

"""Expressions written part by part are those that SymPy writes."""

from sympy import Float, Integer, Symbol, latex

from derivations.expressions import Latex, Text
from theory.free_energy import endpoint_free_energy


def test_equations_are_written_as_sympy_writes_them():
    text, tex = Text(), Latex()
    for condition in endpoint_free_energy(5, "rnn").stationarity():
        assert text.doprint(condition) == str(condition)
        assert tex.doprint(condition) == latex(condition)


def test_equal_parts_in_other_places_and_numbers_keep_their_own_form():
    x, y = Symbol("x"), Symbol("y")
    text = Text()
    for expression in ((x + y) ** 2, (x + y) * x, x + y, -(x + y), x ** Integer(2), x ** Float(2.0), 1 / (x + y)):
        assert text.doprint(expression) == str(expression)

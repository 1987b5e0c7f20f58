"""Expressions written part by part are those that SymPy writes."""

from sympy import Float, Integer, Symbol
from sympy.printing.latex import LatexPrinter

from derivations.expressions import Text, with_legend
from theory.free_energy import endpoint_free_energy
from theory.typesetting import STYLE, Latex, positive_first


class Plain(LatexPrinter):
    """SymPy's printer, each part written anew."""

    def _as_ordered_terms(self, expr, order=None):
        return positive_first(super()._as_ordered_terms(expr, order))


def test_equations_are_written_as_sympy_writes_them():
    text, tex = Text(), Latex()
    F = endpoint_free_energy(5, "rnn")
    names = {entry: f"H^{{{str(entry)[2:]}}}" for entry in F.variables}
    for condition in F.stationarity():
        assert text.doprint(condition) == str(condition)
        assert tex.doprint(condition) == Plain({"symbol_names": names, **STYLE}).doprint(condition)


def test_equal_parts_in_other_places_and_numbers_keep_their_own_form():
    x, y = Symbol("x"), Symbol("y")
    text = Text()
    for expression in ((x + y) ** 2, (x + y) * x, x + y, -(x + y), x ** Integer(2), x ** Float(2.0), 1 / (x + y)):
        assert text.doprint(expression) == str(expression)


def test_a_legend_says_what_matrix_nodes_are_and_no_others():
    shown = with_legend("G = Shift(H) + Embed(K, P*n, 0)")
    assert [line.split("(")[0] for line in shown.splitlines()] == ["# Shift", "# Embed", "G = Shift"]
    assert with_legend("H_11 = r") == "H_11 = r"

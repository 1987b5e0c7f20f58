"""Derivatives of large rational and logarithmic expressions with many shared parts.

SymPy's ``diff`` forgets shared subexpressions beyond its cache; determinants and adjugates occur in every entry of a
Hessian, so each is differentiated once here and remembered.
"""

from __future__ import annotations

from sympy import Add, Expr, Integer, Mul, Pow, Symbol, log


class Differentiator:
    """``∂/∂x`` for one variable, remembering every subexpression it has met."""

    def __init__(self, variable: Symbol) -> None:
        self._variable = variable
        self._known: dict[Expr, Expr] = {variable: Integer(1)}

    def __call__(self, expression: Expr) -> Expr:
        """The derivative of an expression made of sums, products, constant powers and logarithms.

        Raises:
            ValueError: for any other function of the variable.
        """
        known = self._known.get(expression)
        if known is None:
            known = self._known[expression] = self._derive(expression)
        return known

    def _derive(self, expression: Expr) -> Expr:
        if not expression.args or self._variable not in expression.free_symbols:
            return Integer(0)
        if isinstance(expression, Add):
            return Add(*(self(term) for term in expression.args))
        if isinstance(expression, Mul):
            factors = expression.args
            terms = []
            for i, single in enumerate(factors):
                change = self(single)
                if change != 0:
                    terms.append(Mul(*factors[:i], change, *factors[i + 1 :]))
            return Add(*terms)
        if isinstance(expression, Pow) and expression.exp.is_number:
            return expression.exp * expression.base ** (expression.exp - 1) * self(expression.base)
        if isinstance(expression, log):
            return self(expression.args[0]) / expression.args[0]
        raise ValueError(f"expression: contains {expression.func}; accepted: sums, products, constant powers, log")

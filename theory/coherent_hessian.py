"""The Hessian of F along the coherent branch at T = 4, exact: where the branch is stable (docs/theory.md section 5).

``H^{12}`` and ``H^{23}`` carry a square root; evaluation by parity keeps everything a rational function of s and κ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sympy import (
    QQ,
    Add,
    Dummy,
    Expr,
    ImmutableMatrix,
    Integer,
    Symbol,
    cancel,
    diag,
    factor,
    sympify,
)
from sympy.polys.matrices import DomainMatrix

from theory import symbols
from theory.coherent_branch import HORIZON, CoherentBranch
from theory.free_energy import FreeEnergy, endpoint_free_energy


@dataclass(frozen=True)
class ParityField:
    """Exact evaluation on the branch of derivatives of F by kernel entries, as rational functions of s and κ.

    ``H^{12}`` and ``H^{23}`` carry the factor ``b = H^{12}``, a square root. A derivative of F by k entries has under
    ``W → -W`` the parity of these entries, so that times b for each odd one among them it depends on b² only.

    Attributes:
        branch: where to evaluate.
        functional: the free energy at ``u = v = w = 1`` and the branch's κ.
        scales: b for each odd entry of ``functional.variables``, 1 for each even one.
        odd: the symbol b.
        field: rational functions of s and b.
        result: rational functions of s, and of κ if it is symbolic.
        point: the kernel entries in ``field``.
    """

    branch: CoherentBranch
    functional: FreeEnergy
    scales: tuple[Expr, ...]
    odd: Symbol
    field: Any
    result: Any
    point: Mapping[Symbol, Any]

    def evaluate(self, weight: Expr, expression: Expr) -> Any:
        """``weight · expression``, in kernel entries, λ, κ, b and even in b, on the branch: an element of ``result``.

        Raises:
            ArithmeticError: if it is not even.
        """
        terms = Add.make_args(expression)
        labelled = [term for term in terms if term.has(symbols.signal, symbols.kappa)]
        # Most terms do not know κ, and arithmetic in fewer variables is much faster.
        entropic = Add(*(term for term in terms if term not in labelled))
        energetic = Add(*labelled).subs(symbols.signal, self.branch.signal)
        value = self._even(weight * entropic, self.field, self.point)
        if energetic == 0:
            return value
        wide = QQ.frac_field(*self.result.symbols, self.odd)
        point = {name: wide.from_sympy(self.field.to_sympy(x)) for name, x in self.point.items()}
        return value + self._even(weight * energetic, wide, point)

    def _even(self, expression: Expr, field: Any, point: Mapping[Symbol, Any]) -> Any:
        """Evaluate, and replace b² by its value in s; b is the field's last generator."""
        element = evaluate_in_field(expression, field, point)
        square = self.result.from_sympy(self.branch.kernel[1, 2] ** 2)
        generators = [self.result.from_sympy(x) for x in field.symbols[:-1]]
        parts = []
        for poly in (element.numer, element.denom):
            total = self.result.zero
            for monomial, coefficient in poly.iterterms():
                if monomial[-1] % 2:
                    raise ArithmeticError("the expression is not even in H^{12}")
                term = self.result(coefficient) * square ** (monomial[-1] // 2)
                for generator, power in zip(generators, monomial, strict=False):
                    term *= generator**power
                total += term
            parts.append(total)
        return parts[0] / parts[1]

    def true_scales(self) -> ImmutableMatrix:
        """``D``, the diagonal matrix of the scales with b as a function of s."""
        return ImmutableMatrix(diag(*(x.subs(self.odd, self.branch.kernel[1, 2]) for x in self.scales)))


def parity_field(branch: CoherentBranch) -> ParityField:
    """Set up the evaluation on a branch in units ``u = v = w = 1``."""
    functional = endpoint_free_energy(HORIZON).units().subs({symbols.kappa: branch.noise})
    odd = Dummy("b", positive=True)
    field = QQ.frac_field(branch.parameter, odd)
    values = {symbols.kernel_entry(*times): value for times, value in branch.kernel.items()}
    ratio = cancel(branch.kernel[2, 3] / branch.kernel[1, 2])
    values |= {symbols.kernel_entry(1, 2): odd, symbols.kernel_entry(2, 3): ratio * odd}
    point = {name: field.from_sympy(sympify(value)) for name, value in values.items()}
    odd_entries = (symbols.kernel_entry(1, 2), symbols.kernel_entry(2, 3))
    return ParityField(
        branch=branch,
        functional=functional,
        scales=tuple(odd if x in odd_entries else Integer(1) for x in functional.variables),
        odd=odd,
        field=field,
        result=QQ.frac_field(*branch.noise.free_symbols, branch.parameter),
        point=MappingProxyType(point),
    )


def scaled_hessian(branch: CoherentBranch) -> tuple[ImmutableMatrix, ImmutableMatrix]:
    """``(D, D ∂²F D)`` along the branch, over the six independent entries 11, 12, 13, 22, 23, 33; rational in s.

    ``D`` is diagonal: ``H^{12}`` at the odd entries 12 and 23, and 1 elsewhere (``ParityField``).
    """
    parity = parity_field(branch)
    second, scales = parity.functional.hessian(), parity.scales
    size = len(scales)
    upper = {
        (i, j): factor(parity.result.to_sympy(parity.evaluate(scales[i] * scales[j], second[i, j])))
        for i in range(size)
        for j in range(i, size)
    }
    return parity.true_scales(), ImmutableMatrix(size, size, lambda i, j: upper[min(i, j), max(i, j)])


def evaluate_in_field(expression: Expr, field: Any, point: Mapping[Symbol, Any]) -> Any:
    """Evaluate a rational expression in a field of rational functions, operation by operation (no expansion)."""
    if expression in point:
        return point[expression]
    if expression.is_Add or expression.is_Mul:
        values = [evaluate_in_field(argument, field, point) for argument in expression.args]
        result = values[0]
        for value in values[1:]:
            result = result + value if expression.is_Add else result * value
        return result
    if expression.is_Pow and expression.exp.is_Integer:
        return evaluate_in_field(expression.base, field, point) ** int(expression.exp)
    return field.from_sympy(expression)


def leading_minors(branch: CoherentBranch) -> tuple[Expr, ...]:
    """Leading principal minors of the scaled Hessian, factored: all positive exactly where the branch is stable.

    By elimination without exchanges: the k-th minor is the product of the first k pivots.
    """
    rows = DomainMatrix.from_Matrix(scaled_hessian(branch)[1]).to_field()
    field, elements = rows.domain, rows.to_list()
    minors, product = [], field.one
    for k, pivot_row in enumerate(elements):
        product *= pivot_row[k]
        minors.append(factor(field.to_sympy(product)))
        for row in elements[k + 1 :]:
            ratio = row[k] / pivot_row[k]
            for j in range(k, len(row)):
                row[j] -= ratio * pivot_row[j]
    return tuple(minors)

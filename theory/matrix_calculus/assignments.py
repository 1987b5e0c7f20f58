r"""Matrix expressions as a straight-line list of assignments, each shared subexpression computed once.

Operations, and what their operands are (names of earlier assignments or of matrix symbols, unless said):

========================  ==============================================================================
``factor``                A: the Cholesky factor of a symmetric positive-definite A
``whitened``              a factor, B: the factor's inverse times B
``inverse``               a factor: the inverse of the matrix it factorises
``general-inverse``       A: the inverse of a matrix not known to be symmetric
``log-determinant``       a factor: ln of the determinant of the matrix it factorises
``product``               A, B
``transpose``             A
``combination``           A, B, …: their sum with the scalar ``coefficients``
``symmetric``             A: half the sum with its transpose
``identity``, ``zero``    none; the size is ``rows``
``step``                  none: Σ; the size is ``rows``
``shift``, ``adjoint-shift``   A
``mask``                  A, and M where it is not the identity
``restrict``, ``embed``   A; the size of the result is ``rows``, and 𝒯 that of ``output``
``trace``                 A; or A, B: the trace of their product, which is never formed
``square``                A: ``tr AᵀA``
``scalar-combination``    scalars: their sum with ``coefficients``, the last of which is a constant summand
========================  ==============================================================================

Symmetric matrices that are inverted are taken to be positive-definite, as kernels and covariances are.

An assignment is *late* if it depends on a late symbol (the direction of a Hessian–vector product). Runs of
early factors inside late products are multiplied together early, so that after the factorisations each
direction costs multiplications only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sympy import (
    Add,
    Identity,
    Inverse,
    MatAdd,
    MatMul,
    MatPow,
    MatrixSymbol,
    Mul,
    S,
    Trace,
    Transpose,
    ZeroMatrix,
)

from theory.matrix_calculus.nodes import (
    AdjointShift,
    Bracket,
    Embed,
    Factored,
    LinearMap,
    LogDet,
    LowerSymbol,
    Mask,
    Restrict,
    Shift,
    Step,
    Symmetrised,
    Whitened,
    split_factor,
    transposed,
)

MAP_OPERATIONS = {
    Shift: "shift",
    AdjointShift: "adjoint-shift",
    Mask: "mask",
    Restrict: "restrict",
    Embed: "embed",
}


@dataclass(frozen=True)
class Assignment:
    """``target = operation(operands)``; ``expression`` is what the target stands for."""

    target: str
    operation: str
    operands: tuple[str, ...]
    expression: Any
    coefficients: tuple[Any, ...] = ()
    rows: Any = None
    late: bool = False
    output: int = 0


@dataclass(frozen=True)
class Program:
    """Assignments in an order in which every operand is known, and the name of each output."""

    assignments: tuple[Assignment, ...]
    outputs: dict[str, str]
    matrices: tuple[Any, ...]
    scalars: tuple[Any, ...]


def assignments(outputs: Mapping[str, Any], late: Sequence[Any] = ()) -> Program:
    """The straight-line program of several expressions.

    Args:
        outputs: name to matrix expression, or to scalar expression made of ``Trace`` and ``LogDet``.
        late: matrix symbols whose values come last.

    Raises:
        ValueError: a node outside the documented set.
    """
    builder = _Builder(frozenset(late))
    names = {name: builder.compile(expression) for name, expression in outputs.items()}
    matrices, scalars = set(), set()
    for expression in outputs.values():
        matrices |= expression.atoms(MatrixSymbol)
    for assignment in builder.program:
        for coefficient in assignment.coefficients:
            scalars |= coefficient.free_symbols
    in_order = sorted(matrices, key=lambda symbol: symbol.name)
    return Program(tuple(builder.program), names, tuple(in_order), tuple(sorted(scalars, key=lambda s: s.name)))


@dataclass
class _Builder:
    """Value numbering: a table from (operation, operands, …) to the name that holds it."""

    late: frozenset[Any]
    program: list[Assignment] = field(default_factory=list)
    known: dict[Any, str] = field(default_factory=dict)
    of_expression: dict[Any, str] = field(default_factory=dict)

    def compile(self, expression: Any) -> str:
        """Name of the expression's value."""
        if expression in self.of_expression:
            return self.of_expression[expression]
        if isinstance(expression, Factored):
            name = self._emit(
                "product",
                (str(expression.name), self._emit("transpose", (str(expression.name),), expression)),
                expression,
            )
        elif isinstance(expression, MatrixSymbol):
            name = str(expression.name)
        elif getattr(expression, "is_Matrix", False):
            other = transposed(expression)
            if other != expression and other in self.of_expression:
                name = self._emit("transpose", (self.of_expression[other],), expression)
            else:
                name = self._compile_matrix(expression)
        else:
            name = self._compile_scalar(expression)
        self.of_expression[expression] = name
        return name

    def _emit(
        self,
        operation: str,
        operands: tuple[str, ...],
        expression: Any,
        coefficients: Any = (),
        rows: Any = None,
        output: int = 0,
    ) -> str:
        key = (operation, operands, tuple(coefficients), rows, output)
        if key not in self.known:
            name = f"t{len(self.program)}"
            late = any(symbol in self.late for symbol in expression.atoms(MatrixSymbol))
            self.program.append(
                Assignment(name, operation, operands, expression, tuple(coefficients), rows, late, output)
            )
            self.known[key] = name
        return self.known[key]

    def _compile_matrix(self, expression: Any) -> str:
        for node, operation in ((Identity, "identity"), (ZeroMatrix, "zero"), (Step, "step")):
            if isinstance(expression, node):
                return self._emit(operation, (), expression, rows=expression.rows)
        if isinstance(expression, MatAdd):
            return self._combination(expression, expression.args)
        if isinstance(expression, MatMul):
            factor, product = split_factor(expression)
            return self._combination(expression, [expression]) if factor != 1 else self._product(product)
        if isinstance(expression, Inverse):
            return self._inverse(expression)
        if isinstance(expression, MatPow) and expression.exp.is_Integer:
            base = expression.base if expression.exp > 0 else Inverse(expression.base)
            return self._chain([base] * abs(int(expression.exp)))
        if isinstance(expression, Transpose):
            return self._emit("transpose", (self.compile(expression.arg),), expression)
        if isinstance(expression, Symmetrised):
            return self._emit("symmetric", (self.compile(expression.argument),), expression)
        if isinstance(expression, Bracket):
            return self.compile(expression.argument)
        if isinstance(expression, Whitened):
            covariance, matrix = expression.args
            return self._emit("whitened", (self._factor(covariance), self.compile(matrix)), expression)
        if isinstance(expression, LinearMap):
            return self._map(expression)
        raise ValueError(
            f"expression: node {type(expression).__name__}; accepted: the node set of theory.matrix_calculus"
        )

    def _map(self, expression: LinearMap) -> str:
        operation, operands = MAP_OPERATIONS[type(expression)], [self.compile(expression.argument)]
        if isinstance(expression, Mask) and not isinstance(expression.weights, Identity):
            operands.append(self.compile(expression.weights))
        if isinstance(expression, Restrict | Embed):
            return self._emit(operation, tuple(operands), expression, rows=expression.rows, output=expression.output)
        return self._emit(operation, tuple(operands), expression)

    def _combination(self, expression: Any, terms: Sequence[Any]) -> str:
        split = [split_factor(term) for term in terms]
        operands = tuple(self.compile(matrix) for _, matrix in split)
        return self._emit("combination", operands, expression, [factor for factor, _ in split])

    def _inverse(self, expression: Any) -> str:
        matrix = expression.arg
        if transposed(matrix) != matrix:
            return self._emit("general-inverse", (self.compile(matrix),), expression)
        return self._emit("inverse", (self._factor(matrix),), expression)

    def _factor(self, matrix: Any) -> str:
        if isinstance(matrix, Factored):
            return str(matrix.name)
        if isinstance(matrix, MatMul) and isinstance(matrix.args[0], LowerSymbol):
            L = matrix.args[0]
            if matrix.args[1:] == (transposed(L),):
                return self.compile(L)
        return self._emit("factor", (self.compile(matrix),), matrix)

    def _is_late(self, expression: Any) -> bool:
        return any(symbol in self.late for symbol in expression.atoms(MatrixSymbol))

    def _product(self, product: Any) -> str:
        """A product of matrices, its runs of early factors joined first if some factor is late."""
        factors = list(product.args)
        if not self._is_late(product):
            return self._chain(factors)
        joined: list[Any] = []
        for factor in factors:
            if joined and not self._is_late(factor) and not self._is_late(joined[-1]):
                joined[-1] = MatMul(joined[-1], factor).doit(deep=False)
            else:
                joined.append(factor)
        return self._chain(joined)

    def _chain(self, factors: Sequence[Any]) -> str:
        expression, name = factors[0], self.compile(factors[0])
        for factor in factors[1:]:
            expression = MatMul(expression, factor).doit(deep=False)
            if expression not in self.of_expression:
                self.of_expression[expression] = self._emit("product", (name, self.compile(factor)), expression)
            name = self.of_expression[expression]
        return name

    def _compile_scalar(self, expression: Any) -> str:
        if isinstance(expression, Trace):
            return self._trace(expression)
        if isinstance(expression, LogDet):
            return self._emit("log-determinant", (self._factor(expression.argument),), expression)
        coefficients, operands, constant = [], [], S.Zero
        for term in Add.make_args(expression):
            parts = [factor for factor in Mul.make_args(term) if isinstance(factor, Trace | LogDet)]
            if len(parts) > 1 or any(factor.has(Trace, LogDet) for factor in term.args if factor not in parts):
                raise ValueError(f"expression: {term}; accepted: constants times Trace or LogDet")
            if parts:
                operands.append(self.compile(parts[0]))
                coefficients.append(Mul(*(factor for factor in Mul.make_args(term) if factor not in parts)))
            else:
                constant += term
        return self._emit("scalar-combination", tuple(operands), expression, [*coefficients, constant])

    def _trace(self, expression: Any) -> str:
        factor, product = split_factor(expression.arg)
        if factor != 1:
            return self.compile(factor * Trace(product))
        if isinstance(product, MatMul):
            if len(product.args) == 2 and product.args[0] == transposed(product.args[1]):
                return self._emit("square", (self.compile(product.args[1]),), expression)
            left = MatMul(*product.args[:-1]).doit(deep=False)
            operands = (self.compile(left), self.compile(product.args[-1]))
            return self._emit("trace", operands, expression)
        return self._emit("trace", (self.compile(product),), expression)

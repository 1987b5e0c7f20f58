"""Matrix expressions evaluated on explicit SymPy matrices: exact, or at any precision.

The slow, plain route. It serves to check what is derived for general n, P and supervision, entry by entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sympy import (
    Add,
    Identity,
    ImmutableMatrix,
    Inverse,
    MatAdd,
    MatMul,
    MatPow,
    Matrix,
    MatrixSymbol,
    Mul,
    Trace,
    Transpose,
    ZeroMatrix,
    eye,
    log,
    zeros,
)

from theory.determinants import determinant, inverse
from theory.matrix_calculus.nodes import AdjointShift, Embed, LogDet, Mask, Restrict, Shift, Step
from theory.symbols import P as patterns
from theory.symbols import n as times
from theory.symbols import supervised_rows


@dataclass(frozen=True)
class Layout:
    """Sizes of the joint index: n times, P patterns, and ``𝒯_c`` of each output as an m_c × nP matrix.

    Raises:
        ValueError: a ``𝒯_c`` has not nP columns.
    """

    n: int
    P: int
    projections: tuple[ImmutableMatrix, ...]

    def __post_init__(self) -> None:
        for projection in self.projections:
            if self.n < 1 or self.P < 1 or projection.cols != self.n * self.P:
                raise ValueError(
                    f"projections: {projection.shape} for n = {self.n}, P = {self.P}; accepted: m × {self.n * self.P}"
                )

    @classmethod
    def of_pairs(cls, n: int, P: int, *positions: list[int]) -> Layout:
        """The layout whose supervised pairs stand at these time-major positions (0-based), a list for each output."""
        found = (Matrix(len(at), n * P, lambda i, j, at=at: int(at[i] == j)) for at in positions)
        return cls(n, P, tuple(map(ImmutableMatrix, found)))

    def projection(self, output: int) -> ImmutableMatrix:
        """``𝒯_c``; that of the only output for c = 0."""
        return self.projections[max(output - 1, 0)]

    def size(self, rows: Any) -> int:
        """What a symbolic number of rows is here."""
        known = {times: self.n, times * patterns: self.n * self.P, supervised_rows(0): self.projections[0].rows}
        known |= {supervised_rows(c): found.rows for c, found in enumerate(self.projections, 1)}
        return known[rows] if rows in known else int(rows)


def evaluate(expression: Any, values: Mapping[Any, Any], layout: Layout) -> Any:
    """The expression's value: a SymPy matrix, or a scalar.

    Args:
        expression: of the node set of this package.
        values: matrix symbols to explicit matrices, and scalar symbols to numbers or expressions; scalar
            symbols may be left symbolic.
        layout: sizes and projection.

    Raises:
        ValueError: a matrix symbol without a value, or a node without a rule.
    """
    scalars = {symbol: value for symbol, value in values.items() if not isinstance(symbol, MatrixSymbol)}

    def walk(node: Any) -> Any:
        if isinstance(node, MatrixSymbol):
            if node not in values:
                raise ValueError(f"values: {node} is missing; accepted: a matrix for every matrix symbol")
            return Matrix(values[node])
        if isinstance(node, Identity | ZeroMatrix):
            size = layout.size(node.rows)
            return eye(size) if isinstance(node, Identity) else zeros(size)
        if isinstance(node, Step):
            size = layout.n * layout.P
            return Matrix(size, size, lambda i, j: int(i == j + layout.P))
        if isinstance(node, MatAdd):
            terms = [walk(term) for term in node.args]
            return sum(terms[1:], terms[0])
        if isinstance(node, MatMul | Mul):
            result = walk(node.args[0])
            for factor in node.args[1:]:
                result = result * walk(factor)
            return result
        if isinstance(node, Add):
            return Add(*(walk(term) for term in node.args))
        if isinstance(node, Inverse):
            return inverse(walk(node.arg))
        if isinstance(node, MatPow):
            return walk(node.base) ** node.exp
        if isinstance(node, Transpose):
            return walk(node.arg).T
        if isinstance(node, Trace):
            return walk(node.arg).trace()
        if isinstance(node, LogDet):
            return log(determinant(walk(node.argument)))
        if isinstance(node, Mask):
            return _mask(walk(node.argument), walk(node.weights), layout)
        if isinstance(node, Restrict | Embed):
            T = layout.projection(node.output)
            return T * walk(node.argument) * T.T if isinstance(node, Restrict) else T.T * walk(node.argument) * T
        if isinstance(node, Shift | AdjointShift):
            return (_shift if isinstance(node, Shift) else _adjoint_shift)(walk(node.argument), layout)
        if node.is_Matrix:
            raise ValueError(f"expression: no rule for {type(node).__name__}; accepted: this package's node set")
        return node.subs(scalars)

    return walk(expression)


def _shift(A: Any, layout: Layout) -> Any:
    return Matrix(A.rows, A.cols, lambda i, j: A[i - layout.P, j - layout.P] if min(i, j) >= layout.P else 0)


def _adjoint_shift(A: Any, layout: Layout) -> Any:
    last = A.rows - layout.P
    return Matrix(A.rows, A.cols, lambda i, j: A[i + layout.P, j + layout.P] if max(i, j) < last else 0)


def _mask(A: Any, weights: Any, layout: Layout) -> Any:
    return Matrix(A.rows, A.cols, lambda i, j: weights[i // layout.P, j // layout.P] * A[i, j])

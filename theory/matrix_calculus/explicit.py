"""Matrix expressions evaluated on explicit SymPy matrices: exact, or at any precision.

The slow, plain route. It serves to check what is derived for general n, P and supervision, entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

from theory.matrix_calculus.nodes import AdjointShift, Embed, LogDet, Mask, Restrict, Shift
from theory.symbols import m as number_supervised


@dataclass(frozen=True)
class Layout:
    """Sizes of the joint index: n times, P patterns, and ``𝒯`` as an m × nP matrix.

    Raises:
        ValueError: ``𝒯`` has not nP columns.
    """

    n: int
    P: int
    projection: ImmutableMatrix

    def __post_init__(self) -> None:
        if self.n < 1 or self.P < 1 or self.projection.cols != self.n * self.P:
            raise ValueError(
                f"projection: {self.projection.shape} for n = {self.n}, P = {self.P}; accepted: m × {self.n * self.P}"
            )

    @classmethod
    def of_pairs(cls, n: int, P: int, positions: list[int]) -> Layout:
        """The layout whose supervised pairs stand at these time-major positions (0-based)."""
        rows = Matrix(len(positions), n * P, lambda i, j: int(positions[i] == j))
        return cls(n, P, ImmutableMatrix(rows))


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
            size = layout.projection.rows if node.rows == number_supervised else layout.n * layout.P
            return eye(size) if isinstance(node, Identity) else zeros(size)
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
            return walk(node.arg).inv()
        if isinstance(node, MatPow):
            return walk(node.base) ** node.exp
        if isinstance(node, Transpose):
            return walk(node.arg).T
        if isinstance(node, Trace):
            return walk(node.arg).trace()
        if isinstance(node, LogDet):
            return log(walk(node.argument).det())
        if type(node) in _MAPS:
            return _MAPS[type(node)](walk(node.argument), layout)
        if node.is_Matrix:
            raise ValueError(f"expression: no rule for {type(node).__name__}; accepted: this package's node set")
        return node.subs(scalars)

    return walk(expression)


def _shift(A: Any, layout: Layout) -> Any:
    return Matrix(A.rows, A.cols, lambda i, j: A[i - layout.P, j - layout.P] if min(i, j) >= layout.P else 0)


def _adjoint_shift(A: Any, layout: Layout) -> Any:
    last = A.rows - layout.P
    return Matrix(A.rows, A.cols, lambda i, j: A[i + layout.P, j + layout.P] if max(i, j) < last else 0)


def _mask(A: Any, layout: Layout) -> Any:
    return Matrix(A.rows, A.cols, lambda i, j: A[i, j] if i // layout.P == j // layout.P else 0)


_MAPS: dict[type, Callable[[Any, Layout], Any]] = {
    Shift: _shift,
    AdjointShift: _adjoint_shift,
    Mask: _mask,
    Restrict: lambda A, layout: layout.projection * A * layout.projection.T,
    Embed: lambda A, layout: layout.projection.T * A * layout.projection,
}

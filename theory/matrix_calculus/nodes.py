r"""Matrix nodes of the kernel functionals: shift, mask, projection on the supervised pairs, log-determinant.

Each is a linear map ``A -> L(A)`` of square matrices over the joint index ``(t, p)`` (time-major, docs/theory.md
section 2), with its adjoint ``L*`` under the trace pairing ``tr[K L(A)] = tr[L*(K) A]``:

=================  ==============================================  ===================
node               entries                                         adjoint
=================  ==============================================  ===================
``Shift(A)``       ``A^{t-1,t'-1}``, zero where a time is 0         ``AdjointShift``
``AdjointShift``   ``A^{t+1,t'+1}``, zero where a time is n + 1     ``Shift``
``Mask(A)``        ``A^{tt'} δ_{tt'}`` (whole pattern blocks)       ``Mask``
``Restrict(A)``    ``𝒯 A 𝒯ᵀ``                                      ``Embed``
``Embed(A)``       ``𝒯ᵀ A 𝒯``                                      ``Restrict``
=================  ==============================================  ===================

``𝒯`` is any m × nP matrix; for labels at single pairs (t, p) its rows are unit vectors.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sympy import (
    Expr,
    Identity,
    Inverse,
    MatAdd,
    MatMul,
    MatrixExpr,
    MatrixSymbol,
    ZeroMatrix,
    latex,
    sympify,
)
from sympy.printing.precedence import PRECEDENCE


class SymmetricSymbol(MatrixSymbol):  # type: ignore[misc]
    """A square matrix symbol that equals its transpose."""

    def __new__(cls, name: str, dimension: Any) -> SymmetricSymbol:  # noqa: D102 (see the class)
        return MatrixSymbol.__new__(cls, name, dimension, dimension)  # type: ignore[no-any-return]

    @property
    def func(self) -> Any:
        """Rebuild from ``args`` (name, rows, columns), as SymPy's traversals ask."""
        return lambda name, rows, _columns: SymmetricSymbol(str(name), rows)

    def _eval_transpose(self) -> SymmetricSymbol:
        return self


def split_factor(matrix: Any) -> tuple[Any, Any]:
    """Scalar factor and the rest, without the one-factor product that SymPy wraps it in."""
    factor, rest = matrix.as_coeff_mmul()
    return factor, rest.doit(deep=False)


class LinearMap(MatrixExpr):  # type: ignore[misc]
    """A linear map of a matrix; scalar factors move out of it, and the map of zero is zero.

    Subclasses say which class is the adjoint, how entries move and how the node prints. Every map here
    commutes with the transpose. ``args`` is (matrix, rows of the image).
    """

    precedence = PRECEDENCE["Mul"]

    def __new__(cls, argument: Any, rows: Any = None) -> Any:  # noqa: D102 (see the class)
        argument = sympify(argument)
        if not getattr(argument, "is_Matrix", False) or argument.rows != argument.cols:
            raise ValueError(f"argument: {argument} of {cls.__name__}; accepted: a square matrix expression")
        rows = argument.rows if rows is None else sympify(rows)
        factor, matrix = split_factor(argument)
        if matrix.is_ZeroMatrix:
            return ZeroMatrix(rows, rows)
        node = MatrixExpr.__new__(cls, matrix, rows)
        return node if factor == 1 else factor * node

    @property
    def argument(self) -> Any:
        """The matrix that is mapped."""
        return self.args[0]

    @property
    def shape(self) -> tuple[Any, Any]:
        """Rows and columns of the image."""
        return (self.args[1], self.args[1])

    def rebuild(self, argument: Any) -> Any:
        """The same map of another matrix."""
        return type(self)(argument, self.args[1])

    def adjoint_map(self, argument: Any) -> Any:
        """``L*(K)``, defined by ``tr[K L(A)] = tr[L*(K) A]``."""
        raise NotImplementedError

    def doit(self, **hints: Any) -> Any:
        """Evaluate the argument."""
        return self.rebuild(self.argument.doit(**hints))

    def _eval_transpose(self) -> Any:
        return transposed(self)


class Shift(LinearMap):
    """``A⁻``: one step forward in time, ``(A⁻)^{tt'} = A^{t-1,t'-1}``."""

    def adjoint_map(self, argument: Any) -> Any:
        """``tr[K A⁻] = tr[K⁺ A]``."""
        return AdjointShift(argument)

    def _latex(self, printer: Any) -> str:
        return _superscript(printer, self.argument, "-")


class AdjointShift(LinearMap):
    """``A⁺``: one step back in time, ``(A⁺)^{tt'} = A^{t+1,t'+1}``."""

    def adjoint_map(self, argument: Any) -> Any:
        """``tr[K A⁺] = tr[K⁻ A]``."""
        return Shift(argument)

    def _latex(self, printer: Any) -> str:
        return _superscript(printer, self.argument, "+")


class Mask(LinearMap):
    """``[A]`` of the DNN: the pattern blocks with equal times; a self-adjoint projection."""

    def __new__(cls, argument: Any, rows: Any = None) -> Any:  # noqa: D102 (see the class)
        if isinstance(argument, Mask):
            return argument
        return super().__new__(cls, argument, rows)

    def adjoint_map(self, argument: Any) -> Any:
        """``tr[K [A]] = tr[[K] A]``."""
        return Mask(argument)

    def _latex(self, printer: Any) -> str:
        return rf"\left[{printer._print(self.argument)}\right]"


class Restrict(LinearMap):
    """``𝒯 A 𝒯ᵀ``: the supervised rows and columns; ``rows`` is their number m."""

    def adjoint_map(self, argument: Any) -> Any:
        """``tr[K 𝒯A𝒯ᵀ] = tr[𝒯ᵀK𝒯 A]``."""
        return Embed(argument, self.argument.rows)

    def _latex(self, printer: Any) -> str:
        inner = printer.parenthesize(self.argument, PRECEDENCE["Mul"])
        return rf"\mathcal{{T}} {inner} \mathcal{{T}}^{{\top}}"


class Embed(LinearMap):
    """``𝒯ᵀ A 𝒯``: supervised entries put back among zeros; ``rows`` is nP."""

    def adjoint_map(self, argument: Any) -> Any:
        """``tr[K 𝒯ᵀA𝒯] = tr[𝒯K𝒯ᵀ A]``."""
        return Restrict(argument, self.argument.rows)

    def _latex(self, printer: Any) -> str:
        inner = printer.parenthesize(self.argument, PRECEDENCE["Mul"])
        return rf"\mathcal{{T}}^{{\top}} {inner} \mathcal{{T}}"


class LogDet(Expr):  # type: ignore[misc]
    """``ln |A|`` of a square matrix expression: a scalar."""

    is_commutative = True

    def __new__(cls, argument: Any) -> LogDet:  # noqa: D102 (see the class)
        argument = sympify(argument)
        if not getattr(argument, "is_Matrix", False) or argument.rows != argument.cols:
            raise ValueError(f"argument: {argument} of LogDet; accepted: a square matrix expression")
        return Expr.__new__(cls, argument)  # type: ignore[no-any-return]

    @property
    def argument(self) -> Any:
        """The matrix whose determinant is taken."""
        return self.args[0]

    def _latex(self, printer: Any) -> str:
        return rf"\ln\left|{printer._print(self.argument)}\right|"


def _superscript(printer: Any, matrix: Any, sign: str) -> str:
    if isinstance(matrix, MatrixSymbol):
        return rf"{{{printer._print(matrix)}}}^{{{sign}}}"
    return rf"\left({printer._print(matrix)}\right)^{{{sign}}}"


@cache
def transposed(matrix: Any) -> Any:
    """``Aᵀ`` in the form in which an equal symmetric expression is recognised; evaluates no more than that."""
    if isinstance(matrix, SymmetricSymbol | Identity):
        return matrix
    if isinstance(matrix, MatAdd):
        return MatAdd(*map(transposed, matrix.args)).doit(deep=False)
    if isinstance(matrix, MatMul):
        factor, factors = matrix.as_coeff_matrices()
        return MatMul(factor, *map(transposed, reversed(factors))).doit(deep=False)
    if isinstance(matrix, Inverse):
        return Inverse(transposed(matrix.arg))
    if isinstance(matrix, LinearMap):
        return matrix.rebuild(transposed(matrix.argument))
    return matrix.T.doit()


def matrix_latex(expression: Any) -> str:
    """LaTeX of an expression of this package, with ``a - b`` in place of SymPy's ``a + - b``."""
    return str(latex(expression)).replace("+ -", "-")

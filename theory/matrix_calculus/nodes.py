r"""Matrix nodes of the kernel functionals: shift, sharing mask, projection on the supervised pairs, log-determinant.

Each is a linear map ``A -> L(A)`` of square matrices over the joint index ``(t, p)`` (time-major, docs/theory.md
section 2), with its adjoint ``L*`` under the trace pairing ``tr[K L(A)] = tr[L*(K) A]``:

=================  ==============================================  ===================
node               entries                                         adjoint
=================  ==============================================  ===================
``Shift(A)``       ``A^{t-1,t'-1}``, zero where a time is 0         ``AdjointShift``
``AdjointShift``   ``A^{t+1,t'+1}``, zero where a time is n + 1     ``Shift``
``Mask(A, M)``     ``M_tt' A^{tt'}`` (whole pattern blocks)         ``Mask``
``Restrict(A)``    ``𝒯 A 𝒯ᵀ``                                      ``Embed``
``Embed(A)``       ``𝒯ᵀ A 𝒯``                                      ``Restrict``
=================  ==============================================  ===================

``𝒯`` is any m × nP matrix, one for each output; for labels at single pairs (t, p) its rows are unit vectors. ``Step``
is the matrix Σ itself, ``Shift(A) = ΣAΣᵀ``.
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
    OneMatrix,
    Transpose,
    ZeroMatrix,
    latex,
    sympify,
)
from sympy.printing.precedence import PRECEDENCE

from theory.symbols import n


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
    commutes with the transpose. ``args`` is (matrix, parameters of the map).
    """

    precedence = PRECEDENCE["Mul"]

    def __new__(cls, argument: Any, *parameters: Any) -> Any:  # noqa: D102 (see the class)
        argument = sympify(argument)
        if not getattr(argument, "is_Matrix", False) or argument.rows != argument.cols:
            raise ValueError(f"argument: {argument} of {cls.__name__}; accepted: a square matrix expression")
        factor, matrix = split_factor(argument)
        node = MatrixExpr.__new__(cls, matrix, *map(sympify, parameters))
        if matrix.is_ZeroMatrix:
            return ZeroMatrix(*node.shape)
        return node if factor == 1 else factor * node

    @property
    def argument(self) -> Any:
        """The matrix that is mapped."""
        return self.args[0]

    @property
    def shape(self) -> tuple[Any, Any]:
        """Rows and columns of the image."""
        return (self.argument.rows, self.argument.rows)

    def rebuild(self, argument: Any) -> Any:
        """The same map of another matrix."""
        return type(self)(argument, *self.args[1:])

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
    """``M∘A``: each pattern block ``A^{tt'}`` times ``M_tt'``, M symmetric over times (docs/theory.md section 10).

    The identity M keeps the blocks of equal times, the DNN's; M of ones, the RNN's, keeps all and is no node. Sums of
    these and of symbols are taken term by term.
    """

    def __new__(cls, argument: Any, weights: Any = None) -> Any:  # noqa: D102 (see the class)
        weights = Identity(n) if weights is None else weights
        if isinstance(weights, MatAdd):
            return MatAdd(*(Mask(argument, term) for term in weights.args)).doit(deep=False)
        factor, weights = split_factor(weights)
        is_masked = isinstance(weights, Identity) and isinstance(argument, Mask) and argument.weights == weights
        masked = argument if isinstance(weights, OneMatrix) or is_masked else super().__new__(cls, argument, weights)
        return masked if factor == 1 else factor * masked

    @property
    def weights(self) -> Any:
        """M."""
        return self.args[1]

    def adjoint_map(self, argument: Any) -> Any:
        """``tr[K (M∘A)] = tr[(M∘K) A]``."""
        return self.rebuild(argument)

    def _latex(self, printer: Any) -> str:
        inner = printer._print(self.argument)
        if isinstance(self.weights, Identity):
            return rf"\left[{inner}\right]"
        return rf"{printer._print(self.weights)} \circ \left({inner}\right)"


class _Supervised(LinearMap):
    """A map between all entries and the supervised ones of one output; ``rows`` is the number of rows that it gives."""

    def __new__(cls, argument: Any, rows: Any, output: Any = 0) -> Any:
        return super().__new__(cls, argument, rows, output)

    @property
    def shape(self) -> tuple[Any, Any]:
        """``rows × rows``."""
        return (self.args[1], self.args[1])

    @property
    def output(self) -> int:
        """c = 1, 2, …; 0 for the only one."""
        return int(self.args[2])

    def _latex_parts(self, printer: Any) -> tuple[str, str]:
        """What is mapped, and 𝒯."""
        name = rf"\mathcal{{T}}_{{{self.output}}}" if self.output else r"\mathcal{T}"
        return printer.parenthesize(self.argument, PRECEDENCE["Mul"]), name


class Restrict(_Supervised):
    """``𝒯 A 𝒯ᵀ``: the supervised rows and columns of one output; ``rows`` is their number m."""

    def adjoint_map(self, argument: Any) -> Any:
        """``tr[K 𝒯A𝒯ᵀ] = tr[𝒯ᵀK𝒯 A]``."""
        return Embed(argument, self.argument.rows, self.output)

    def _latex(self, printer: Any) -> str:
        inner, name = self._latex_parts(printer)
        return rf"{name} {inner} {name}^{{\top}}"


class Embed(_Supervised):
    """``𝒯ᵀ A 𝒯``: supervised entries put back among zeros; ``rows`` is nP."""

    def adjoint_map(self, argument: Any) -> Any:
        """``tr[K 𝒯ᵀA𝒯] = tr[𝒯K𝒯ᵀ A]``."""
        return Restrict(argument, self.argument.rows, self.output)

    def _latex(self, printer: Any) -> str:
        inner, name = self._latex_parts(printer)
        return rf"{name}^{{\top}} {inner} {name}"


class Step(MatrixExpr):  # type: ignore[misc]
    """Σ, which moves one time on: ``(Σh)^t = h^{t-1}``, ``h^0 = 0``; ``rows`` is nP."""

    def __new__(cls, rows: Any) -> Step:  # noqa: D102 (see the class)
        return MatrixExpr.__new__(cls, sympify(rows))  # type: ignore[no-any-return]

    @property
    def shape(self) -> tuple[Any, Any]:
        """nP × nP."""
        return (self.args[0], self.args[0])

    def _sympystr(self, printer: Any) -> str:
        return "Step"

    def _latex(self, printer: Any) -> str:
        return r"\Sigma"


class Bracket(MatrixExpr):  # type: ignore[misc]
    """A matrix that products around it leave whole: it says in which order they are taken."""

    def __new__(cls, argument: Any) -> Any:  # noqa: D102 (see the class)
        return argument if isinstance(argument, Bracket) else MatrixExpr.__new__(cls, sympify(argument))

    @property
    def argument(self) -> Any:
        """The matrix."""
        return self.args[0]

    @property
    def shape(self) -> tuple[Any, Any]:
        """That of the matrix."""
        return self.argument.shape  # type: ignore[no-any-return]

    def doit(self, **_hints: Any) -> Any:
        """Itself."""
        return self


class Symmetrised(Bracket):
    """``½(A + Aᵀ)``."""


class Whitened(MatrixExpr):  # type: ignore[misc]
    """``U A`` with ``C⁻¹ = UᵀU``, U the inverse of the lower Cholesky factor of a covariance C; ``args`` is (C, A)."""

    @property
    def shape(self) -> tuple[Any, Any]:
        """That of A."""
        return self.args[1].shape  # type: ignore[no-any-return]

    def doit(self, **_hints: Any) -> Any:
        """Itself."""
        return self


class LowerSymbol(MatrixSymbol):  # type: ignore[misc]
    """A lower triangular matrix symbol of positive diagonal: its own Cholesky factor."""

    def __new__(cls, name: str, dimension: Any) -> LowerSymbol:  # noqa: D102 (see the class)
        return MatrixSymbol.__new__(cls, name, dimension, dimension)  # type: ignore[no-any-return]

    @property
    def func(self) -> Any:
        """Rebuild from ``args`` (name, rows, columns), as SymPy's traversals ask."""
        return lambda name, rows, _columns: LowerSymbol(str(name), rows)


class Factored(SymmetricSymbol):
    """A covariance that is given by its lower Cholesky factor, under this name."""

    def __new__(cls, name: str, dimension: Any) -> Factored:  # noqa: D102 (see the class)
        return MatrixSymbol.__new__(cls, name, dimension, dimension)  # type: ignore[no-any-return]

    @property
    def func(self) -> Any:
        """Rebuild from ``args`` (name, rows, columns), as SymPy's traversals ask."""
        return lambda name, rows, _columns: Factored(str(name), rows)


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
    if isinstance(matrix, SymmetricSymbol | Identity | Symmetrised):
        return matrix
    if isinstance(matrix, Transpose):
        return matrix.arg
    if isinstance(matrix, Bracket | Whitened | MatrixSymbol):
        return Transpose(matrix)
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

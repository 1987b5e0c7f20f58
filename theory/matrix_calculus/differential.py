r"""Differentials of matrix functionals, and gradients read off them by the trace pairing.

The differential ``d`` is the linear map defined by a few rules (product rule, and
``d(A^{-1}) = -A^{-1} dA A^{-1}``, ``d ln|A| = tr[A^{-1} dA]``, ``d L(A) = L(dA)``). The gradient ``G`` of a
scalar F is then the one symmetric matrix with ``dF = tr[G dH]`` for every symmetric ``dH``.

Convention for symmetric matrices: G pairs with whole matrices, so the derivative by the one independent entry
``H_ij = H_ji`` is ``(2 - δ_ij) G_ij``. The Hessian–vector product is ``dG`` in the direction ``V``, and
``d²F = tr[V dG(V)]``.
"""

from __future__ import annotations

from typing import Any

from sympy import Add, Identity, Inverse, MatAdd, MatMul, MatPow, Mul, Rational, Trace, Transpose, ZeroMatrix

from theory.matrix_calculus.nodes import LinearMap, LogDet, SymmetricSymbol, split_factor, transposed


def differential(expression: Any, variable: Any, direction: Any) -> Any:
    """First-order change of a matrix or scalar expression when ``variable`` changes by ``direction``.

    Args:
        expression: matrices built of symbols, sums, products, transposes, inverses, powers and the nodes
            of ``theory.matrix_calculus.nodes``; scalars: sums of constants times ``Trace`` and ``LogDet``.
        variable: the matrix symbol that changes.
        direction: a matrix of the same shape.

    Raises:
        ValueError: a node for which no rule is known (never a silent zero).
    """
    if variable.shape != direction.shape:
        raise ValueError(f"direction: shape {direction.shape}; accepted: that of {variable}, {variable.shape}")
    if getattr(expression, "is_Matrix", False):
        return _matrix_differential(expression, variable, direction)
    return _scalar_differential(expression, variable, direction)


def gradient(functional: Any, variable: Any) -> Any:
    """The symmetric G with ``dF = tr[G dH]`` for every symmetric ``dH``; a symmetric ``variable``."""
    direction = SymmetricSymbol(f"d{variable.name}", variable.rows)
    total = ZeroMatrix(*variable.shape)
    for term in Add.make_args(_scalar_differential(functional, variable, direction)):
        factor, trace = _split_trace(term)
        if trace is not None:
            total += factor * _pair(trace.arg, Identity(trace.arg.rows), direction)
    half = Rational(1, 2)
    return MatAdd(half * total, half * transposed(total)).doit(deep=False)


def hessian_vector_product(functional: Any, variable: Any, direction: Any) -> Any:
    """``dG`` in a symmetric ``direction``: the Hessian of the functional applied to it."""
    return differential(gradient(functional, variable), variable, direction)


def _scalar_differential(expression: Any, variable: Any, direction: Any) -> Any:
    if not expression.has(variable):
        return expression * 0
    if isinstance(expression, Add):
        return Add(*(_scalar_differential(term, variable, direction) for term in expression.args))
    if isinstance(expression, Mul):
        changing = [factor for factor in expression.args if factor.has(variable)]
        constant = [factor for factor in expression.args if not factor.has(variable)]
        if len(changing) != 1:
            raise ValueError(f"functional: product {expression} of functionals; accepted: constants times traces")
        # distribute, so that the result stays a sum of constants times traces
        inner = _scalar_differential(changing[0], variable, direction)
        return Add(*(Mul(*constant, term) for term in Add.make_args(inner)))
    if isinstance(expression, Trace):
        return _trace(_matrix_differential(expression.arg, variable, direction))
    if isinstance(expression, LogDet):
        change = _matrix_differential(expression.argument, variable, direction)
        return _trace(Inverse(expression.argument) * change)
    raise ValueError(f"functional: no rule for {type(expression).__name__}; accepted: Trace, LogDet and their sums")


def _matrix_differential(expression: Any, variable: Any, direction: Any) -> Any:
    if expression == variable:
        return direction
    if not expression.has(variable):
        return ZeroMatrix(*expression.shape)
    if isinstance(expression, MatAdd):
        return MatAdd(*(_matrix_differential(term, variable, direction) for term in expression.args)).doit()
    if isinstance(expression, MatMul):
        return _product_rule(expression.args, expression.shape, variable, direction)
    if isinstance(expression, Transpose):
        return transposed(_matrix_differential(expression.arg, variable, direction))
    if isinstance(expression, Inverse):
        change = _matrix_differential(expression.arg, variable, direction)
        return _distribute(-1, [expression], change, [expression])
    if isinstance(expression, MatPow) and expression.exp.is_Integer:
        base = expression.base if expression.exp > 0 else Inverse(expression.base)
        return _product_rule([base] * abs(int(expression.exp)), expression.shape, variable, direction)
    if isinstance(expression, LinearMap):
        return expression.rebuild(_matrix_differential(expression.argument, variable, direction))
    raise ValueError(
        f"expression: no rule for {type(expression).__name__}; "
        "accepted: sums, products, transposes, inverses, integer powers, and the linear maps of this package"
    )


def _product_rule(factors: Any, shape: Any, variable: Any, direction: Any) -> Any:
    total = ZeroMatrix(*shape)
    for i, factor in enumerate(factors):
        if factor.has(variable):
            change = _matrix_differential(factor, variable, direction)
            total += _distribute(1, list(factors[:i]), change, list(factors[i + 1 :]))
    return total


def _distribute(sign: int, left: list[Any], middle: Any, right: list[Any]) -> Any:
    """``sign · left · middle · right``, the sum in the middle multiplied out, so that equal terms cancel."""
    terms = middle.args if isinstance(middle, MatAdd) else [middle]
    return MatAdd(*(MatMul(sign, *left, term, *right).doit(deep=False) for term in terms)).doit(deep=False)


def _trace(matrix: Any) -> Any:
    """The trace, as a sum of constants times traces of products."""
    terms = matrix.args if isinstance(matrix, MatAdd) else [matrix]
    parts = []
    for term in terms:
        factor, product = split_factor(term)
        if not product.is_ZeroMatrix:
            parts.append(factor * Trace(product))
    return Add(*parts)


def _split_trace(term: Any) -> tuple[Any, Any]:
    factors = Mul.make_args(term)
    traces = [factor for factor in factors if isinstance(factor, Trace)]
    return Mul(*(factor for factor in factors if not isinstance(factor, Trace))), (traces[0] if traces else None)


def _pair(expression: Any, cofactor: Any, direction: Any) -> Any:
    """G with ``tr[cofactor · expression] = tr[G · direction]``, for an expression linear in the direction."""
    if expression == direction:
        return cofactor
    if isinstance(expression, MatAdd):
        parts = (_pair(term, cofactor, direction) for term in expression.args)
        return MatAdd(*parts).doit(deep=False)
    if isinstance(expression, MatMul):
        factors = expression.args
        (i,) = (i for i, factor in enumerate(factors) if factor.has(direction))
        # tr[K A X B] = tr[B K A X]
        around = MatMul(*factors[i + 1 :], cofactor, *factors[:i]).doit(deep=False)
        return _pair(factors[i], around, direction)
    if isinstance(expression, Transpose):
        return _pair(expression.arg, transposed(cofactor), direction)
    if isinstance(expression, LinearMap):
        return _pair(expression.argument, expression.adjoint_map(cofactor), direction)
    raise ValueError(f"expression: {expression} is not linear in {direction}; accepted: a differential")

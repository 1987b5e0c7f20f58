r"""Products in the order in which they cost least, for symmetric sums of sandwiches ``X S Y`` of one late matrix S.

A sum of ``X_i S Y_i`` that is symmetric equals its own symmetric part, so that each term may be replaced by its
transpose. Terms are turned until few different X are left, ``½ Σ_X (X S (Σ Y) + transpose)``; where Y has few columns
in between, ``Y = q qᵀ``, the column ``S q`` is taken first. Products of early matrices that are their own transpose,
``ZZᵀ``, are formed from Z, and ``Xᵀ C⁻¹ Y`` from ``U X`` and ``U Y``, with U the inverse of C's Cholesky factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sympy import Identity, Inverse, MatAdd, MatMul, Rational, Transpose, ZeroMatrix

from theory.matrix_calculus.nodes import Bracket, LinearMap, Symmetrised, Whitened, split_factor, transposed


def arranged(expression: Any, late: Any) -> Any:
    """A symmetric matrix expression, its products ordered.

    Args:
        expression: a sum of products of early matrices, with at most one factor each that depends on `late`; where a
            linear map is such a factor, its argument is arranged too.
        late: the matrix symbol that comes last, symmetric.
    """
    terms = _merged([_term(part) for part in MatAdd.make_args(expression)], late)
    early = [factor * _early(factors) for factor, factors in terms if not _depends(factors, late)]
    sandwiches = [(factor, *_around(factors, late)) for factor, factors in terms if _depends(factors, late)]
    if not sandwiches:
        return MatAdd(*early).doit(deep=False) if early else ZeroMatrix(*expression.shape)
    whole = _sum_of(sandwiches, late)
    own = len(sandwiches) == 1 and sandwiches[0][2] == _transposed(sandwiches[0][3])
    return MatAdd(*early, whole if own else Symmetrised(whole)).doit(deep=False)


def _term(part: Any) -> tuple[Any, tuple[Any, ...]]:
    factor, product = split_factor(part)
    return factor, tuple(product.args) if isinstance(product, MatMul) else (product,)


def _depends(factors: Sequence[Any], late: Any) -> bool:
    return any(factor.has(late) for factor in factors)


def _merged(terms: list[tuple[Any, tuple[Any, ...]]], late: Any) -> list[tuple[Any, tuple[Any, ...]]]:
    """Terms ``X L(A_i) Y`` with the same X, L and Y as one, and A arranged."""
    rest: list[tuple[Any, tuple[Any, ...]]] = []
    maps: dict[Any, list[Any]] = {}
    for factor, factors in terms:
        place = next((i for i, part in enumerate(factors) if isinstance(part, LinearMap)), None)
        if place is None:
            rest.append((factor, factors))
            continue
        node = factors[place]
        key = (factors[:place], type(node), node.args[1:], factors[place + 1 :])
        maps.setdefault(key, []).extend(factor * part for part in MatAdd.make_args(node.argument))
    for (left, node_type, parameters, right), arguments in maps.items():
        rest.append(_term_of_map(left, node_type, parameters, right, arguments, late))
    return rest


def _term_of_map(left: Any, node: Any, parameters: Any, right: Any, arguments: list[Any], late: Any) -> Any:
    whole = MatAdd(*arguments).doit(deep=False)
    if len(arguments) == 1:  # a scalar in front stays there
        factor, argument = split_factor(whole)
        return factor, (*left, node(Bracket(arranged(argument, late)), *parameters), *right)
    return Rational(1), (*left, node(Bracket(arranged(whole, late)), *parameters), *right)


def _around(factors: tuple[Any, ...], late: Any) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """The factor that depends on `late`, and what stands before and after it."""
    (i,) = (i for i, part in enumerate(factors) if part.has(late))
    return factors[i], _whitened(factors[:i]), _whitened(factors[i + 1 :])


def _whitened(factors: Sequence[Any]) -> tuple[Any, ...]:
    """``X C⁻¹ Y`` as ``(U Xᵀ)ᵀ (U Y)`` where the inverse has a neighbour on both sides."""
    found = list(factors)
    for i in range(1, len(found) - 1):
        if isinstance(found[i], Inverse):
            left, right = found[i - 1], found[i + 1]
            found[i - 1] = Transpose(Whitened(found[i].arg, transposed(left)))
            found[i], found[i + 1] = None, Whitened(found[i].arg, right)
    return tuple(part for part in found if part is not None)


def _transposed(factors: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(transposed(part) for part in reversed(factors))


def _product(factors: Sequence[Any]) -> Any:
    return factors[0] if len(factors) == 1 else Bracket(MatMul(*factors))


def _early(factors: Sequence[Any]) -> Any:
    """The product of early factors, ``ZZᵀ`` from Z."""
    found = _whitened(factors)
    middle, odd = divmod(len(found), 2)
    if not odd and middle and found == _transposed(found):
        half = _product(found[:middle])
        return MatMul(half, transposed(half))
    return _product(found)


def _narrow(factors: Sequence[Any], wide: Sequence[Any]) -> int | None:
    """The middle of a product ``X … Y``, None where all columns in between are as many as in `wide`."""
    inner = [part.cols for part in factors[:-1]]
    if all(columns in wide for columns in inner):
        return None
    return len(inner) // 2


def _sum_of(sandwiches: list[tuple[Any, Any, tuple[Any, ...], tuple[Any, ...]]], late: Any) -> Any:
    """A sum whose symmetric part is that of the sandwiches."""
    found, wide = [], []
    for factor, core, left, right in sandwiches:
        sizes = (late.rows, core.rows)
        if _narrow(left, sizes) is not None and _narrow(right, sizes) is not None:
            found.append(factor * _column_first(core, left, right, sizes))
        else:
            wide.append((factor, core, left, right))
    for core, left, right in _grouped(wide):
        factor, right = split_factor(right)
        inside = core if isinstance(right, Identity) else Bracket(MatMul(core, right))
        found.append(factor * (MatMul(_product(left), inside) if left else inside))
    return MatAdd(*found).doit(deep=False)


def _grouped(sandwiches: list[tuple[Any, Any, tuple[Any, ...], tuple[Any, ...]]]) -> list[tuple[Any, Any, Any]]:
    """Core, X and ΣY with the same symmetric part, terms turned so that few X are left."""
    groups: dict[Any, dict[Any, list[Any]]] = {}
    for factor, core, left, right in sandwiches:
        turned = _transposed(right), _transposed(left)
        known = groups.setdefault(core, {})
        if (left != () and right == ()) or (left not in known and turned[0] in known):
            left, right = turned
        known.setdefault(left, []).append(factor * (_early(right) if right else Identity(core.rows)))
    return [
        (core, left, Bracket(MatAdd(*rights).doit(deep=False)) if len(rights) > 1 else rights[0])
        for core, known in groups.items()
        for left, rights in known.items()
    ]


def sandwich_terms(expression: Any, late: Any) -> list[tuple[Any, Any]]:
    """X and Y of a sum whose symmetric part is that of ``Σ X S Y``; no linear maps of S."""
    terms = [_term(part) for part in MatAdd.make_args(expression)]
    sandwiches = [(factor, *_around(factors, late)) for factor, factors in terms]
    size = expression.rows
    return [(_product(left) if left else Identity(size), right) for _, left, right in _grouped(sandwiches)]


def _column_first(core: Any, left: tuple[Any, ...], right: tuple[Any, ...], sizes: Sequence[Any]) -> Any:
    """``X S q qᵀ`` from ``S q``: the side of more factors, which the labels are in, is ``q qᵀ``."""
    if len(left) > len(right):
        left, right = _transposed(right), _transposed(left)
    middle = _narrow(right, sizes)
    assert middle is not None
    q, rest = right[: middle + 1], right[middle + 1 :]
    value = Bracket(MatMul(core, _product(q)))
    for part in reversed(left):
        value = Bracket(MatMul(part, value))
    after = transposed(_product(q)) if rest == _transposed(q) else _product(rest)
    return MatMul(value, after)

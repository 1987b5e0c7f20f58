"""Determinants, adjugates and inverses of symmetric matrices of symbols, by minors that are computed once.

Laplace's expansion by rows in the entries' polynomial ring: for matrices of independent symbols this beats
elimination, whose intermediate quotients are larger than the result.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sympy import Dummy, Expr, ImmutableMatrix, Integer, Matrix, Mul, Symbol
from sympy.polys.matrices import DomainMatrix


def _minor(matrix: Any, rows: tuple[int, ...], columns: tuple[int, ...]) -> Expr:
    """Determinant of a submatrix as an expanded polynomial in the entries."""
    entries = DomainMatrix.from_Matrix(matrix)
    ring, table = entries.domain, entries.to_dense().to_list()

    @cache
    def expand(depth: int, left: tuple[int, ...]) -> Any:
        if not left:
            return ring.one
        total = ring.zero
        for k, column in enumerate(left):
            total += (-1) ** k * table[rows[depth]][column] * expand(depth + 1, left[:k] + left[k + 1 :])
        return total

    return ring.to_sympy(expand(0, columns))


def _cofactor(matrix: Any, i: int, j: int) -> Expr:
    rows, columns = (tuple(k for k in range(matrix.shape[0]) if k != left_out) for left_out in (i, j))
    return (-1) ** (i + j) * _minor(matrix, rows, columns)


def adjugate(matrix: Any) -> Matrix:
    """Adjugate of a symmetric matrix, its entries expanded polynomials."""
    size = matrix.shape[0]
    upper = {(i, j): _cofactor(matrix, i, j) for i in range(size) for j in range(i, size)}
    return Matrix(size, size, lambda i, j: upper[min(i, j), max(i, j)])


def determinant(matrix: Any) -> Expr:
    """Determinant, each block of a matrix that falls into blocks expanded in its entries."""
    if not matrix.free_symbols:
        return matrix.det()
    found = []
    for block in connected_blocks(matrix):
        part, names = _named(matrix.extract(block, block))
        everything = tuple(range(len(block)))
        found.append(_minor(part, everything, everything).xreplace(names))
    return Mul(*found)


def inverse(matrix: Any) -> Matrix:
    """Inverse: the adjugate of each block over its determinant if the matrix is symmetric and has symbols."""
    if not (matrix.free_symbols and matrix.is_symmetric()):
        return matrix.inv()
    result = Matrix.zeros(*matrix.shape)
    for block in connected_blocks(matrix):
        part, names = _named(matrix.extract(block, block))
        everything = tuple(range(len(block)))
        whole = _minor(part, everything, everything).xreplace(names)
        cofactors = adjugate(part).xreplace(names)
        for i, row in enumerate(block):
            for j, column in enumerate(block):
                result[row, column] = cofactors[i, j] / whole
    return result


def connected_blocks(matrix: Any) -> list[list[int]]:
    """The rows of each block: those that entries other than 0 connect."""
    return [sorted(block) for block in matrix.connected_components()]


def _named(matrix: Any) -> tuple[ImmutableMatrix, dict[Any, Expr]]:
    """The matrix with a symbol for each entry that is a longer expression, and what the symbols stand for."""
    names: dict[Expr, Any] = {}
    for entry in matrix:
        if not (entry.is_Number or isinstance(entry, Symbol)):
            names.setdefault(entry, Dummy())
    put = ImmutableMatrix(*matrix.shape, lambda i, j: names.get(matrix[i, j], matrix[i, j]) + Integer(0))
    return put, {name: entry for entry, name in names.items()}

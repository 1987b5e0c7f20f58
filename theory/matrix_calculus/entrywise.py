r"""The free energy of one small task written out entry by entry, from the matrix expression (docs/theory.md section 3).

F is explicit. Its derivatives are written in entries of the matrices that it inverts,

``J = H⁻¹``, ``Q = D⁻¹``, ``E_c = K_c⁻¹``, ``K_c = v 𝒯_cH𝒯_cᵀ + κ``, ``R = Q AHAᵀ Q``, ``N_c = E_c Y_c E_c``,

with which ``∂F/∂H`` has few terms, and ``∂²F/∂H²`` too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sympy import ImmutableMatrix, Inverse, MatMul, Matrix, Rational, Symbol, eye, zeros

from theory.determinants import connected_blocks
from theory.matrix_calculus.explicit import Layout, evaluate
from theory.matrix_calculus.kernel_functional import (
    BIASES,
    SHARING,
    X_SHIFTED,
    H,
    LinearNetwork,
    dH,
    drive_covariance,
    free_energy_gradient,
    free_energy_hessian_vector_product,
    free_energy_terms,
    labels,
    propagator,
    skip_matrix,
)
from theory.matrix_calculus.nodes import SymmetricSymbol, transposed
from theory.symbols import P, joint_entry, kernel_entry, n, supervised_rows

_Q, _J, _R = (SymmetricSymbol(name, n * P) for name in "QJR")


@dataclass(frozen=True)
class ExactTask:
    """A network and what it is asked, exact.

    Attributes:
        network: M is its symbol.
        layout: sizes, and ``𝒯_c``; in place of patterns there may be input directions.
        sharing: M over times 1 … n, (n, n); its first row meets zeros.
        inputs: X⁻, ``(nP, nP)``.
        biases: B over the joint index, ``(nP, nP)``.
        labels: Y of each output.
    """

    network: LinearNetwork
    layout: Layout
    sharing: ImmutableMatrix
    inputs: ImmutableMatrix
    biases: ImmutableMatrix
    labels: tuple[ImmutableMatrix, ...]

    @cached_property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Time and pattern of each row of H, 1-based."""
        return tuple((t, p) for t in range(1, self.layout.n + 1) for p in range(1, self.layout.P + 1))

    def _symbols(self, name: str) -> Matrix:
        size = len(self.places)
        if self.layout.P == 1:
            return Matrix(size, size, lambda i, j: kernel_entry(i + 1, j + 1) if name == "H" else _entry(name, i, j))
        return Matrix(size, size, lambda i, j: joint_entry(name, self.places[i], self.places[j]))

    @cached_property
    def kernel(self) -> ImmutableMatrix:
        """H, a symbol for each independent entry."""
        return ImmutableMatrix(self._symbols("H"))

    @cached_property
    def variables(self) -> tuple[Symbol, ...]:
        """The independent entries of H, row by row; one off the diagonal stands for both of its places."""
        return tuple(self.kernel[i, j] for i, j in self._pairs)

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        size = len(self.places)
        return [(i, j) for i in range(size) for j in range(i, size)]

    @cached_property
    def _values(self) -> dict[Any, Any]:
        found = {H: self.kernel, X_SHIFTED: self.inputs, SHARING: self.sharing, BIASES: self.biases}
        return found | {labels(c): Y for c, Y in zip(self.network.indices, self.labels, strict=True)}

    def _written(self, expression: Any, values: Mapping[Any, Any] | None = None) -> Any:
        return evaluate(expression, self._values | dict(values or {}), self.layout)

    def terms(self) -> dict[str, Any]:
        """Energy, ``½ tr[HC⁻¹] - m/2`` for m rows, and log-determinant, whose sum is F."""
        found = {name: self._written(term) for name, term in free_energy_terms(self.network).items()}
        return found | {"trace": found["trace"] - Rational(len(self.places), 2)}

    # --- derivatives, in entries of named matrices ---------------------------------------------------------------

    @cached_property
    def definitions(self) -> dict[str, ImmutableMatrix]:
        """D, K of each output, and A where there is a skip connection."""
        found = {"D": drive_covariance(self.network)}
        found |= {_name("K", c): propagator(c).arg for c in self.network.indices}
        if self.network.skip != 0:
            found["A"] = skip_matrix(self.network)
        return {name: ImmutableMatrix(self._written(value)) for name, value in found.items()}

    @cached_property
    def _folding(self) -> list[tuple[tuple[Any, ...], Any]]:
        """Sequences of factors, and the symbols that stand for their product."""
        A, Q = skip_matrix(self.network), Inverse(drive_covariance(self.network))
        driven = (H,) if self.network.skip == 0 else (A, H, transposed(A))
        found: list[tuple[tuple[Any, ...], Any]] = [((Q, *driven, Q), _R), ((Q,), _Q), ((Inverse(H),), _J)]
        for c in self.network.indices:
            E, rows = propagator(c), supervised_rows(c)
            found += [((E, labels(c), E), SymmetricSymbol(_name("N", c), rows))]
            found += [((E,), SymmetricSymbol(_name("E", c), rows))]
        return found

    @cached_property
    def _named(self) -> dict[Any, Any]:
        """Explicit values of the named matrices: symbols where the matrix is not zero."""
        pattern = self.definitions["D"]
        found: dict[Any, Any] = {_J: self._symbols("J")}
        for symbol in (_Q, _R):
            found[symbol] = self._symbols(str(symbol.name))
        found[_Q] = _within_blocks(found[_Q], pattern)
        for c in self.network.indices:
            K = self.definitions[_name("K", c)]
            for letter in ("E", "N"):
                name = _name(letter, c)
                entries = Matrix(K.rows, K.rows, lambda i, j, name=name: _entry(name, i, j))
                inside = _within_blocks(entries, K) if letter == "E" else entries
                found[SymmetricSymbol(name, supervised_rows(c))] = inside
        return found

    def stationarity(self) -> dict[Symbol, Any]:
        """``∂F/∂H^{tt'}`` by each independent entry, zero at a saddle point."""
        G = self._written(_folded(free_energy_gradient(self.network), self._folding), self._named)
        return {self.kernel[i, j]: (2 - (i == j)) * G[i, j] for i, j in self._pairs}

    def hessian(self) -> dict[tuple[Symbol, Symbol], Any]:
        """``∂²F/∂H^{ab}∂H^{cd}`` by pairs of independent entries."""
        product = _folded(free_energy_hessian_vector_product(self.network), self._folding)
        size, found = len(self.places), {}
        for k, (i, j) in enumerate(self._pairs):
            unit = zeros(size, size)
            unit[i, j] = unit[j, i] = 1
            change = self._written(product, self._named | {dH: unit})
            for a, b in self._pairs[k:]:
                found[self.kernel[i, j], self.kernel[a, b]] = (2 - (a == b)) * change[a, b]
        return found


def time_matrix(M: Any) -> ImmutableMatrix:
    """The sharing matrix (n-1, n-1) over times 1 … n."""
    whole = eye(M.rows + 1)
    whole[1:, 1:] = M
    return ImmutableMatrix(whole)


def _name(letter: str, output: int) -> str:
    return f"{letter}_{output}" if output else letter


def _entry(name: str, i: int, j: int) -> Symbol:
    a, b = sorted((i + 1, j + 1))
    return Symbol(f"{name}_{a}{b}" if b < 10 else f"{name}_{a}_{b}", real=True)


def _within_blocks(entries: Matrix, pattern: ImmutableMatrix) -> Matrix:
    """The entries of an inverse that are not zero, blocks of one row in full."""
    result = zeros(*entries.shape)
    for rows in connected_blocks(pattern):
        for i in rows:
            for j in rows:
                result[i, j] = 1 / pattern[i, i] if len(rows) == 1 else entries[i, j]
    return result


def _folded(expression: Any, folding: Sequence[tuple[tuple[Any, ...], Any]]) -> Any:
    """The expression with symbols for sequences of factors, longer sequences first."""
    for sequence, symbol in folding:
        if (expression,) == sequence:
            return symbol
    if not expression.args:
        return expression
    if not isinstance(expression, MatMul):
        return expression.func(*(_folded(part, folding) if part.is_Matrix else part for part in expression.args))
    factors, done = list(expression.args), []
    while factors:
        for sequence, symbol in folding:
            if tuple(factors[: len(sequence)]) == sequence:
                done.append(symbol)
                del factors[: len(sequence)]
                break
        else:
            done.append(_folded(factors.pop(0), folding))
    return MatMul(*done)

"""The expansion for one pattern, or noncommuting patterns, with symbolic labels, widths and κ.

See docs/theory.md section 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sympy import Add, Expr, ImmutableMatrix, Matrix, Symbol

from theory.perturbation.paths import Path, paths
from theory.perturbation.series import TimeMatrix, polynomials, series, validated
from theory.symbols import kappa, label, label_propagator, u, v, w


@dataclass(frozen=True)
class Perturbation:
    """The kernel ``H = H_0 + Δ_1 + Δ_2 + …`` for input at t = 0 with ``x·x/D = 1``.

    Attributes:
        T, arch, supervised: the task; supervised are hidden times (1-based).
        kernel: for each order a table (t, t'), t ≤ t' to Δ_k^{tt'}; what is absent is zero.
        propagators: what the symbols ``E_t`` in the entries stand for.
    """

    T: int
    arch: str
    supervised: tuple[int, ...]
    kernel: tuple[Mapping[tuple[int, int], Expr], ...]
    propagators: Mapping[Symbol, Expr]
    _message: tuple[TimeMatrix, ...]

    @property
    def order(self) -> int:
        """The last power of Y."""
        return len(self.kernel) - 1

    @cached_property
    def message(self) -> tuple[Mapping[tuple[int, int], Expr], ...]:
        """For each order the table of Λ, twice the conjugate kernel."""
        return tuple(_upper(matrix) for matrix in self._message)

    def explicit(self, order: int) -> ImmutableMatrix:
        """Δ_order as an n × n matrix in ``y^t``, u, v, w, κ, the propagators written out."""
        return _explicit(self.kernel[order], self.T - 1, self.propagators)

    def explicit_message(self, order: int) -> ImmutableMatrix:
        """Λ of this order as an n × n matrix, the propagators written out."""
        return _explicit(self.message[order], self.T - 1, self.propagators)

    def paths(self, order: int) -> Mapping[tuple[int, int], tuple[Path, ...]]:
        """The paths of this order, for each entry (t, t'), t ≤ t'."""
        return paths(self.T, self.arch, order, self.supervised)


def perturbation(T: int, arch: str = "rnn", order: int = 2, *, supervised: Iterable[int] | None = None) -> Perturbation:
    """The expansion for one pattern with symbolic labels ``y^t``, widths and κ.

    Orthonormal patterns whose labels commute reduce to it. Entries are polynomials in ``y^t``, u, v, w and
    the propagators ``E_t = 1/(v u w^{t-1} + κ)``.

    Args:
        T: index of the last output, n = T - 1 hidden times.
        arch: ``"rnn"`` or ``"dnn"``.
        order: the last power of Y, 0 or more.
        supervised: hidden times whose output carries a label; by default all.

    Raises:
        ValueError: an argument outside its range.
    """
    times = validated(T, arch, order, supervised)
    generators, prior, propagator = polynomials(T - 1, times)
    labels = {(a, b): generators[label(a)] * generators[label(b)] for a in times for b in times}
    orders = series(prior, propagator, labels, arch, order, n=T - 1, v=generators[v], w=generators[w])
    return Perturbation(
        T,
        arch,
        times,
        tuple(_upper(matrix) for matrix in orders.kernel),
        _propagators(times),
        orders.message,
    )


def _upper(matrix: TimeMatrix) -> dict[tuple[int, int], Expr]:
    return {key: a.as_expr() for key, a in sorted(matrix.items()) if key[0] <= key[1] and a != 0}


def _propagators(supervised: Sequence[int]) -> dict[Symbol, Expr]:
    return {label_propagator(t): 1 / (v * u * w ** (t - 1) + kappa) for t in supervised}


def _explicit(entries: Mapping[tuple[int, int], Expr], n: int, values: Mapping[Symbol, Expr]) -> ImmutableMatrix:
    result = Matrix.zeros(n, n)
    for (t, s), entry in entries.items():
        result[t - 1, s - 1] = result[s - 1, t - 1] = entry.subs(values)
    return ImmutableMatrix(result)


def block_perturbation(
    T: int, arch: str = "rnn", order: int = 2, *, supervised: Iterable[int] | None = None
) -> tuple[Mapping[tuple[int, int], Expr], ...]:
    """The expansion for P patterns and input at t = 0, as noncommuting P × P matrices.

    ``X`` is the pattern kernel of the input, ``Y_ts = y^t (y^s)ᵀ``, ``E_t = (v u w^{t-1} X + κ)^{-1}``; all
    patterns of a supervised time carry a label. Returns for each order (t, t') to the block of Δ_k; absent
    blocks are zero.
    """
    times = validated(T, arch, order, supervised)
    X = Symbol("X", commutative=False)
    prior = {(t, t): u * w ** (t - 1) * X for t in range(1, T)}
    propagator = {(t, t): Symbol(f"E_{t}", commutative=False) for t in times}
    between = "" if T <= 10 else "_"
    labels = {(a, b): Symbol(f"Y_{a}{between}{b}", commutative=False) for a in times for b in times}
    orders = series(prior, propagator, labels, arch, order, n=T - 1, v=v, w=w)
    return tuple(
        {key: Add(*Add.make_args(a.expand())) for key, a in sorted(matrix.items()) if a != 0}
        for matrix in orders.kernel
    )

"""The expansion for one pattern, or noncommuting patterns, with symbolic labels, widths and κ.

See docs/theory.md section 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from sympy import Add, Expr, ImmutableMatrix, Matrix, Symbol

from theory.perturbation.algebra import Architecture, one_pattern, sharing_matrix
from theory.perturbation.paths import Path, paths
from theory.perturbation.series import TimeMatrix, series, validated, weight_steps
from theory.sharing import prior_variances
from theory.symbols import kappa, label, label_propagator, v, w


@dataclass(frozen=True)
class Perturbation:
    """The kernel ``H = H_0 + Δ_1 + Δ_2 + …`` for input at t = 0 with ``x·x/D = 1``.

    Attributes:
        T, arch, supervised: the network and its task; supervised are hidden times (1-based).
        kernel: for each order a table (t, t'), t ≤ t' to Δ_k^{tt'}; what is absent is zero.
        propagators: what the symbols ``E_t`` in the entries stand for.
    """

    T: int
    arch: Architecture
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


def perturbation(
    T: int, arch: Architecture = "rnn", order: int = 2, *, supervised: Iterable[int] | None = None
) -> Perturbation:
    """The expansion for one pattern with symbolic labels ``y^t``, widths and κ.

    Orthonormal patterns whose labels commute reduce to it. Entries are polynomials in ``y^t``, u, v, w, the symbols of
    the sharing matrix and the propagators ``E_t = 1/(v h_t + κ)``, ``h_t = u w^{t-1}`` where M has unit diagonal.

    Args:
        T: index of the last output, n = T - 1 hidden times.
        arch: ``rnn``, ``dnn``, ``shared:ρ``, ``drift:ρ`` (ρ rational, or ``rho``), ``looped:p``, or a sharing matrix.
        order: the last power of Y, 0 or more.
        supervised: hidden times whose output carries a label; by default all.

    Raises:
        ValueError: an argument outside its range.
    """
    times = validated(T, order, supervised)
    M = sharing_matrix(arch, T - 1)
    ring = one_pattern(M, times)
    y = {t: ring.generators[label(t)] for t in times}
    labels = {(a, b): y[a] * y[b] for a in times for b in times}
    orders = series(ring.prior, ring.propagator, labels, ring.steps, order, v=ring.generators[v])
    return Perturbation(
        T,
        arch,
        times,
        tuple(_upper(matrix) for matrix in orders.kernel),
        {label_propagator(t): 1 / (v * prior_variances(M)[t - 1] + kappa) for t in times},
        orders.message,
    )


def _upper(matrix: TimeMatrix) -> dict[tuple[int, int], Expr]:
    return {key: a.as_expr() for key, a in sorted(matrix.items()) if key[0] <= key[1] and a != 0}


def _explicit(entries: Mapping[tuple[int, int], Expr], n: int, values: Mapping[Symbol, Expr]) -> ImmutableMatrix:
    result = Matrix.zeros(n, n)
    for (t, s), entry in entries.items():
        result[t - 1, s - 1] = result[s - 1, t - 1] = entry.subs(values)
    return ImmutableMatrix(result)


def block_perturbation(
    T: int, arch: Architecture = "rnn", order: int = 2, *, supervised: Iterable[int] | None = None
) -> tuple[Mapping[tuple[int, int], Expr], ...]:
    """The expansion for P patterns and input at t = 0, as noncommuting P × P matrices.

    ``X`` is the pattern kernel of the input, ``Y_ts = y^t (y^s)ᵀ``, ``E_t = (v h_t X + κ)^{-1}``; all
    patterns of a supervised time carry a label. Returns for each order (t, t') to the block of Δ_k; absent
    blocks are zero.
    """
    times = validated(T, order, supervised)
    M = sharing_matrix(arch, T - 1)
    X = Symbol("X", commutative=False)
    prior = {(t, t): h * X for t, h in enumerate(prior_variances(M), 1)}
    propagator = {(t, t): Symbol(f"E_{t}", commutative=False) for t in times}
    between = "" if T <= 10 else "_"
    labels = {(a, b): Symbol(f"Y_{a}{between}{b}", commutative=False) for a in times for b in times}
    orders = series(prior, propagator, labels, weight_steps(M, w), order, v=v)
    return tuple(
        {key: Add(*Add.make_args(a.expand())) for key, a in sorted(matrix.items()) if a != 0}
        for matrix in orders.kernel
    )

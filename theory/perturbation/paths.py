"""The time paths that contribute to each kernel entry, in every order, and those that a sharing matrix cuts or weakens.

See docs/theory.md section 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sympy import Expr, Mul, S
from sympy.polys.domains import QQ
from sympy.polys.rings import ring

from theory.perturbation.algebra import Architecture, one_pattern, sharing_matrix
from theory.perturbation.series import TimeMatrix, series, validated
from theory.symbols import label, u, v


@dataclass(frozen=True)
class Path:
    """One path that contributes to a kernel entry: messages of label pairs, linked by the prior kernel.

    Attributes:
        entry: (t, t') of the kernel.
        labels: pairs (a, b) of supervised times, in order from t to t': the message of each is ``y^a y^b``.
        links: times at which neighbouring messages meet; one fewer than labels.
        weight: coefficient of the product of all labels, in u, v, w and the propagators ``E_t``.
    """

    entry: tuple[int, int]
    labels: tuple[tuple[int, int], ...]
    links: tuple[int, ...]
    weight: Expr

    @property
    def times(self) -> tuple[int, ...]:
        """``t ← links ← t'``."""
        return (self.entry[0], *self.links, self.entry[1])

    @property
    def shifts(self) -> tuple[int, ...]:
        """How far the pair of times was moved along the diagonal from each meeting to the entry.

        The labels alone take the path from t through ``t - (a1 - b1)``, …; a meeting later than that was carried
        back, one earlier was carried forward.
        """
        here, moved = self.entry[0], []
        for (a, b), link in zip(self.labels, self.links, strict=False):
            here -= a - b
            moved.append(link - here)
        return tuple(moved)

    @property
    def contribution(self) -> Expr:
        """Weight times the labels."""
        return self.weight * Mul(*(label(a) * label(b) for a, b in self.labels))

    def __str__(self) -> str:
        pairs = " ".join(f"y{a}·y{b}" for a, b in self.labels)
        return f"{' ← '.join(map(str, self.times))}  [{pairs}]"


@dataclass(frozen=True)
class _PathSum:
    """A formal sum of paths: (label pairs, links) to a weight."""

    terms: Mapping[tuple[tuple[tuple[int, int], ...], tuple[int, ...]], Any]

    def __add__(self, other: _PathSum) -> _PathSum:
        total = dict(self.terms)
        for key, weight in other.terms.items():
            total[key] = total[key] + weight if key in total else weight
        return _PathSum(total)

    def __rmul__(self, factor: Any) -> _PathSum:
        return _PathSum({key: factor * weight for key, weight in self.terms.items()})


def _join(left: _PathSum, right: _PathSum, time: int) -> _PathSum:
    """Paths one after the other; a link is where two messages meet, not where one meets the prior kernel."""
    total = _PathSum({})
    for (labels, links), weight in left.terms.items():
        for (more, others), factor in right.terms.items():
            meeting = (time,) if labels and more else ()
            total += _PathSum({(labels + more, links + meeting + others): weight * factor})
    return total


@cache
def paths(
    T: int, arch: Architecture, order: int, supervised: tuple[int, ...] | None = None
) -> Mapping[tuple[int, int], tuple[Path, ...]]:
    """Every path of this order in Y, for each kernel entry (t, t') with t ≤ t'.

    A path ``t3 ← t2 ← t1`` (order 2) is a product of two messages, of the label pairs (a, b) and (c, d), which
    meet at t2. Ways along a diagonal of the kernel (both times moved together, from (s, t) with the factor ``w M_st``)
    are summed in its weight. The contributions of an entry's paths add up to its entry in ``perturbation``.
    """
    times = validated(T, order, supervised)
    algebra = one_pattern(sharing_matrix(arch, T - 1), times)

    def plain(matrix: TimeMatrix) -> TimeMatrix:
        return {key: _PathSum({((), ()): element}) for key, element in matrix.items()}

    one = algebra.generators[u] ** 0
    labels = {(a, b): _PathSum({(((a, b),), ()): one}) for a in times for b in times}
    orders = series(
        plain(algebra.prior),
        plain(algebra.propagator),
        labels,
        algebra.steps,
        order,
        v=algebra.generators[v],
        product=_join,
    )
    return {
        entry: tuple(
            Path(entry, pairs, links, weight.as_expr())
            for (pairs, links), weight in sorted(total.terms.items())
            if weight != 0  # ways of opposite M may cancel
        )
        for entry, total in sorted(orders.kernel[order].items())
        if entry[0] <= entry[1]
    }


def cut_paths(
    T: int, order: int, supervised: tuple[int, ...] | None = None, arch: Architecture = "dnn"
) -> Mapping[tuple[int, int], tuple[Path, ...]]:
    """The RNN's paths of this order that another sharing removes, for each kernel entry."""
    shares = path_shares(T, arch, order, supervised)
    cut = {entry: tuple(path for path, share in found.items() if share == 0) for entry, found in shares.items()}
    return {entry: removed for entry, removed in cut.items() if removed}


def path_shares(
    T: int, arch: Architecture, order: int, supervised: tuple[int, ...] | None = None
) -> Mapping[tuple[int, int], Mapping[Path, Expr]]:
    """What this sharing leaves of each of the RNN's paths, by kernel entry: its weight over the RNN's.

    1 where nothing is lost, 0 where the path is cut. A path that can be taken in one way only keeps the product of
    the ``M_st`` along its steps, else a mean of the ways', each with its weight; the ``E_t`` are those of the sharing.
    """
    kept = paths(T, arch, order, supervised)
    result = {}
    for entry, whole in paths(T, "rnn", order, supervised).items():
        weights = {(path.labels, path.links): path.weight for path in kept.get(entry, ())}
        result[entry] = {path: _share(weights.get((path.labels, path.links), S.Zero), path.weight) for path in whole}
    return result


def _share(weight: Expr, whole: Expr) -> Expr:
    if weight in (0, whole):
        return S.One if weight == whole else S.Zero
    polynomial = ring(sorted(weight.free_symbols | whole.free_symbols, key=str), QQ)[0].from_expr
    above, below = polynomial(weight).cancel(polynomial(whole))
    return above.as_expr() / below.as_expr()

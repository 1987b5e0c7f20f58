r"""The kernel's expansion in the labels around the random-weight kernel, to any order (docs/theory.md section 7).

The covariance of a trajectory is affine in the kernel, ``C = 𝒮H + C_0``. One pass of the weights takes a pair of
times (s, t) to (s+1, t+1) with the factor ``w M_st``, M the sharing matrix: ``(𝒮H)^{s+1,t+1} = w M_st H^{st}``. With a
skip connection a it goes on to later pairs, ``a^{i+j}`` for i and j steps: ``𝒮H = A^{-1}(w M∘SHSᵀ)A^{-T}``.
Stationarity of the linear kernel free energy reads ``H^{-1} = C^{-1} - Λ`` with the message ``Λ = Q + 𝒮*B``,
``B = C^{-1}HC^{-1} - C^{-1}``, ``Q = v 𝒯ᵀEYE𝒯``, ``E = (v𝒯H𝒯ᵀ + κ)^{-1}`` and 𝒮* the adjoint: a message goes back
along each step with the same factor. Eliminating the inverses,

``H = C + C B C``, ``B = Λ + Λ H Λ``.

Counting powers of Y, order by order and without inverting any kernel but the m × m one of the labels:

- ``Q_k = v Σ_{i+j=k-1} E_i Y E_j``, ``E_i = -v Σ_{j≥1} E_0 H_j E_{i-j}``: known from lower orders;
- ``Λ_k = Q_k + 𝒮*(Λ_k + (ΛHΛ)_k)``: solved from the last time back, messages travelling backward;
- ``H_k = 𝒮H_k + Σ_{b≥1} C_a B_b C_c``: solved from the first time on.

A path is weakened by the product of the M along its steps, and cut where one is 0. The expansion starts at
``H_0 = 𝒮H_0 + C_0``, where ``Λ_0 = B_0 = 0``. It stays exact where ``H_0`` is singular (inputs of deficient rank).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product as pairs_of
from typing import Any

from sympy import ImmutableMatrix

TimePair = tuple[int, int]
#: A matrix over hidden times (1-based): (t, t') to an element of some algebra; what is absent is zero.
TimeMatrix = Mapping[TimePair, Any]
#: Where a linear map takes each pair of times, and with which factors; what is absent it takes to zero.
Steps = Mapping[TimePair, TimeMatrix]
Product = Callable[[Any, Any, int], Any]


@dataclass(frozen=True)
class Series:
    """Orders 0 … k in Y of the kernel H, the message Λ and the label propagator E, as time matrices."""

    kernel: tuple[TimeMatrix, ...]
    message: tuple[TimeMatrix, ...]
    propagator: tuple[TimeMatrix, ...]


def series(
    prior: TimeMatrix,
    propagator: TimeMatrix,
    labels: TimeMatrix,
    steps: Steps,
    order: int,
    *,
    v: Any,
    product: Product = lambda a, b, _: operator.mul(a, b),
) -> Series:
    """The recursion above in any algebra: numbers, polynomials, noncommuting symbols, matrices over patterns.

    Args:
        prior: ``H_0``.
        propagator: ``𝒯ᵀ(v𝒯H_0𝒯ᵀ + κ)^{-1}𝒯``, zero off the supervised pairs.
        labels: ``𝒯ᵀY𝒯``.
        steps: 𝒮, made by ``weight_steps``; its factors may multiply the algebra's elements from the left.
        order: the last power of Y.
        v: prior width of the read-out, which may do so too.
        product: of two elements that meet at the time given third.
    """

    def times(*factors: TimeMatrix) -> TimeMatrix:
        result = factors[0]
        for factor in factors[1:]:
            result = _multiply(result, factor, product)
        return result

    back = _adjoint(steps)

    def forward(matrix: TimeMatrix) -> TimeMatrix:
        return carried(matrix, steps)

    def backward(matrix: TimeMatrix) -> TimeMatrix:
        return carried(matrix, back)

    H: list[TimeMatrix] = [prior]
    C: list[TimeMatrix] = [prior]
    E: list[TimeMatrix] = [propagator]
    message: list[TimeMatrix] = [{}]
    B: list[TimeMatrix] = [{}]
    for k in range(1, order + 1):
        if k > 1:
            feedback = _sum(times(propagator, H[j], E[k - 1 - j]) for j in range(1, k))
            E.append({key: -v * a for key, a in feedback.items()})
        from_labels = {key: v * a for key, a in _sum(times(E[i], labels, E[k - 1 - i]) for i in range(k)).items()}
        linked = _sum(times(message[a], H[k - a - c], message[c]) for a in range(1, k) for c in range(1, k - a + 1))
        arriving = geometric(backward(_sum([from_labels, linked])), backward)
        message.append(_sum([from_labels, arriving]))
        B.append(_sum([message[k], linked]))
        sources = _sum(times(C[a], B[b], C[k - a - b]) for b in range(1, k + 1) for a in range(k - b + 1))
        H.append(geometric(sources, forward))
        C.append(forward(H[k]))
    return Series(tuple(H), tuple(message), tuple(E))


def _sum(matrices: Iterable[TimeMatrix]) -> TimeMatrix:
    total: dict[tuple[int, int], Any] = {}
    for matrix in matrices:
        for key, element in matrix.items():
            total[key] = total[key] + element if key in total else element
    return total


def _multiply(left: TimeMatrix, right: TimeMatrix, product: Product) -> TimeMatrix:
    rows: dict[int, list[tuple[int, Any]]] = {}
    for (s, t), element in right.items():
        rows.setdefault(s, []).append((t, element))
    total: dict[tuple[int, int], Any] = {}
    for (t, s), element in left.items():
        for end, other in rows.get(s, []):
            term = product(element, other, s)
            total[t, end] = total[t, end] + term if (t, end) in total else term
    return total


def weight_steps(
    M: ImmutableMatrix, w: Any, skip: Any = 0, element: Callable[[Any], Any] = lambda entry: entry
) -> Steps:
    """𝒮 for the sharing matrix M, ``(n-1) × (n-1)``: where it is 0 there is no step.

    ``element`` makes a factor of an entry of M.
    """
    n = M.rows + 1
    return {
        (s, t): skipped((s + 1, t + 1), n, w * element(M[s - 1, t - 1]), skip)
        for s, t in pairs_of(range(1, n), repeat=2)
        if M[s - 1, t - 1] != 0
    }


def skipped(pair: TimePair, n: int, factor: Any, skip: Any) -> TimeMatrix:
    """What ``A^{-1} · A^{-T}`` makes of one entry: ``a^{i+j}`` times the factor, i and j times later."""
    s, t = pair
    if not skip:
        return {pair: factor}
    return {(s + i, t + j): factor * skip ** (i + j) for i in range(n + 1 - s) for j in range(n + 1 - t)}


def carried(matrix: TimeMatrix, steps: Steps) -> TimeMatrix:
    """The image of a matrix."""
    return _sum(
        {there: factor * element} for here, element in matrix.items() for there, factor in steps.get(here, {}).items()
    )


def _adjoint(steps: Steps) -> Steps:
    found: dict[TimePair, dict[TimePair, Any]] = {}
    for here, reached in steps.items():
        for there, factor in reached.items():
            found.setdefault(there, {})[here] = factor
    return found


def geometric(first: TimeMatrix, step: Callable[[TimeMatrix], TimeMatrix]) -> TimeMatrix:
    """``Σ_l step^l(first)``; the step leaves the time range after n times."""
    total, term = first, step(first)
    while term:
        total, term = _sum([total, term]), step(term)
    return total


def validated(T: int, order: int, supervised: Iterable[int] | None) -> tuple[int, ...]:
    """The supervised times in order, or a ValueError that names the argument."""
    if isinstance(T, bool) or not isinstance(T, int) or T < 2:
        raise ValueError(f"T: is {T}; accepted: an integer ≥ 2")
    if isinstance(order, bool) or not isinstance(order, int) or order < 0:
        raise ValueError(f"order: is {order}; accepted: an integer ≥ 0")
    times = tuple(sorted(set(range(1, T) if supervised is None else supervised)))
    if not times or not all(isinstance(t, int) and 1 <= t < T for t in times):
        raise ValueError(f"supervised: is {times}; accepted: hidden times from 1 to {T - 1}")
    return times

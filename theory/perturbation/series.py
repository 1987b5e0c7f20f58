r"""The kernel's expansion in the labels around the random-weight kernel, to any order (docs/theory.md section 7).

Stationarity of the linear kernel free energy reads ``H^{-1} = C^{-1} - Λ`` with the message
``Λ = M + w S*[B]``, ``B = C^{-1}HC^{-1} - C^{-1}``, ``M = v 𝒯ᵀEYE𝒯``, ``E = (v𝒯H𝒯ᵀ + κ)^{-1}``,
``C = w[SHSᵀ] + uX⁻``, where S moves one time forward and S* is its adjoint. Eliminating the inverses,

``H = C + C B C``, ``B = Λ + Λ H Λ``.

Counting powers of Y, order by order and without inverting any kernel but the m × m one of the labels:

- ``M_k = v Σ_{i+j=k-1} E_i Y E_j``, ``E_i = -v Σ_{j≥1} E_0 H_j E_{i-j}``: known from lower orders;
- ``Λ_k = M_k + w S*[Λ_k + (ΛHΛ)_k]``: solved from the last time back, messages travelling backward;
- ``H_k = w[S H_k Sᵀ] + Σ_{b≥1} C_a B_b C_c``: solved from the first time on.

The expansion starts at ``H_0 = w[S H_0 Sᵀ] + uX⁻``, where ``Λ_0 = B_0 = 0``. It stays exact where ``H_0`` is
singular (inputs of deficient rank).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Symbol
from sympy.polys.domains import QQ
from sympy.polys.rings import ring

from theory.symbols import label, label_propagator, u, v, w

#: A matrix over hidden times (1-based): (t, t') to an element of some algebra; what is absent is zero.
TimeMatrix = Mapping[tuple[int, int], Any]
Product = Callable[[Any, Any, int], Any]

ARCHITECTURES = ("rnn", "dnn")


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
    arch: str,
    order: int,
    *,
    n: int,
    v: Any,
    w: Any,
    product: Product = lambda a, b, _: operator.mul(a, b),
) -> Series:
    """The recursion above in any algebra: numbers, polynomials, noncommuting symbols, matrices over patterns.

    Args:
        prior: ``H_0``.
        propagator: ``𝒯ᵀ(v𝒯H_0𝒯ᵀ + κ)^{-1}𝒯``, zero off the supervised pairs.
        labels: ``𝒯ᵀY𝒯``.
        arch: ``"rnn"`` or ``"dnn"``.
        order: the last power of Y.
        n: number of hidden times.
        v, w: prior widths, elements that may multiply those of the algebra from the left.
        product: of two elements that meet at the time given third.
    """

    def times(*factors: TimeMatrix) -> TimeMatrix:
        result = factors[0]
        for factor in factors[1:]:
            result = _multiply(result, factor, product)
        return result

    def forward(matrix: TimeMatrix) -> TimeMatrix:
        return {(t + 1, s + 1): w * a for (t, s), a in masked(matrix, arch).items() if max(t, s) < n}

    def backward(matrix: TimeMatrix) -> TimeMatrix:
        return {(t - 1, s - 1): w * a for (t, s), a in masked(matrix, arch).items() if min(t, s) > 1}

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


def masked(matrix: TimeMatrix, arch: str) -> TimeMatrix:
    """``[A]``: all of it for the RNN, equal times for the DNN."""
    return matrix if arch == "rnn" else {(t, s): a for (t, s), a in matrix.items() if t == s}


def geometric(first: TimeMatrix, step: Callable[[TimeMatrix], TimeMatrix]) -> TimeMatrix:
    """``Σ_l step^l(first)``; the step leaves the time range after n times."""
    total, term = first, step(first)
    while term:
        total, term = _sum([total, term]), step(term)
    return total


def validated(T: int, arch: str, order: int, supervised: Iterable[int] | None) -> tuple[int, ...]:
    """The supervised times in order, or a ValueError that names the argument."""
    if isinstance(T, bool) or not isinstance(T, int) or T < 2:
        raise ValueError(f"T: is {T}; accepted: an integer ≥ 2")
    if arch not in ARCHITECTURES:
        raise ValueError(f"arch: is {arch!r}; accepted: rnn or dnn")
    if isinstance(order, bool) or not isinstance(order, int) or order < 0:
        raise ValueError(f"order: is {order}; accepted: an integer ≥ 0")
    times = tuple(sorted(set(range(1, T) if supervised is None else supervised)))
    if not times or not all(isinstance(t, int) and 1 <= t < T for t in times):
        raise ValueError(f"supervised: is {times}; accepted: hidden times from 1 to {T - 1}")
    return times


def polynomials(n: int, supervised: Sequence[int]) -> tuple[dict[Symbol, Any], TimeMatrix, TimeMatrix]:
    """Polynomials over the rationals, with the prior kernel and the label propagator among them."""
    symbols = [u, v, w, *(label_propagator(t) for t in supervised), *(label(t) for t in supervised)]
    elements = ring(symbols, QQ)[1:]
    generators = dict(zip(symbols, elements, strict=True))
    prior = {(t, t): generators[u] * generators[w] ** (t - 1) for t in range(1, n + 1)}
    return generators, prior, {(t, t): generators[label_propagator(t)] for t in supervised}

"""F of one pattern from its matrices, and its stationary points by differences in mpmath: no code of theory/."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from mpmath import mp


def free_energy(
    entries: Sequence[Any], correlation: Any, lam: Any, noise: Any, *, units: Sequence[Any] = (1, 1, 1)
) -> Any:
    """F at shared:correlation, endpoint supervision: RNN at 1, DNN at 0.

    Args:
        entries: the independent ones row by row, ``H11, H12, …, H1n, H22, …, Hnn``.
        correlation: of W^(s) and W^(t), s ≠ t.
        lam, noise: λ and κ.
        units: u, v and w.
    """
    n = (math.isqrt(8 * len(entries) + 1) - 1) // 2
    u, v, w = units
    H, C, rest = mp.matrix(n, n), mp.zeros(n), iter(entries)
    for i in range(n):
        for j in range(i, n):
            H[i, j] = H[j, i] = next(rest)
    C[0, 0] = u
    for i in range(n - 1):
        for j in range(n - 1):
            C[i + 1, j + 1] = w * H[i, j] * (1 if i == j else correlation)
    product = H * mp.inverse(C)
    trace = mp.fsum(product[i, i] for i in range(n))
    energy = lam * v * w ** (n - 1) * u / (v * H[n - 1, n - 1] + noise)
    return (energy + trace - n - mp.log(mp.det(H)) + mp.log(mp.det(C))) / 2


def largest_slope(entries: Sequence[Any], *arguments: Any, **options: Any) -> Any:
    """The largest derivative of `free_energy` by an entry, by mpmath's own differences."""

    def moved(k: int, value: Any) -> Any:
        return free_energy([*entries[:k], value, *entries[k + 1 :]], *arguments, **options)

    return max(abs(mp.diff(partial(moved, k), entry)) for k, entry in enumerate(entries))


def newton(entries: list[Any], *arguments: Any) -> list[Any]:
    """The stationary entries near these, by Newton's method in mpmath's working precision.

    Raises:
        ArithmeticError: where that does not converge.
    """
    h, size = mp.mpf(10) ** (-mp.dps // 6), len(entries)

    def at(moves: dict[int, int]) -> Any:
        return free_energy([x + h * moves.get(k, 0) for k, x in enumerate(entries)], *arguments)

    for _ in range(60):
        slopes = mp.matrix(
            [(8 * (at({k: 1}) - at({k: -1})) - (at({k: 2}) - at({k: -2}))) / (12 * h) for k in range(size)]
        )
        second = mp.matrix(size, size)
        for j in range(size):
            for k in range(j + 1):
                corners = [at({j: p, k: q} if j != k else {j: p + q}) * p * q for p in (1, -1) for q in (1, -1)]
                second[j, k] = second[k, j] = mp.fsum(corners) / (4 * h * h)
        step = mp.lu_solve(second, slopes)
        entries = [x - d for x, d in zip(entries, step, strict=True)]
        if mp.norm(step, mp.inf) < mp.mpf(10) ** -60:
            return entries
    raise ArithmeticError("Newton's method has not converged")

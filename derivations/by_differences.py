"""F at T = 4 entry by entry, and its stationary points by differences in mpmath: no code is shared with theory/."""

from __future__ import annotations

from typing import Any

from mpmath import mp


def free_energy(entries: Any, correlation: Any, lam: Any, noise: Any) -> Any:
    """F of one pattern at shared:correlation from ``H11, H12, H13, H22, H23, H33``; units ``u = v = w = 1``."""
    h11, h12, h13, h22, h23, h33 = entries
    K = mp.matrix([[h11, h12, h13], [h12, h22, h23], [h13, h23, h33]])
    forward = mp.matrix([[1, 0, 0], [0, h11, correlation * h12], [0, correlation * h12, h22]])
    product = K * mp.inverse(forward)
    logs = mp.log(mp.det(K)) - mp.log(mp.det(forward))
    return (lam / (h33 + noise) + product[0, 0] + product[1, 1] + product[2, 2] - 3 - logs) / 2


def newton(entries: list[Any], *arguments: Any) -> list[Any]:
    """The stationary entries near these, by Newton's method in mpmath's working precision.

    Raises:
        ArithmeticError: where that does not converge.
    """
    h = mp.mpf(10) ** (-mp.dps // 6)

    def at(moves: dict[int, int]) -> Any:
        return free_energy([x + h * moves.get(k, 0) for k, x in enumerate(entries)], *arguments)

    for _ in range(60):
        slopes = mp.matrix([(8 * (at({k: 1}) - at({k: -1})) - (at({k: 2}) - at({k: -2}))) / (12 * h) for k in range(6)])
        second = mp.matrix(6, 6)
        for j in range(6):
            for k in range(j + 1):
                corners = [at({j: p, k: q} if j != k else {j: p + q}) * p * q for p in (1, -1) for q in (1, -1)]
                second[j, k] = second[k, j] = mp.fsum(corners) / (4 * h * h)
        step = mp.lu_solve(second, slopes)
        entries = [x - d for x, d in zip(entries, step, strict=True)]
        if mp.norm(step, mp.inf) < mp.mpf(10) ** -60:
            return entries
    raise ArithmeticError("Newton's method has not converged")

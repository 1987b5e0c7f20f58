"""The endpoint free energy of docs/theory.md sections 3 and 5 written again in mpmath: shares no code with theory/."""

from __future__ import annotations

import mpmath
from mpmath import mp


def free_energy(H, signal, kappa=1, arch="rnn", u=1, v=1, w=1):
    """``½ y²/(vH_nn+κ) + ½ tr HC⁻¹ - n/2 - ½ ln(|H|/|C|)`` with ``C = w[H⁻] + uX⁻`` built entry by entry."""
    n = H.rows
    C = mp.matrix(n, n)
    for t in range(1, n):
        for s in range(1, n):
            if arch == "rnn" or t == s:
                C[t, s] = w * H[t - 1, s - 1]
    C[0, 0] += u
    label = signal * v * mp.mpf(w) ** (n - 1) * u
    product = H * mp.inverse(C)
    trace = mp.fsum(product[i, i] for i in range(n))
    return (label / (v * H[n - 1, n - 1] + kappa) + trace - n - mp.log(mp.det(H) / mp.det(C))) / 2


def random_kernel(n, rng):
    """A positive-definite kernel with entries of order one."""
    A = mp.matrix(n, n)
    for i in range(n):
        for j in range(n):
            A[i, j] = mp.mpf(int(rng.integers(-1000, 1000))) / 1500
    return A * A.T + mp.eye(n)


def pairs(n):
    return [(i, j) for i in range(n) for j in range(i, n)]


def moved(H, steps):
    """``H`` with some symmetric entries changed."""
    H = H.copy()
    for (i, j), step in steps:
        H[i, j] += step
        if i != j:
            H[j, i] += step
    return H


def gradient(H, *args, step=None, **options):
    """Central differences of sixth order in every independent entry."""
    h = step or mpmath.mpf(10) ** (-mp.dps // 7)
    weights = {1: mp.mpf(3) / 4, 2: -mp.mpf(3) / 20, 3: mp.mpf(1) / 60}
    return [
        mp.fsum(
            c
            * (
                free_energy(moved(H, [(e, k * h)]), *args, **options)
                - free_energy(moved(H, [(e, -k * h)]), *args, **options)
            )
            for k, c in weights.items()
        )
        / h
        for e in pairs(H.rows)
    ]


def hessian_entry(H, a, b, *args, step, **options):
    """Second difference of F in two entries."""

    def F(p, q):
        return free_energy(moved(H, [(a, p * step), (b, q * step)]), *args, **options)

    return (F(1, 1) - F(1, -1) - F(-1, 1) + F(-1, -1)) / (4 * step**2)

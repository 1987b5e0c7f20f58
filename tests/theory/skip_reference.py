"""F (docs/theory.md section 3) with a skip connection, written from its definition; its slopes by differences."""

from __future__ import annotations

from mpmath import mp


def free_energy(H, M, skip, signal, kappa):
    """``½λ/(H^{nn}+κ) + ½tr HC⁻¹ - n/2 - ½ln(|H|/|C|)``, ``C = A⁻¹(M∘ΣHΣᵀ + X⁻)A⁻ᵀ``."""
    n = H.rows
    inner = mp.zeros(n, n)
    inner[0, 0] = 1
    for s in range(1, n):
        for t in range(1, n):
            inner[s, t] = M[s - 1][t - 1] * H[s - 1, t - 1]
    step = mp.eye(n)
    for t in range(1, n):
        step[t, t - 1] = -skip
    back = mp.inverse(step)
    C = back * inner * back.T
    product = H * mp.inverse(C)
    trace = mp.fsum(product[t, t] for t in range(n))
    return (signal / (H[n - 1, n - 1] + kappa) + trace - n - mp.log(mp.det(H) / mp.det(C))) / 2


def largest_slope(H, M, skip, signal, kappa):
    """Largest ``|∂F/∂H^{ts}|``, each off-diagonal entry moved in both of its places."""
    n, h = H.rows, mp.mpf(10) ** (-mp.dps // 4)
    worst = mp.mpf(0)
    for s in range(n):
        for t in range(s, n):

            def at(move, s=s, t=t):
                moved = H.copy()
                moved[s, t] += move
                if s != t:
                    moved[t, s] += move
                return free_energy(moved, M, skip, signal, kappa)

            slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
            worst = max(worst, abs(slope))
    return worst


def tied(n, untied=False):
    return [[mp.mpf(1 if not untied or s == t else 0) for t in range(n - 1)] for s in range(n - 1)]

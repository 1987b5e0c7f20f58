"""Endpoint supervision for any sharing matrix, written again in mpmath: shares no code with theory/."""

from __future__ import annotations

from mpmath import mp


def sharing_matrix(arch, n):
    """M of ``shared:ρ``, ``drift:ρ``, ``looped:p`` (ρ an mpmath number), ``(n-1) × (n-1)``."""
    family, parameter = arch
    M = mp.matrix(n - 1, n - 1)
    for s in range(n - 1):
        for t in range(n - 1):
            lag = abs(s - t)
            if family == "looped":
                M[s, t] = 1 if lag % parameter == 0 else 0
            elif family == "shared":
                M[s, t] = 1 if lag == 0 else parameter
            else:
                M[s, t] = parameter**lag
    return M


def covariance(H, M, u=1, w=1):
    """``C^{s+1,t+1} = w M_st H^{st}``, and u at time 1."""
    n = H.rows
    C = mp.matrix(n, n)
    C[0, 0] = u
    for s in range(n - 1):
        for t in range(n - 1):
            C[s + 1, t + 1] = w * M[s, t] * H[s, t]
    return C


def free_energy(H, M, label, kappa, u=1, v=1, w=1):
    """``½ y²/(v H_nn + κ) + ½ tr HC⁻¹ - n/2 - ½ ln(|H|/|C|)``, ``label`` being y²."""
    n = H.rows
    C = covariance(H, M, u, w)
    product = H * mp.inverse(C)
    trace = mp.fsum(product[i, i] for i in range(n))
    return (label / (v * H[n - 1, n - 1] + kappa) + trace - n - mp.log(mp.det(H) / mp.det(C))) / 2


def gradient(H, M, label, kappa):
    """``2∂F/∂H_ts`` with both places of an entry counted once each, units u = v = w = 1; a symmetric matrix."""
    n = H.rows
    inverse = mp.inverse(covariance(H, M))
    G = inverse - mp.inverse(H)
    carried = inverse - inverse * H * inverse
    for s in range(n - 1):
        for t in range(n - 1):
            G[s, t] += M[s, t] * carried[s + 1, t + 1]
    G[n - 1, n - 1] -= label / (H[n - 1, n - 1] + kappa) ** 2
    return G


def entries(n):
    return [(i, j) for i in range(n) for j in range(i, n)]


def moved(H, place, step):
    H = H.copy()
    i, j = place
    H[i, j] += step
    if i != j:
        H[j, i] += step
    return H


def response(H, M, label, kappa, place, step):
    """The derivative of ``gradient`` in one entry, by a central difference."""
    later, earlier = (gradient(moved(H, place, sign * step), M, label, kappa) for sign in (1, -1))
    return (later - earlier) / (2 * step)


def at_order_parameter(H, M, label, kappa, place, tolerance):
    """Newton's method for the other entries and the label, the entry at ``place`` held: kernel and label."""
    pairs = entries(H.rows)
    held = pairs.index(place)
    step = mp.mpf(10) ** (-mp.dps // 3)
    for _ in range(40):
        G = gradient(H, M, label, kappa)
        residual = mp.matrix([G[p] for p in pairs])
        if mp.norm(residual, mp.inf) < tolerance:
            return H, label
        J = mp.matrix(len(pairs), len(pairs))
        for column, pair in enumerate(pairs):
            if column == held:
                J[len(pairs) - 1, column] = -1 / (H[H.rows - 1, H.rows - 1] + kappa) ** 2
                continue
            change = response(H, M, label, kappa, pair, step)
            for row, other in enumerate(pairs):
                J[row, column] = change[other]
        change = mp.lu_solve(J, -residual)
        for column, pair in enumerate(pairs):
            if column != held:
                H = moved(H, pair, change[column])
        label += change[held]
    raise AssertionError("Newton's method has not converged")


def branch_near(M, ratio, label, kappa, lag, psi, tolerance):
    """The state of order parameter ``H^{n,n-lag} = ψ`` near the critical point: kernel and label.

    The start's mode is the null vector of the response at the critical lag, found from the response itself.
    """
    n = M.rows + 1
    H = mp.diag([ratio**t for t in range(1, n + 1)])
    step = mp.mpf(10) ** (-mp.dps // 3)
    places = [(t, t + lag) for t in range(n - lag)]
    J = mp.matrix(len(places), len(places))
    for column, place in enumerate(places):
        change = response(H, M, label, kappa, place, step)
        for row, other in enumerate(places):
            J[row, column] = change[other]
    last = len(places) - 1
    mode = [mp.mpf(1)]
    if last:
        inner = mp.lu_solve(J[:last, :last], -J[:last, last])
        mode = [*inner, mp.mpf(1)]
    for place, a in zip(places, mode, strict=True):
        H = moved(H, place, a * psi)
    return at_order_parameter(H, M, label, kappa, places[-1], tolerance)

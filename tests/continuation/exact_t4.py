"""Every state of endpoint supervision at T = 4, from roots of polynomials: the reference for random ranges.

In units u = v = w = 1 the kernel is ``diag(r, r², r³)`` with ``(r-1)(r³+κ)² = λr³``, or, for the RNN, the one of
``theory.coherent_branch`` with ``(4s(s-1)²+κ)² = 4s(s-1)λ``, s > 2; elimination leaves no other (appendix 4).
"""

import math
from itertools import combinations, pairwise

import numpy as np
from scipy.optimize import brentq

R = np.polynomial.Polynomial([0.0, 1.0])


def reduced(problem):
    """λ and κ in units u = v = w = 1."""
    scale = problem.v * problem.w**2 * problem.u
    return float(problem.labels[0] ** 2) / scale, problem.kappa / scale


def real_roots(polynomial, above):
    roots = polynomial.roots()
    real = np.sort(roots[np.abs(roots.imag) < 1e-7 * np.abs(roots)].real)
    return real[real > above]


def growth_ratios(signal, kappa):
    return real_roots((R - 1) * (R**3 + kappa) ** 2 - signal * R**3, 1.0)


def coherent_roots(signal, kappa):
    return real_roots((4 * R * (R - 1) ** 2 + kappa) ** 2 - 4 * signal * R * (R - 1), 2.0)


def incoherent_free_energy(r, signal, kappa):
    return 0.5 * signal / (r**3 + kappa) + 1.5 * (r - 1 - math.log(r))


def coherent_free_energy(s, signal, kappa):
    """``½λ/(H³³+κ)`` and the divergence of the exact kernel from ``C = 1 ⊕ H_{12}``."""
    a, b, c = s, 2 * s * (s - 1), 4 * s * (s - 1) ** 2
    x = math.sqrt(2 * s * (s - 1) * (s - 2))
    H = np.array([[a, x, 2 * s * (s - 2)], [x, b, 2 * s * x], [2 * s * (s - 2), 2 * s * x, c]])
    C = np.eye(3)
    C[1:, 1:] = H[:2, :2]
    M = np.linalg.solve(C, H)
    return 0.5 * signal / (c + kappa) + 0.5 * (np.trace(M) - 3 - np.linalg.slogdet(M)[1])


def free_energies(problem):
    """F of every state, in order."""
    signal, kappa = reduced(problem)
    F = [incoherent_free_energy(r, signal, kappa) for r in growth_ratios(signal, kappa)]
    if problem.arch == "rnn":
        F += [coherent_free_energy(s, signal, kappa) for s in coherent_roots(signal, kappa)]
    return np.sort(F)


def _minima(problem):
    """F of the minima by name: those on either side of a fold have the name of their side."""
    signal, kappa = reduced(problem)
    r = growth_ratios(signal, kappa)
    ends = {("incoherent", 0): r[0], ("incoherent", 1): r[-1]} if len(r) > 1 else {("incoherent", 2): r[0]}
    named = {
        name: incoherent_free_energy(x, signal, kappa) for name, x in ends.items() if problem.arch == "dnn" or x < 2
    }
    if problem.arch == "rnn":
        s = coherent_roots(signal, kappa)
        for k, x in enumerate(s):
            slope = 2 * (12 * x**2 - 16 * x + 4) / (4 * x * (x - 1) ** 2 + kappa) - (2 * x - 1) / (x * (x - 1))
            if slope > 0:
                named["coherent", len(s), k] = coherent_free_energy(x, signal, kappa)
    return named


def special_points(at, low, high, cells=300):
    """Folds, pitchforks and equal free energies of the problems ``at(p)`` between two values, as sorted lists."""
    values = np.geomspace(low, high, cells)
    problems = [at(p) for p in values]
    found = {"fold": [], "pitchfork": [], "equal-free-energy": []}

    def changes(count):
        """Where a count of states changes, and by how much: every change inside a cell whose ends differ."""
        counts = [count(problem) for problem in problems]
        cells_left = [(values[k], values[k + 1], counts[k], counts[k + 1], 60) for k in np.flatnonzero(np.diff(counts))]
        while cells_left:
            a, b, first, last, halvings = cells_left.pop()
            if not halvings:
                yield a, abs(last - first)
                continue
            middle = math.sqrt(a * b)
            between = count(at(middle))
            parts = ((a, middle, first, between), (middle, b, between, last))
            cells_left += [(*part, halvings - 1) for part in parts if part[2] != part[3]]

    for p, _ in changes(lambda problem: len(growth_ratios(*reduced(problem)))):
        found["fold"].append(p)
    if problems[0].arch == "rnn":
        for p, size in changes(lambda problem: len(coherent_roots(*reduced(problem)))):
            found["fold" if size == 2 else "pitchfork"].append(p)
    # between folds and pitchforks, where minima may be side by side for less than a cell, as finely as elsewhere
    ends = np.array([low, *sorted(found["fold"] + found["pitchfork"]), high])
    inside = [np.geomspace(a, b, 42)[1:-1] for a, b in pairwise(ends)]
    values = np.sort(np.concatenate([values, *inside]))
    minima = [_minima(at(p)) for p in values]
    for k in range(len(values) - 1):
        both = sorted(set(minima[k]) & set(minima[k + 1]))
        for pair in combinations(both, 2):
            gaps = [m[pair[0]] - m[pair[1]] for m in (minima[k], minima[k + 1])]
            if gaps[0] * gaps[1] < 0:

                def gap(p, pair=pair):
                    there = _minima(at(p))
                    return there[pair[0]] - there[pair[1]]

                found["equal-free-energy"].append(brentq(gap, values[k], values[k + 1], xtol=1e-13))
    return {kind: sorted(points) for kind, points in found.items()}

"""The sign in which a state is given, where symmetries of the posterior leave it open, and which predictions reverse.

The rule: of each pair of images the one with ``Σ_p Φ^{tt'}_{pp} > 0`` is given, for the first (t, t') at which this sum
changes sign and is not 0, lag by lag from ``(T-1, T-2)`` on, within a lag from the last times on. Where only patterns'
signs are open, single entries are looked at in the same order. With the one symmetry ``W → -W`` the order parameter
``Σ_p Φ^{T-1,T-2}_{pp}`` is positive, as in sampled networks (``numerics.sampling``).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.symmetry.group import sign_symmetries
from numerics.symmetry.held_out import held_out_signs

#: Predictions smaller than this, relative to the largest, are 0.
SMALL = 1e-6
#: Sums and entries smaller than this, relative to the diagonal, have no sign.
ABSENT = 1e-9


def gauge_signs(problem: Problem, kernel: FloatArray, *, odd: bool) -> FloatArray:
    """The signs s over the joint index, (nP,), that take a state to the sign of the rule: to ``s_a s_b Φ_ab``."""
    signs = np.ones(len(kernel))
    remaining = [symmetry.rows for symmetry in sign_symmetries(problem, odd)]
    for kind in (_traces, _entries):
        if not remaining:
            break
        for value, a, b in kind(kernel, problem.P):
            turning = [rows for rows in remaining if rows[a] * rows[b] < 0]
            if not turning:
                continue
            chosen = turning[0]
            if value * signs[a] * signs[b] < 0:
                signs = signs * chosen
            # what is left keeps this sum
            remaining = [rows * chosen if rows[a] * rows[b] < 0 else rows for rows in remaining if rows is not chosen]
            if not remaining:
                break
    return signs


def _traces(kernel: FloatArray, P: int) -> Iterator[tuple[float, int, int]]:
    """``Σ_p Φ^{tt'}_{pp}`` that are not 0, in the rule's order, with an entry that changes sign with it."""
    n = len(kernel) // P
    blocks = kernel.reshape(n, P, n, P)
    size = np.sqrt(np.maximum(np.einsum("tptp->tp", blocks), 0.0))
    for lag in range(1, n):
        for t in range(n - 1, lag - 1, -1):
            entries, scale = np.diagonal(blocks[t, :, t - lag]), size[t] * size[t - lag]
            if abs(entries.sum()) > ABSENT * scale.sum():
                p = int(np.abs(entries).argmax())
                yield float(entries.sum()), t * P + p, (t - lag) * P + p


def _entries(kernel: FloatArray, P: int) -> Iterator[tuple[float, int, int]]:
    """Entries that are not 0, in the rule's order."""
    n = len(kernel) // P
    size = np.sqrt(np.maximum(np.diagonal(kernel), 0.0))
    for lag in range(n):
        for t in range(n - 1, lag - 1, -1):
            rows, columns = slice(t * P, (t + 1) * P), slice((t - lag) * P, (t - lag + 1) * P)
            present = np.abs(kernel[rows, columns]) > ABSENT * np.outer(size[rows], size[columns])
            for p, q in np.argwhere(present).tolist():
                a, b = t * P + p, (t - lag) * P + q
                yield float(kernel[a, b]), a, b


def fixed(problem: Problem, kernel: FloatArray, *, odd: bool) -> FloatArray:
    """A kernel of the problem, (nP, nP), in the sign of the rule; with an activation that is odd or not."""
    signs = gauge_signs(problem, kernel, odd=odd)
    return kernel * np.outer(signs, signs)


def is_broken(problem: Problem, kernel: FloatArray, *, odd: bool, error: FloatArray | None = None) -> bool:
    """Whether the state has other images: a sign symmetry reverses an entry that is not 0 beyond its error.

    A state that all of them leave as it is has no sign, coherent or not: the DNN's, and those of even lags only.
    """
    size = np.sqrt(np.maximum(np.diagonal(kernel), 0.0))
    rounding = SMALL * np.outer(size, size)
    present = np.abs(kernel) > (rounding if error is None else np.maximum(rounding, 3 * error))
    generators = (symmetry.rows for symmetry in sign_symmetries(problem, odd))
    return any(bool(present[rows[:, None] != rows].any()) for rows in generators)


def reversed_times(
    problem: Problem, prediction: FloatArray, *, odd: bool, tolerance: float = SMALL, held_out: bool = False
) -> tuple[int, ...]:
    """Hidden times t, 1-based, at which a symmetry of the posterior reverses predictions f^(t+1) that are not 0.

    Their mean over the state and its images is 0; with several outputs, that of their part in some direction. Those
    that are 0, to a tolerance relative to the largest, have no sign: a symmetry that leaves the state as it is makes
    them so.

    Args:
        problem: what is learnt.
        prediction: of a state, (patterns, n), or (O, patterns, n) of several outputs.
        odd: φ is odd.
        tolerance: largest prediction, relative, that counts as 0.
        held_out: the patterns are the problem's test patterns.
    """
    reverses = np.zeros(prediction.shape[-2:], dtype=bool)
    smallest = tolerance * np.abs(prediction).max(initial=0.0)
    for symmetry in sign_symmetries(problem, odd):
        signs = held_out_signs(problem, symmetry) if held_out else symmetry.signs.T
        lost = 0.5 * np.abs(prediction - symmetry.of_predictions(prediction, signs)).reshape(-1, *reverses.shape)
        reverses |= (lost > smallest).any(axis=0) & (signs != 0)
    return tuple((1 + np.flatnonzero(reverses.any(axis=0))).tolist())

"""Exchanges of patterns that a problem does not tell apart: they make of one state another with the same F.

An order π of the patterns, with signs s for odd φ, leaves F of docs/theory.md section 4 as it is if it leaves the
inputs' Gram matrix, ``s_p s_q x^t_π(p)·x^t'_π(q) = x^t_p·x^t'_q``, and the labels up to one sign of all of them. The
cues of a delayed exclusive or may be exchanged, for example, and the samples of a delayed match.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, IntArray

#: Relative difference of inputs and labels below which they are equal; exchanges that are listed, at most.
EQUAL, MOST = 1e-9, 128


class Exchange(NamedTuple):
    """The pattern that takes the place of each, and its sign, (P,)."""

    order: IntArray
    signs: FloatArray


@lru_cache(maxsize=64)
def exchanges(problem: Problem, odd: bool) -> tuple[Exchange, ...]:
    """The exchanges of a problem, one for each order, that which changes nothing first; the first `MOST` of many."""
    P, odd = problem.P, odd and problem.bias == 0
    x = problem.x / max(float(np.abs(problem.x).max()), 1e-300)
    gram = np.einsum("ptd,qsd->pqts", x, x)
    y, known = np.nan_to_num(problem.y.reshape(P, -1)), ~np.isnan(problem.y.reshape(P, -1))
    size = max(float(np.abs(y).max()), 1e-300)
    found: dict[tuple[int, ...], Exchange] = {}

    def extend(order: tuple[int, ...], signs: tuple[float, ...], turned: float) -> None:
        p = len(order)
        if p == P:
            found.setdefault(order, Exchange(np.array(order, dtype=np.intp), np.array(signs)))
        if p == P or len(found) == MOST:
            return
        for q in sorted(set(range(P)) - set(order), key=lambda q: q != p):
            for sign in (1.0, -1.0) if odd and p else (1.0,):  # all signs together change nothing
                alike = np.array_equal(known[p], known[q])
                alike = alike and np.abs(sign * y[q] - turned * y[p]).max() <= EQUAL * size
                ways = np.array([*signs, sign])[:, None, None]
                if alike and np.abs(sign * ways * gram[q, [*order, q]] - gram[p, : p + 1]).max() <= EQUAL * x.shape[2]:
                    extend((*order, q), (*signs, sign), turned)

    for turned in (1.0, -1.0):
        extend((), (), turned)
    return tuple(found.values())

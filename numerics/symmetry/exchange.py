"""Exchanges of patterns that a problem does not tell apart: they make of one state another with the same F.

An order π of the patterns, with signs s for odd φ, leaves F of docs/theory.md section 4 as it is if it leaves the
inputs' Gram matrix, ``s_p s_q x^t_π(p)·x^t'_π(q) = x^t_p·x^t'_q``, and the labels', for each set of outputs that are
supervised at the same entries: of one output, the labels up to one sign of all. The cues of a delayed exclusive or may
be exchanged, for example, and the samples of a delayed match.
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
    known, grams = ~np.isnan(problem.y), (_gram(problem.x), *_of_labels(problem))
    found: dict[tuple[int, ...], Exchange] = {}

    def extend(order: tuple[int, ...], signs: tuple[float, ...]) -> None:
        p = len(order)
        if p == P:
            found.setdefault(order, Exchange(np.array(order, dtype=np.intp), np.array(signs)))
        if p == P or len(found) == MOST:
            return
        for q in sorted(set(range(P)) - set(order), key=lambda q: q != p):
            for sign in (1.0, -1.0) if odd and p else (1.0,):  # all signs together change nothing
                ways = sign * np.array([*signs, sign])[:, None, None]
                if np.array_equal(known[p], known[q]) and all(
                    np.abs(ways * gram[q, [*order, q]] - gram[p, : p + 1]).max() <= EQUAL for gram in grams
                ):
                    extend((*order, q), (*signs, sign))

    extend((), ())
    return tuple(found.values())


def _gram(vectors: FloatArray) -> FloatArray:
    """Inner products of vectors (P, n, k) with any largest entry, over k of the square of that, (P, P, n, n)."""
    unit = vectors / max(float(np.abs(vectors).max()), 1e-300)
    return np.asarray(np.einsum("ptd,qsd->pqts", unit, unit) / vectors.shape[2])


def _of_labels(problem: Problem) -> list[FloatArray]:
    """Those of the labels, of each set of outputs that are supervised at the same entries."""
    y = problem.y.reshape(problem.P, problem.n, -1)
    alike = np.unique(~np.isnan(y), axis=2, return_inverse=True)[1].ravel()
    return [_gram(np.nan_to_num(y[:, :, alike == k])) for k in range(alike.max() + 1)]

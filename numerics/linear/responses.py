"""Coordinates that are responses of the weights, where inputs come at several times (``numerics.linear.coordinates``).

See docs/theory.md sections 3, 10 and 11.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from numerics.inputs.driving import RANK
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, IntArray
from numerics.linear.directions import along, block_starts, equilibrated
from numerics.linear.space import CUT, KernelSpace, Link, together


def of_products(problem: Problem, x: FloatArray, V: FloatArray, counts: tuple[int, ...]) -> KernelSpace:
    """Responses of matrices to products of matrices before them, ``h^t = Σ_s (a+W^(t-1)) … (a+W^(s)) U x^{s-1}``.

    A product is named by its word, the numbers of its different matrices, last one first. One block holds ``W_c g_w``,
    with ``g_cw = (a + W_c) g_w``, for words cw of one length and one c, on the directions of inputs up to then.
    """
    n, P, skip = problem.n, problem.P, problem.skip
    groups, matrix, factor = equal_matrices(problem.sharing, skip)
    words = {(t, s): tuple(matrix[s:t][::-1].tolist()) for t in range(n) for s in range(t + 1)}
    sizes: dict[tuple[int, ...], int] = {}
    for (_, s), word in words.items():
        sizes[word] = max(sizes.get(word, 0), counts[s])
    order = sorted(sizes, key=lambda word: (len(word), word))
    place = dict(zip(order, block_starts([sizes[word] for word in order]).tolist(), strict=False))
    m = sum(sizes.values())
    products: dict[tuple[int, ...], FloatArray] = {}
    for word in order:
        rows = np.zeros((sizes[word], m))
        rows[:, place[word] : place[word] + sizes[word]] = np.eye(sizes[word])
        if word and skip:
            rows += skip * products[word[1:]][: sizes[word]]
        products[word] = rows
    steps, blocks, behind = [], [sizes[()]], []
    for _, block in itertools.groupby(order[1:], key=lambda word: (len(word), word[0])):
        own = list(block)
        size, start = sum(sizes[word] for word in own), place[own[0]]
        target = slice(start, start + size)
        if skip:
            sent = np.concatenate([products[word[1:]][: sizes[word]] for word in own])
            steps.append(Link(slice(0, start), sent[:, :start], target))
        else:
            source = [slice(place[word[1:]], place[word[1:]] + sizes[word]) for word in own]
            steps.append(Link(together(source), None, target))
        blocks.append(size)
        behind.append(groups[own[0][0]])
    basis = np.zeros((n, P, m))
    for (t, s), word in words.items():
        inputs_along = along(x[:, s], V)[:, : counts[s]]
        if skip:
            basis[t] += inputs_along @ products[word][: counts[s]]
        else:
            basis[t, :, place[word] : place[word] + counts[s]] = np.prod(factor[s:t]) * inputs_along
    inputs = np.zeros((m, x.shape[2]))
    inputs[: blocks[0]] = V.T / math.sqrt(problem.D)
    M = problem.sharing
    return KernelSpace(
        n,
        P,
        tuple(blocks),
        inputs,
        tuple(steps),
        M[np.ix_(behind, behind)],
        None,
        basis.reshape(n * P, m),
        M[:, behind],
    )


def equal_matrices(M: FloatArray, skip: float) -> tuple[list[int], IntArray, FloatArray]:
    """Groups of equal matrices: the first of each, each one's group, and how many times the first it is.

    Multiples count where no connection skips: then a product of multiples is one of products.
    """
    first: list[int] = []
    number, factor = np.zeros(len(M), dtype=np.intp), np.ones(len(M))
    for t in range(len(M)):
        size = [M[s, t] / np.sqrt(M[s, s] * M[t, t]) for s in first]
        same = [k for k, s in enumerate(first) if M[s, t] == M[s, s] == M[t, t]]
        if not same and not skip:
            same = [k for k, value in enumerate(size) if abs(value) >= 1.0 - RANK]
        number[t] = same[0] if same else len(first)
        if same:
            factor[t] = M[first[same[0]], t] / M[first[same[0]], first[same[0]]]
        else:
            first.append(t)
    return first, number, factor


def is_singular(M: FloatArray) -> bool:
    """Whether some combination of the matrices is none, to rounding."""
    if not len(M):
        return False
    scale = np.sqrt(M.diagonal())
    values = np.linalg.eigvalsh(M / np.outer(scale, scale))
    return bool(values[0] <= RANK * values[-1])


def of_responses(problem: Problem, x: FloatArray, V: FloatArray) -> KernelSpace:
    """The first block: U on all directions; block t+1: what ``W^(t) h^t`` adds to the responses at earlier times."""
    n, P, count = problem.n, problem.P, V.shape[1]
    responses = _Responses(problem.sharing)
    steps, sizes = [], [count]
    h, came = np.zeros((P, 0)), np.zeros((P, 0))
    basis = []
    for t in range(n):
        m = sum(sizes)
        drive = np.zeros((P, m))
        drive[:, :count] = along(x[:, t], V)
        drive[:, count:] = came
        before, h = h, drive
        h[:, : before.shape[1]] += problem.skip * before
        basis.append(h)
        if t == n - 1:
            break
        # h^t = q (sent · g): orthonormal rows `sent` on the coordinates that it depends on, as is the prior's own
        present = np.flatnonzero(h.any(axis=0))
        distinct, which = np.unique(h[:, present], axis=0, return_inverse=True)
        norms = np.linalg.norm(distinct, axis=1, keepdims=True)
        left, values, right = np.linalg.svd(equilibrated(distinct), full_matrices=False)
        kept = values > CUT * values[0]
        sent, given = responses.added(t, right[kept], present)
        q = norms * left[:, kept] * values[kept]
        q = q if given is None else q @ given
        steps.append(Link(present, sent, slice(m, m + len(sent))))
        came = np.zeros((P, m - count + len(sent)))
        came[:, came.shape[1] - q.shape[1] :] = q[which.ravel()]
        sizes.append(len(sent))
    m = sum(sizes)
    Q = np.zeros((n, P, m))
    for t, rows in enumerate(basis):
        Q[t, :, : rows.shape[1]] = rows
    inputs = np.zeros((m, x.shape[2]))
    inputs[:count] = V.T / math.sqrt(problem.D)
    return KernelSpace(n, P, tuple(sizes), inputs, tuple(steps), problem.sharing, None, Q.reshape(n * P, m))


class _Responses:
    """Responses ``W^(t) r`` to rows r of coordinates, so far: those of matrices that are correlated may depend on each
    other. With ``M = GGᵀ`` such a response is one of independent matrices to ``G_t ⊗ r``."""

    def __init__(self, M: FloatArray) -> None:
        scale = np.sqrt(M.diagonal())
        values, vectors = np.linalg.eigh(M / np.outer(scale, scale))
        kept = values > RANK * values[-1]
        self._independent = bool(kept.all())
        self._G = scale[:, None] * vectors[:, kept] * np.sqrt(values[kept])
        self._given = np.zeros((0, self._G.shape[1], 0))

    def added(self, t: int, rows: FloatArray, present: IntArray) -> tuple[FloatArray, FloatArray | None]:
        """Orthonormal rows whose responses are new, and each row's response in all coordinates of responses.

        Args:
            t: number of the matrix.
            rows: orthonormal, on the coordinates `present`.

        Returns:
            (k, len(present)); (r, all), or None where all rows are new: the last r coordinates are theirs.
        """
        if self._independent:
            return rows, None
        r, K, m = len(rows), self._G.shape[1], int(present[-1]) + 1 if len(present) else 0
        width = max(m, self._given.shape[2])
        here = np.zeros((r, K, width))
        here[:, :, present] = self._G[t][:, None] * rows[:, None, :]
        given = np.zeros((len(self._given), K, width))
        given[:, :, : self._given.shape[2]] = self._given
        flat, known = here.reshape(r, K * width), given.reshape(len(given), K * width)
        frame = np.linalg.qr(known.T)[0]
        rest = flat / np.linalg.norm(self._G[t])
        for _ in range(2):
            rest = rest - (rest @ frame) @ frame.T
        left, sizes, _ = np.linalg.svd(rest, full_matrices=False)
        new = int(np.sum(sizes > CUT))
        if new == r:
            self._given = np.concatenate([given, here])
            return rows, None
        fresh, tied = left[:, :new], left[:, new:]
        shares = np.linalg.lstsq(known.T, (tied.T @ flat).T, rcond=None)[0].T
        self._given = np.concatenate([given, np.tensordot(fresh.T, here, axes=1)])
        return fresh.T @ rows, np.concatenate([tied @ shares, fresh], axis=1)

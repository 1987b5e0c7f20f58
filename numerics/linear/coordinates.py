"""The coordinates of a problem's trajectories, ``h = Q g`` (``numerics.linear.space``).

See docs/theory.md sections 3, 10 and 11.


The coordinates are those of drives ``h^t - a h^{t-1}``, so that Q adds them up where a ≠ 0. A bias is an input like any
other, of as many dimensions as B has rank, the same for all patterns.

- Where the patterns of the first input are independent of each other, or inputs span more and more directions with time
  and nothing else ties one time's trajectory to another's: block t is the span of the drive of h^t itself.
- With input at t = 0 only: block t is that of the directions that inputs span.
- One W for all times: block k holds the responses ``W (a+W)^(k-1) U`` to the directions that inputs span, as far as
  they are met.
- Else the first block holds U's responses, block t+1 those of ``W^(t)`` to the span of ``h^t``, without what the
  matrices of earlier times have given already: they may be the same, and have met the same.

The blocks' sizes vary: patterns whose inputs coincide, or depend on each other, until a time t share coordinates until
then. Responses to U, and to one W for all times, are independent and of order one under the prior however close
patterns are, so that close patterns make no matrix ill-conditioned, and no jitter is added anywhere.

An input direction counts if it is more than `CUT` of the inputs' size. The kernel along a direction of relative size ε
is ε² of the others': below the cut, 1e-20, a state that does not learn it changes by no more than rounding unless
labels pull by 1e10 standard deviations of their noise; above it, the inputs' own rounding is 1e-16/ε of the direction,
1e-6 at the cut. Without noise (κ = 0) there is no such continuity, whatever the cut: two labels then fix a slope
between patterns however close, and none between equal ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, IntArray
from numerics.linear.space import CLEAR, CUT, KernelSpace, Link

#: Eigenvalues of M, at unit diagonal, that are 0.
RANK = 1e-10


def driving_inputs(problem: Problem, x: FloatArray) -> FloatArray:
    """Inputs (P, n, D) of some patterns, and biases as further dimensions of them, (P, n, D + rank of B).

    ``uX⁻ + βB = (u/D) x̃ x̃ᵀ``.
    """
    if problem.bias == 0:
        return x
    values, vectors = np.linalg.eigh(problem.bias_sharing)
    kept = values > RANK * values[-1]
    roots = vectors[:, kept] * np.sqrt(values[kept] * problem.bias * problem.D / problem.u)
    return np.concatenate([x, np.broadcast_to(roots, (len(x), *roots.shape))], axis=2)


def kernel_space(problem: Problem) -> KernelSpace:
    """The coordinates of a problem's trajectories.

    Raises:
        InputError: a pattern's input is zero at all times up to a supervised one, so that its output cannot be
            anything but zero.
    """
    x = driving_inputs(problem, problem.x)
    _refuse_dead_patterns(problem, x)
    P = problem.P
    if x.shape[2] >= P and _conditioning(x[:, 0]) > CLEAR:
        return _of_one_frame(problem, x)
    V, counts = _input_directions(x)
    if not x[:, 1:].any():
        return _of_first_input(problem, x, V)
    tied = (problem.sharing == 1).all()
    responses = _of_one_matrix(problem, x, V, counts) if tied else _of_responses(problem, x, V)
    return _of_times(problem, x, responses.dimension) or responses


# --- inputs ---------------------------------------------------------------------------------------------------------


def _refuse_dead_patterns(problem: Problem, x: FloatArray) -> None:
    alive = np.logical_or.accumulate(x.any(axis=2), axis=1)  # (P, n): h^t is not zero
    supervised = np.isfinite(problem.y.reshape(problem.P, problem.n, -1)).any(axis=2)
    dead = np.argwhere(supervised & ~alive)
    if len(dead):
        p, t = dead[0]
        raise InputError(
            f"x: is zero for a supervised pattern: row {p}, up to its label at t = {t + 1}; accepted: non-zero inputs "
            "for supervised patterns"
        )


def _coordinates(x: FloatArray, V: FloatArray) -> FloatArray:
    """``xV``, the same for equal rows to the last bit."""
    different, which = np.unique(x, axis=0, return_inverse=True)
    return np.asarray((different @ V)[which.ravel()])


def _equilibrated(x: FloatArray) -> FloatArray:
    """Rows over their norms, so that small patterns count."""
    sizes = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.where(sizes > 0, sizes, 1.0))


def _conditioning(x: FloatArray) -> float:
    """Smallest over largest singular value of equilibrated rows."""
    values = np.linalg.svd(_equilibrated(x), compute_uv=False)
    return float(values[len(x) - 1] / values[0]) if len(values) == len(x) and values[0] > 0 else 0.0


def _input_directions(x: FloatArray) -> tuple[FloatArray, tuple[int, ...]]:
    """Orthonormal directions that the inputs span, (D, ρ), those of earlier times first; their number at each time."""
    V = np.zeros((x.shape[2], 0))
    counts = []
    for rows in x.transpose(1, 0, 2):
        new = rows[rows.any(axis=1)]
        if len(new) and V.shape[1] < x.shape[2]:
            rest = _equilibrated(new)
            largest = math.sqrt(len(new))
            rest = rest - (rest @ V) @ V.T
            rest = rest - (rest @ V) @ V.T
            _, values, right = np.linalg.svd(np.unique(rest, axis=0), full_matrices=False)
            fresh = right[values > CUT * largest].T
            fresh = np.linalg.qr(fresh - V @ (V.T @ fresh))[0]
            V = np.concatenate([V, fresh], axis=1)
        counts.append(V.shape[1])
    return V, tuple(counts)


# --- blocks that each time takes to the next as they are, up to what skips ------------------------------------------


def _starts(sizes: Sequence[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)


def _cumulative(sizes: Sequence[int], skip: float) -> list[FloatArray]:
    """Rows of ``(1 - aΣ)⁻¹`` by blocks: ``h^t = Σ_s a^{t-s} d^s`` in the coordinates that both have, (sizes[t], m)."""
    starts, m = _starts(sizes), sum(sizes)
    found: list[FloatArray] = []
    for t, size in enumerate(sizes):
        rows = np.zeros((size, m))
        rows[:, starts[t] : starts[t + 1]] = np.eye(size)
        if t and skip:
            shared = min(size, sizes[t - 1])
            rows[:shared] += skip * found[-1][:shared]
        found.append(rows)
    return found


def _steps(sizes: Sequence[int], skip: float) -> tuple[Link, ...]:
    """Block t to block t+1, as far as both go."""
    starts, steps = _starts(sizes), []
    summed = _cumulative(sizes, skip)
    for t in range(len(sizes) - 1):
        size = min(sizes[t], sizes[t + 1])
        here, after = int(starts[t]), int(starts[t + 1])
        if skip:
            steps.append(
                Link(slice(0, int(starts[t + 1])), summed[t][:size, : starts[t + 1]], slice(after, after + size))
            )
        else:
            steps.append(Link(slice(here, here + size), None, slice(after, after + size)))
    return tuple(steps)


def _of_one_frame(problem: Problem, x: FloatArray) -> KernelSpace:
    """Block t: the drives themselves."""
    return _framed(
        problem, x.transpose(1, 0, 2).reshape(problem.n * problem.P, -1) / math.sqrt(problem.D), np.eye(problem.P)
    )


def _of_first_input(problem: Problem, x: FloatArray, V: FloatArray) -> KernelSpace:
    """Block t: the directions V of the only inputs, carried on."""
    count = V.shape[1]
    inputs = np.zeros((problem.n * count, x.shape[2]))
    inputs[:count] = V.T / math.sqrt(problem.D)
    return _framed(problem, inputs, _coordinates(x[:, 0], V))


def _framed(problem: Problem, inputs: FloatArray, q: FloatArray) -> KernelSpace:
    n, skip, sizes = problem.n, problem.skip, (q.shape[1],) * problem.n
    steps = _steps(sizes, skip)
    if skip == 0:
        return KernelSpace(n, problem.P, sizes, inputs, steps, problem.sharing, q, None)
    lags = np.subtract.outer(np.arange(n), np.arange(n))
    powers = np.where(lags >= 0, np.power(float(skip), np.maximum(lags, 0)), 0.0).astype(np.float64)
    return KernelSpace(
        n, problem.P, sizes, inputs, steps, problem.sharing, None, np.asarray(np.kron(powers, q), dtype=np.float64)
    )


def _of_times(problem: Problem, x: FloatArray, fewer_than: int) -> KernelSpace | None:
    """Block t: the span of the drive of h^t, nested; None where it is no smaller, not clear, or tied to other times."""
    n, P = problem.n, problem.P
    norms = np.linalg.norm(x, axis=2)
    scale = float(norms.max())
    if not norms[norms > 0].min() > CLEAR * scale:
        return None  # small patterns would not count
    q = np.zeros((P, 0))
    sizes: list[int] = []
    for t in range(n):
        rest = x[:, t] / scale
        rest = rest - q @ (q.T @ rest)
        rest = rest - q @ (q.T @ rest)
        left, values, _ = np.linalg.svd(rest, full_matrices=False)
        if ((values > CUT) & (values < CLEAR)).any():
            return None
        q = np.concatenate([q, left[:, values >= CLEAR]], axis=1)
        sizes.append(q.shape[1])
        if sum(sizes) + (n - 1 - t) * sizes[-1] >= fewer_than:
            return None
    if sizes[0] == 0:
        return None
    if sizes[0] == P:
        q = np.eye(P)
    starts, m = _starts(sizes), sum(sizes)
    basis, inputs = np.zeros((n, P, m)), np.zeros((m, x.shape[2]))
    for t, rows in enumerate(_cumulative(sizes, problem.skip)):
        basis[t] = q[:, : sizes[t]] @ rows
        inputs[starts[t] : starts[t + 1]] = q[:, : sizes[t]].T @ x[:, t] / math.sqrt(problem.D)
    steps = _steps(sizes, problem.skip)
    space = KernelSpace(n, P, tuple(sizes), inputs, steps, problem.sharing, None, basis.reshape(n * P, m))
    prior = inputs @ inputs.T
    for _ in range(n - 1):
        prior = space.shifted(prior) + inputs @ inputs.T
    size = np.sqrt(np.maximum(np.diagonal(prior), 1e-300))
    return space if np.linalg.eigvalsh(prior / np.outer(size, size))[0] > CLEAR**2 else None


# --- responses of the weights ---------------------------------------------------------------------------------------


def _of_one_matrix(problem: Problem, x: FloatArray, V: FloatArray, counts: tuple[int, ...]) -> KernelSpace:
    """Block k: ``W (a+W)^(k-1) U`` on the directions of x^0 … x^{n-1-k}; ``h^t = Σ_k (a+W)^k U x^{t-k}``."""
    n, P = problem.n, problem.P
    sizes = counts[::-1]
    starts, m = _starts(sizes), sum(sizes)
    powers = _cumulative(sizes, problem.skip)  # of (a+W)^k U in the blocks
    basis = np.zeros((n, P, m))
    for s in range(n):
        met = _coordinates(x[:, s], V)
        for k in range(n - s):
            if problem.skip:
                basis[s + k] += met[:, : counts[s]] @ powers[k][: counts[s]]
            else:
                basis[s + k, :, starts[k] : starts[k] + counts[s]] = met[:, : counts[s]]
    inputs = np.zeros((m, x.shape[2]))
    inputs[: sizes[0]] = V.T / math.sqrt(problem.D)
    steps = _steps(sizes, problem.skip)
    return KernelSpace(n, P, sizes, inputs, steps, problem.sharing, None, basis.reshape(n * P, -1))


def _of_responses(problem: Problem, x: FloatArray, V: FloatArray) -> KernelSpace:
    """The first block: U on all directions; block t+1: what ``W^(t) h^t`` adds to the responses at earlier times."""
    n, P, count = problem.n, problem.P, V.shape[1]
    responses = _Responses(problem.sharing)
    steps, sizes = [], [count]
    h, came = np.zeros((P, 0)), np.zeros((P, 0))
    basis = []
    for t in range(n):
        m = sum(sizes)
        drive = np.zeros((P, m))
        drive[:, :count] = _coordinates(x[:, t], V)
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
        left, values, right = np.linalg.svd(_equilibrated(distinct), full_matrices=False)
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
        self._met = np.zeros((0, self._G.shape[1], 0))

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
        width = max(m, self._met.shape[2])
        here = np.zeros((r, K, width))
        here[:, :, present] = self._G[t][:, None] * rows[:, None, :]
        met = np.zeros((len(self._met), K, width))
        met[:, :, : self._met.shape[2]] = self._met
        flat, known = here.reshape(r, K * width), met.reshape(len(met), K * width)
        frame = np.linalg.qr(known.T)[0]
        rest = flat / np.linalg.norm(self._G[t])
        for _ in range(2):
            rest = rest - (rest @ frame) @ frame.T
        left, sizes, _ = np.linalg.svd(rest, full_matrices=False)
        new = int(np.sum(sizes > CUT))
        if new == r:
            self._met = np.concatenate([met, here])
            return rows, None
        fresh, tied = left[:, :new], left[:, new:]
        shares = np.linalg.lstsq(known.T, (tied.T @ flat).T, rcond=None)[0].T
        self._met = np.concatenate([met, np.tensordot(fresh.T, here, axes=1)])
        return fresh.T @ rows, np.concatenate([tied @ shares, fresh], axis=1)

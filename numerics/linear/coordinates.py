"""The coordinates of a problem's trajectories, ``h = Q g`` (``numerics.linear.space``).

See docs/theory.md sections 3, 10 and 11.


The coordinates are those of drives ``h^t - a h^{t-1}``, so that Q adds them up where a ≠ 0. A bias is an input like any
other, of as many dimensions as B has rank, the same for all patterns.

- Where the patterns of the first input are independent of each other, or inputs span more and more directions with time
  and nothing else ties one time's trajectory to another's: block t is the span of the drive of h^t itself.
- With input at t = 0 only: block t is that of the directions that inputs span.
- Some matrices are equal, as all of the RNN's: a block holds the responses of one matrix to products of some number of
  matrices with U, on the directions that inputs have spanned by then; the RNN's ``W (a+W)^(k-1) U``.
- Else the first block holds U's responses, block t+1 those of ``W^(t)`` to the span of ``h^t``, without the responses
  that are in earlier blocks already, as those of an equal matrix to an equal activity are.

The blocks' sizes vary: patterns whose inputs coincide, or depend on each other, until a time t share coordinates until
then. Responses are independent, unless M is singular without equal matrices, and of order one under the prior however
close patterns are, so that close patterns make no matrix ill-conditioned, and no jitter is added anywhere.

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
from numerics.inputs.driving import driving_inputs
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.linear.directions import along, block_starts, conditioning, input_directions
from numerics.linear.responses import equal_matrices, is_singular, of_products, of_responses
from numerics.linear.space import CLEAR, CUT, KernelSpace, Link


def kernel_space(problem: Problem) -> KernelSpace:
    """The coordinates of a problem's trajectories.

    Raises:
        InputError: a pattern's input is zero at all times up to a supervised one, so that its output cannot be
            anything but zero.
    """
    x = driving_inputs(problem, problem.x)
    _refuse_dead_patterns(problem, x)
    P = problem.P
    if x.shape[2] >= P and conditioning(x[:, 0]) > CLEAR:
        return _of_one_frame(problem, x)
    V, counts = input_directions(x)
    if not x[:, 1:].any():
        return _of_first_input(problem, x, V)
    different = equal_matrices(problem.sharing, problem.skip)[0]
    # equal matrices give close patterns no close responses if products are named one by one
    named = len(different) < problem.n - 1 and not is_singular(problem.sharing[np.ix_(different, different)])
    responses = of_products(problem, x, V, counts) if named or problem.n <= 2 else of_responses(problem, x, V)
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


# --- blocks that each time takes to the next as they are, up to what skips ------------------------------------------


def _cumulative(sizes: Sequence[int], skip: float) -> list[FloatArray]:
    """Rows of ``(1 - aΣ)⁻¹`` by blocks: ``h^t = Σ_s a^{t-s} d^s`` in the coordinates that both have, (sizes[t], m)."""
    starts, m = block_starts(sizes), sum(sizes)
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
    starts, steps = block_starts(sizes), []
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
    return _framed(problem, inputs, along(x[:, 0], V))


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
    starts, m = block_starts(sizes), sum(sizes)
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

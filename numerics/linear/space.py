"""The space of kernels that a problem's inputs allow: H = Q Ĥ Qᵀ with Ĥ positive-definite (docs/theory.md section 3).

One neuron's trajectory over all patterns is ``h = Q g``. Its coordinates g come in n blocks, so that W takes block k to
block k+1, and inputs come in through U alone:

- RNN: block k holds the responses ``W^k U`` to the directions that inputs span, as far as they are met;
- DNN: the first block holds U's responses, block t+1 those of ``W^(t)`` to the span of ``h^t``;
- where the patterns of the first input are independent of each other, or inputs span more and more directions with time
  and nothing else ties one time's trajectory to another's: block t is the span of ``h^t`` itself.

With input at t = 0 only all three are the same. The blocks' sizes vary: patterns whose inputs coincide, or depend on
each other, until a time t share coordinates until then. The responses are independent and of order one under the prior
however close patterns are, so that close patterns make no matrix ill-conditioned, and no jitter is added anywhere.

An input direction counts if it is more than `CUT` of the inputs' size. The kernel along a direction of relative size ε
is ε² of the others': below the cut, 1e-20, a state that does not learn it changes by no more than rounding unless
labels pull by 1e10 standard deviations of their noise; above it, the inputs' own rounding is 1e-16/ε of the direction,
1e-6 at the cut. Without noise (κ = 0) there is no such continuity, whatever the cut: two labels then fix a slope
between patterns however close, and none between equal ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, IntArray

#: Relative size below which an input direction is none, and above which directions are far from it.
CUT, CLEAR = 1e-10, 1e-2


@dataclass(frozen=True, eq=False)
class Link:
    """What W of one time of a DNN takes from h^t to h^(t+1).

    Attributes:
        source: coordinates that h^t depends on.
        sent: ``h^t = q_t (sent · g[source])``, (r_t, len(source)); None for the identity.
        target: coordinates of the response, r_t of them.
    """

    source: slice | IntArray
    sent: FloatArray | None
    target: slice

    def between(self, H: FloatArray) -> FloatArray:
        """The covariance of h^t, or a change of it, from that of coordinates, (r_t, r_t)."""
        if isinstance(self.source, slice):
            return H[self.source, self.source]
        assert self.sent is not None
        return np.asarray(self.sent @ H[np.ix_(self.source, self.source)] @ self.sent.T)

    def add_back(self, force: FloatArray, block: FloatArray) -> None:
        """Add the adjoint of `between` to a matrix on coordinates."""
        if isinstance(self.source, slice):
            force[self.source, self.source] += block
        else:
            assert self.sent is not None
            force[np.ix_(self.source, self.source)] += self.sent.T @ block @ self.sent

    def rows(self, A: FloatArray) -> FloatArray:
        """``h^t`` of columns of coordinates, (r_t, columns)."""
        return A[self.source] if self.sent is None else np.asarray(self.sent @ A[self.source])


@dataclass(frozen=True, eq=False)
class KernelSpace:
    """Coordinates of the joint index space (t, p), time-major.

    Attributes:
        n, P: hidden times and patterns.
        sizes: coordinates of each of the n blocks.
        inputs: F with ``uX⁻ = u F Fᵀ`` in the coordinates, one column for each input dimension, (m, D).
        links: of a DNN whose times depend on shared coordinates; None where block t is sent to block t+1.
        pattern_basis: q (P, r) if the basis is ``Q = 1_n ⊗ q``, else None.
        basis: Q, (nP, m), where it is not of that form.
    """

    n: int
    P: int
    sizes: tuple[int, ...]
    inputs: FloatArray
    links: tuple[Link, ...] | None
    pattern_basis: FloatArray | None
    basis: FloatArray | None

    @property
    def dimension(self) -> int:
        """Columns of Q, m."""
        return sum(self.sizes)

    @property
    def block(self) -> int:
        """Size of the first block; of every block where the basis is ``1_n ⊗ q``."""
        return self.sizes[0]

    @cached_property
    def starts(self) -> IntArray:
        """First coordinate of each block, and m, (n+1,)."""
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.intp)

    def full_basis(self) -> FloatArray:
        """Q, (nP, m)."""
        if self.pattern_basis is not None:
            return np.asarray(np.kron(np.eye(self.n), self.pattern_basis), dtype=np.float64)
        assert self.basis is not None
        return self.basis

    @cached_property
    def is_identity(self) -> bool:
        """Whether coordinates are the pre-activations themselves."""
        return self.pattern_basis is not None and np.array_equal(self.pattern_basis, np.eye(self.P))

    def expand(self, H: FloatArray) -> FloatArray:
        """``Q H Qᵀ``, (nP, nP)."""
        if self.is_identity:
            return H.copy()
        Q = self.full_basis()
        full = Q @ H @ Q.T
        return 0.5 * (full + full.T)

    def basis_rows(self, positions: IntArray) -> FloatArray:
        """Rows of Q at positions of the joint index."""
        if self.pattern_basis is None:
            assert self.basis is not None
            return self.basis[positions]
        rows = np.zeros((len(positions), self.n, self.block))
        rows[np.arange(len(positions)), positions // self.P] = self.pattern_basis[positions % self.P]
        return rows.reshape(len(positions), -1)

    # --- the shift in time and the mask -----------------------------------------------------------------------

    @cached_property
    def shift(self) -> tuple[slice | IntArray, slice | IntArray]:
        """Coordinates that W reaches, and those that it takes there."""
        if len(set(self.sizes)) == 1:
            return slice(self.block, None), slice(0, self.dimension - self.block)
        kept = [np.arange(min(pair)) for pair in zip(self.sizes[1:], self.sizes[:-1], strict=True)]
        to = np.concatenate([self.starts[k + 1] + part for k, part in enumerate(kept)])
        return to, np.concatenate([self.starts[k] + part for k, part in enumerate(kept)])

    @cached_property
    def masked_links(self) -> tuple[Link, ...]:
        """What each W of a DNN takes from one time to the next, n-1 of them."""
        if self.links is not None:
            return self.links
        found = []
        for k in range(self.n - 1):
            size, here, after = min(self.sizes[k : k + 2]), int(self.starts[k]), int(self.starts[k + 1])
            found.append(Link(slice(here, here + size), None, slice(after, after + size)))
        return tuple(found)

    @cached_property
    def shift_blocks(self) -> tuple[Any, Any]:
        """The entries that `shift` moves to and from in a matrix."""
        to, start = self.shift
        if isinstance(to, slice) or isinstance(start, slice):
            return (to, to), (start, start)
        return np.ix_(to, to), np.ix_(start, start)

    def shift_rows(self, A: FloatArray) -> FloatArray:
        """``ΣA``: rows moved one time on."""
        moved = np.zeros_like(A)
        to, start = self.shift
        moved[to] = A[start]
        return moved

    def shifted(self, H: FloatArray, arch: str) -> FloatArray:
        """``[H⁻]`` in the space, with the architecture's mask."""
        moved = np.zeros_like(H)
        if arch == "rnn":
            to, start = self.shift_blocks
            moved[to] = H[start]
            return moved
        for link in self.masked_links:
            moved[link.target, link.target] = link.between(H)
        return moved

    def shifted_back(self, force: FloatArray, arch: str) -> FloatArray:
        """The adjoint of `shifted`."""
        moved = np.zeros_like(force)
        if arch == "rnn":
            to, start = self.shift_blocks
            moved[start] = force[to]
            return moved
        for link in self.masked_links:
            link.add_back(moved, force[link.target, link.target])
        return moved

    def received(self, cross: FloatArray, t: int, arch: str) -> FloatArray:
        """What h^(t+1) of further patterns and ``W`` have in common with g, from their h^t's ``⟨h g⟩``, (…, m)."""
        if arch == "rnn":
            return self.shift_rows(cross.T).T
        moved, link = np.zeros_like(cross), self.masked_links[t - 1]
        moved[:, link.target] = link.rows(cross.T).T
        return moved


def input_covariance(problem: Problem) -> FloatArray:
    """``u X⁻``, ``(X⁻)^{tt'}_{pp'} = x^{t-1}_p · x^{t'-1}_{p'} / D``, (nP, nP)."""
    problem.plain("input_covariance")
    rows = math.sqrt(problem.u / problem.D) * _rows(problem)
    return np.asarray(rows @ rows.T)


def _rows(problem: Problem) -> FloatArray:
    """``x^{t-1}_p`` in the time-major index, (nP, D)."""
    return problem.x.transpose(1, 0, 2).reshape(problem.n * problem.P, problem.D)


def kernel_space(problem: Problem) -> KernelSpace:
    """The coordinates of a problem's trajectories.

    Raises:
        InputError: a pattern's input is zero at all times up to a supervised one, so that its output cannot be
            anything but zero.
    """
    problem.plain("kernel_space")
    _refuse_dead_patterns(problem)
    n, P = problem.n, problem.P
    only_first = not problem.x[:, 1:].any()
    if P <= problem.D and _conditioning(problem.x[:, 0]) > CLEAR:
        return KernelSpace(n, P, (P,) * n, _rows(problem) / math.sqrt(problem.D), None, np.eye(P), None)
    V, counts = _input_directions(problem.x)
    count = counts[-1]
    if only_first:
        inputs = np.zeros((n * count, problem.D))
        inputs[:count] = V.T / math.sqrt(problem.D)
        return KernelSpace(n, P, (count,) * n, inputs, None, _coordinates(problem.x[:, 0], V), None)
    responses = _of_rnn(problem, V, counts) if problem.arch == "rnn" else _of_dnn(problem, V)
    return _of_times(problem, responses.dimension) or responses


def _refuse_dead_patterns(problem: Problem) -> None:
    alive = np.logical_or.accumulate(problem.x.any(axis=2), axis=1)  # (P, n): h^t is not zero
    dead = np.argwhere(np.isfinite(problem.y) & ~alive)
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


def _of_rnn(problem: Problem, V: FloatArray, counts: tuple[int, ...]) -> KernelSpace:
    """Block k: ``W^k U`` on the directions of x^0 … x^{n-1-k}."""
    n, P = problem.n, problem.P
    sizes = counts[::-1]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    basis = np.zeros((n, P, starts[-1]))
    for s in range(n):
        met = _coordinates(problem.x[:, s], V)
        for k in range(n - s):
            basis[s + k, :, starts[k] : starts[k] + counts[s]] = met[:, : counts[s]]
    inputs = np.zeros((starts[-1], problem.D))
    inputs[: sizes[0]] = V.T / math.sqrt(problem.D)
    return KernelSpace(n, P, sizes, inputs, None, None, basis.reshape(n * P, -1))


def _of_dnn(problem: Problem, V: FloatArray) -> KernelSpace:
    """The first block: U on all directions; block t+1: the fresh ``W^(t) h^t``, on the span of h^t."""
    n, P, count = problem.n, problem.P, V.shape[1]
    shared, fresh = np.arange(count), np.zeros((P, 0))
    own = np.zeros(0, dtype=np.intp)
    links, sizes, rows = [], [count], []
    for t in range(n):
        met = _coordinates(problem.x[:, t], V)
        rows.append((met, own, fresh))
        if t == n - 1:
            break
        # h^t = q_t (sent · g): orthonormal rows `sent` on the coordinates that it depends on, as is the prior's own
        both = np.concatenate([met, fresh], axis=1)
        distinct, which = np.unique(both, axis=0, return_inverse=True)
        norms = np.linalg.norm(distinct, axis=1, keepdims=True)
        left, values, right = np.linalg.svd(_equilibrated(distinct), full_matrices=False)
        kept = values > CUT * values[0]
        q = (norms * left[:, kept] * values[kept])[which.ravel()]
        size, start = int(kept.sum()), sum(sizes)
        links.append(Link(np.concatenate([shared, own]), right[kept], slice(start, start + size)))
        own, fresh = np.arange(start, start + size), q
        sizes.append(size)
    m = sum(sizes)
    basis = np.zeros((n, P, m))
    for t, (met, place, q) in enumerate(rows):
        basis[t, :, :count] = met
        basis[t][:, place] = q
    inputs = np.zeros((m, problem.D))
    inputs[:count] = V.T / math.sqrt(problem.D)
    return KernelSpace(n, P, tuple(sizes), inputs, tuple(links), None, basis.reshape(n * P, m))


def _of_times(problem: Problem, fewer_than: int) -> KernelSpace | None:
    """Block t: the span of h^t, nested; None where it is no smaller, not clear, or tied to other times."""
    n, P = problem.n, problem.P
    norms = np.linalg.norm(problem.x, axis=2)
    scale = float(norms.max())
    if not norms[norms > 0].min() > CLEAR * scale:
        return None  # small patterns would not count
    q = np.zeros((P, 0))
    sizes: list[int] = []
    for t in range(n):
        rest = problem.x[:, t] / scale
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
    m = sum(sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    basis, inputs = np.zeros((n, P, m)), np.zeros((m, problem.D))
    for t in range(n):
        here = slice(starts[t], starts[t + 1])
        basis[t, :, here] = q[:, : sizes[t]]
        inputs[here] = q[:, : sizes[t]].T @ problem.x[:, t] / math.sqrt(problem.D)
    space = KernelSpace(n, P, tuple(sizes), inputs, None, None, basis.reshape(n * P, m))
    prior = inputs @ inputs.T
    for _ in range(n - 1):
        prior = space.shifted(prior, problem.arch) + inputs @ inputs.T
    size = np.sqrt(np.maximum(np.diagonal(prior), 1e-300))
    return space if np.linalg.eigvalsh(prior / np.outer(size, size))[0] > CLEAR**2 else None

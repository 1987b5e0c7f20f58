"""The space of kernels that a problem's inputs allow: H = Q Ĥ Qᵀ with Ĥ positive-definite (docs/theory.md section 3).

One neuron's trajectory over all patterns is ``h = Q g``. Its coordinates g come in n blocks, so that the matrix of one
time takes h there to the block of the next: ``C = w M̂∘(R Ĥ Rᵀ) + Ĉ_0``, with R the rows that all of them take, M̂_st on
the blocks of two times the sharing matrix's entry (docs/theory.md section 10), and Ĉ_0 of inputs and biases.
``numerics.linear.coordinates`` makes the coordinates of a problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from numerics.linalg import BoolArray, FloatArray, IntArray, components

#: Relative size below which an input direction is none, and above which directions are far from it.
CUT, CLEAR = 1e-10, 1e-2

#: Coordinates, in a row where they are neighbours.
Coordinates = slice | IntArray


@dataclass(frozen=True, eq=False)
class Link:
    """What the matrices of one time, or of all times that are correlated, take from h to the coordinates after it.

    Attributes:
        source: coordinates that h depends on.
        sent: rows R of ``h = R g[source]`` that are taken, (r, len(source)); None for the identity.
        target: coordinates of the responses, r of them.
        mask: M̂ on these, (r, r); None for 1.
    """

    source: Coordinates
    sent: FloatArray | None
    target: Coordinates
    mask: FloatArray | None = None

    @cached_property
    def received(self) -> IntArray:
        """Numbers of the target's coordinates."""
        return _numbers(self.target)

    @cached_property
    def entries(self) -> tuple[Coordinates, Coordinates]:
        """Where the target's block stands in a matrix."""
        return block_of(self.target)

    @cached_property
    def sources(self) -> tuple[Coordinates, Coordinates]:
        """Where the block that it depends on stands in a matrix."""
        return block_of(self.source)

    def between(self, H: FloatArray) -> FloatArray:
        """``M̂∘(R H Rᵀ)``, the covariance of responses over w, or a change of it, (…, r, r)."""
        block = H[(..., *self.sources)]
        block = block if self.sent is None else self.sent @ block @ self.sent.T
        return block if self.mask is None else self.mask * block

    def add_back(self, force: FloatArray, block: FloatArray) -> None:
        """Add the adjoint of `between` to a matrix on coordinates."""
        block = block if self.mask is None else self.mask * block
        force[self.sources] += block if self.sent is None else self.sent.T @ block @ self.sent

    def rows(self, A: FloatArray) -> FloatArray:
        """``R A`` for columns of coordinates, (…, r, columns)."""
        taken = A[..., self.source, :]
        return taken if self.sent is None else np.asarray(self.sent @ taken)


def _numbers(part: Coordinates) -> IntArray:
    return np.arange(part.start, part.stop) if isinstance(part, slice) else part


def block_of(part: Coordinates) -> tuple[Coordinates, Coordinates]:
    """Where the block of some coordinates stands in a matrix."""
    return (part, part) if isinstance(part, slice) else (part[:, None], part)


def _groups(shares: BoolArray) -> IntArray:
    """Number of the connected group of each time; the two common cases are a good part of a small problem's time."""
    if shares.all():
        return np.zeros(len(shares), dtype=np.intp)
    if shares.sum() == len(shares):  # the diagonal, which is never 0
        return np.arange(len(shares))
    return components(len(shares), *np.nonzero(shares))


def together(parts: Sequence[Coordinates]) -> Coordinates:
    """Several coordinates, in their order."""
    numbers = np.concatenate([_numbers(part) for part in parts])
    return slice(int(numbers[0]), int(numbers[-1]) + 1) if (np.diff(numbers) == 1).all() else numbers


@dataclass(frozen=True, eq=False)
class KernelSpace:
    """Coordinates of the joint index space (t, p), time-major.

    Attributes:
        n, P: hidden times and patterns.
        sizes: coordinates of each block: of each time, unless some of several times have one block.
        inputs: F with ``uX⁻ + βB = u F Fᵀ`` in the coordinates, one column for each input dimension, (m, D).
        steps: what the matrix of each block but the first takes there, with M = 1.
        sharing: M of these matrices.
        pattern_basis: q (P, r) if the basis is ``Q = 1_n ⊗ q``, else None.
        basis: Q, (nP, m), where it is not of that form.
        of_times: M between W^(t), n-1 of them, and the matrix of each step; None where these are the same.
    """

    n: int
    P: int
    sizes: tuple[int, ...]
    inputs: FloatArray
    steps: tuple[Link, ...]
    sharing: FloatArray
    pattern_basis: FloatArray | None
    basis: FloatArray | None
    of_times: FloatArray | None = None

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

    # --- what W takes from one time to the next ------------------------------------------------------------------

    @cached_property
    def is_tied(self) -> bool:
        """Whether one W serves all times: M is 1 everywhere."""
        return bool((self.sharing == 1).all())

    @cached_property
    def is_shift(self) -> bool:
        """Whether each block is taken to the next as it is."""
        return all(step.sent is None for step in self.steps)

    @cached_property
    def is_independent(self) -> bool:
        """Whether no two times share anything of their W: M is diagonal, as where there is one W alone."""
        return len(self.links) == len(self.steps)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Times whose matrices are correlated together, groups of them in order of their first."""
        groups = _groups(self.sharing != 0) if self.steps else np.zeros(0)
        found = []
        for group in dict.fromkeys(groups.tolist()):
            times = np.flatnonzero(groups == group)
            found.append(self._joined([self.steps[t] for t in times], self.sharing[np.ix_(times, times)]))
        return tuple(found)

    def _joined(self, steps: Sequence[Link], M: FloatArray) -> Link:
        target = together([step.target for step in steps])
        if len(steps) == 1 and M[0, 0] == 1:
            return steps[0]
        if all(step.sent is None for step in steps) and len(steps) > 1:
            source, sent = together([step.source for step in steps]), None
        else:
            present = np.unique(np.concatenate([_numbers(step.source) for step in steps]))
            identity = np.eye(self.dimension)[:, present]
            source, sent = present, np.concatenate([step.rows(identity) for step in steps])
        if len(steps) == 1:  # a width of its own
            assert sent is not None
            return Link(source, np.sqrt(M[0, 0]) * sent, target)
        sizes = [len(step.received) for step in steps]
        mask = None if (M == 1).all() else np.repeat(np.repeat(M, sizes, axis=0), sizes, axis=1)
        return Link(source, sent, target, mask)

    def shift_rows(self, A: FloatArray) -> FloatArray:
        """``R A``: what all times take, at the coordinates that receive it, as by one W of unit width."""
        moved = np.zeros(A.shape)
        for step in self.links if self.is_tied else self.steps:
            moved[step.target] = step.rows(A)
        return moved

    @cached_property
    def taken(self) -> FloatArray:
        """R, (m, m)."""
        return self.shift_rows(np.eye(self.dimension))

    @cached_property
    def mask(self) -> FloatArray:
        """M̂, (m, m); 0 where nothing is received."""
        found = np.zeros((self.dimension, self.dimension))
        for s, row in enumerate(self.steps):
            for t, column in enumerate(self.steps):
                found[row.target, column.target] = self.sharing[s, t]
        return found

    def shifted(self, H: FloatArray) -> FloatArray:
        """``M̂∘(R H Rᵀ)``, what becomes of a kernel one time on, (…, m, m)."""
        moved = np.zeros(H.shape)
        for link in self.links:
            moved[(..., *link.entries)] = link.between(H)
        return moved

    def shifted_back(self, force: FloatArray) -> FloatArray:
        """The adjoint of `shifted`."""
        moved = np.zeros(force.shape)
        for link in self.links:
            link.add_back(moved, force[link.entries])
        return moved

    def received(self, cross: FloatArray, t: int) -> FloatArray:
        """What W^(t) h^t of further patterns has in common with the drives, over w, from their ``⟨h^t g⟩``, (…, m)."""
        return self.of_matrix(t) * (cross @ self.taken.T)

    def of_matrix(self, t: int) -> FloatArray:
        """M between W^(t), t = 1 … n-1, and the matrix that each coordinate is a response of, (m,); 0 in the first
        block."""
        found, row = np.zeros(self.dimension), (self.sharing if self.of_times is None else self.of_times)[t - 1]
        for step, value in zip(self.steps, row, strict=True):
            found[step.target] = value
        return found

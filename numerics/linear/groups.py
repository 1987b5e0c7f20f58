"""Groups of times that have nothing in common beside the inputs' coordinates: covariance selection for the kernel.

See docs/theory.md section 3.

Where C is block-diagonal over groups of times (independent W), F depends on few blocks of H and, through ``-½ ln|H|``,
on all of them. Let each block that C, ``tr[HC⁻¹]`` or the energy sees lie in a *clique*: the coordinates that groups
share (the responses of U, where inputs come at later times) and those of one group; groups that labels tie are one.
Given the cliques' blocks, ``-½ ln|H|`` is least where ``(H⁻¹)_gg' = 0`` between different groups (Dempster 1972): the
Cholesky factor L, shared coordinates first, is then an arrow, and so are the gradient, the inverse, and steps S. In the
natural metric the Hessian is ½ on what lies across, and nothing else: every stationary kernel is an arrow, and its
index is that among arrows. A DNN's kernel of n times costs n cliques.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from numerics.linalg import FloatArray, IntArray
from numerics.linear.energy import Target
from numerics.linear.functional import KernelFunctional


@dataclass(frozen=True, eq=False)
class Drive:
    """What the W of one group of coordinates takes there: their C is ``A H Aᵀ``.

    Attributes:
        source: clique that C follows from.
        sent: A, (r, rows of that clique).
        target: clique of the group.
        place: its r rows in that clique.
    """

    source: int
    sent: FloatArray
    target: int
    place: IntArray


@dataclass(frozen=True, eq=False)
class Groups:
    """The cliques of a problem, and arrows on them.

    An arrow is one row of numbers, the symmetric matrices of all cliques, with the shared block in the first and zero
    there in the others: its norm is that of the arrow as a matrix.

    Attributes:
        functional: F.
        shared: coordinates in every clique, p of them.
        own: those of each clique alone.
        drives: in order of time.
        given: clique and rows whose C is the inputs', and its Cholesky factor.
        label: clique that the energy depends on.
        target: the labels, with rows of the read-out on it.
    """

    functional: KernelFunctional
    shared: IntArray
    own: tuple[IntArray, ...]
    drives: tuple[Drive, ...]
    given: tuple[int, IntArray, FloatArray]
    label: int
    target: Target

    @cached_property
    def cliques(self) -> tuple[IntArray, ...]:
        """Coordinates of each, shared ones first."""
        return tuple(np.concatenate([self.shared, own]) for own in self.own)

    @cached_property
    def is_cyclic(self) -> bool:
        """Whether a group drives one before it, or itself: one way through the groups is then no recursion in time."""
        targets = [drive.target for drive in self.drives]
        return any(drive.source in targets[k:] for k, drive in enumerate(self.drives))

    @cached_property
    def _places(self) -> tuple[tuple[slice, int], ...]:
        """Numbers and side of each clique."""
        ends = np.cumsum([len(rows) ** 2 for rows in self.cliques])
        return tuple(
            (slice(int(end) - len(c) ** 2, int(end)), len(c)) for end, c in zip(ends, self.cliques, strict=True)
        )

    @property
    def numbers(self) -> int:
        """Numbers of all cliques, Σq²."""
        return int(self._places[-1][0].stop)

    @cached_property
    def identity(self) -> FloatArray:
        """The arrow 1."""
        numbers, p = np.concatenate([np.eye(q).ravel() for _, q in self._places]), len(self.shared)
        for block in self.blocks(numbers)[1:]:
            block[:p, :p] = 0.0
        return numbers

    def blocks(self, numbers: FloatArray) -> list[FloatArray]:
        """The matrices of the cliques, (…, q, q) each, as views."""
        lead = numbers.shape[:-1]
        return [numbers[..., part].reshape(*lead, q, q) for part, q in self._places]

    def spread(self, arrow: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """A copy with the shared block in every clique, and its matrices."""
        numbers, p = arrow.copy(), len(self.shared)
        first, *others = blocks = self.blocks(numbers)
        for block in others if p else ():
            block[..., :p, :p] = first[..., :p, :p]
        return numbers, blocks

    def joined(self, numbers: FloatArray, blocks: list[FloatArray]) -> FloatArray:
        """The adjoint of `spread`, in place: the shared blocks of all cliques are added up in the first."""
        p = len(self.shared)
        first, *others = blocks
        for block in others if p else ():
            first[..., :p, :p] += block[..., :p, :p]
            block[..., :p, :p] = 0.0
        return numbers

    # --- orthonormal coordinates -------------------------------------------------------------------------------

    @cached_property
    def _coordinates(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Where each coordinate stands, above the diagonal and below it, and its weight."""
        above, below, diagonal = [], [], []
        for k, (part, q) in enumerate(self._places):
            rows, columns = np.triu_indices(q)
            new = columns >= (len(self.shared) if k else 0)
            rows, columns = rows[new], columns[new]
            above.append(part.start + rows * q + columns)
            below.append(part.start + columns * q + rows)
            diagonal.append(rows == columns)
        weights = np.where(np.concatenate(diagonal), 1.0, math.sqrt(2.0))
        return np.concatenate(above), np.concatenate(below), weights

    @property
    def size(self) -> int:
        """Orthonormal coordinates of arrows."""
        return len(self._coordinates[0])

    def to_vector(self, arrow: FloatArray) -> FloatArray:
        """Coordinates of an arrow, (…, size)."""
        above, _, weights = self._coordinates
        return np.asarray(arrow[..., above] * weights)

    def from_vector(self, z: FloatArray) -> FloatArray:
        """Inverse of `to_vector`."""
        above, below, weights = self._coordinates
        arrow = np.zeros((*z.shape[:-1], self.numbers))
        arrow[..., above] = arrow[..., below] = z / weights
        return arrow

    def whole(self, blocks: Sequence[FloatArray]) -> FloatArray:
        """The matrix (…, m, m) with these blocks on the cliques."""
        m = self.functional.dimension
        out = np.zeros((*blocks[0].shape[:-2], m, m))
        for rows, block in zip(self.cliques, blocks, strict=True):
            out[..., rows[:, None], rows] = block
        return out


@lru_cache(maxsize=16)
def groups_of(functional: KernelFunctional) -> Groups | None:
    """The groups of a problem, None where there is one only."""
    if functional.space.is_tied or not functional.is_separate or len(functional.targets) > 1:
        return None
    if any(link.mask is not None for link in functional.space.links):
        return None
    space, m = functional.space, functional.dimension
    targets, sent = [], []
    for link in space.links:
        targets.append(link.received)
        sent.append(link.rows(math.sqrt(functional.w) * np.eye(m)))
    first = np.setdiff1d(np.arange(m), np.concatenate(targets)) if targets else np.arange(m)
    parts = [first, *targets]
    # parts that one thing depends on: what a W takes, and what is read
    used = [np.flatnonzero(rows.any(axis=0)) for rows in [*sent, functional.readout]]
    for shared in (np.zeros(0, dtype=np.intp), first):
        own = _components([part for part in parts if part is not shared], [np.setdiff1d(u, shared) for u in used], m)
        if len(own) > 1:
            return _built(functional, shared, own, first, list(zip(targets, sent, used[:-1], strict=True)), used[-1])
    return None


def _components(parts: Sequence[IntArray], ties: Sequence[IntArray], m: int) -> list[IntArray]:
    """Parts joined where a tie has coordinates of several, each in order."""
    label = np.full(m, -1)
    for k, part in enumerate(parts):
        label[part] = k
    for tie in ties:
        joined = np.unique(label[tie])
        if len(joined) > 1:
            label[np.isin(label, joined)] = joined[0]
    return [np.flatnonzero(label == k) for k in np.unique(label[label >= 0])]


def _built(
    functional: KernelFunctional,
    shared: IntArray,
    own: list[IntArray],
    first: IntArray,
    drives: list[tuple[IntArray, FloatArray, IntArray]],
    read: IntArray,
) -> Groups:
    cliques = [np.concatenate([shared, rows]) for rows in own]
    position = np.full((len(cliques), functional.dimension), -1)
    for k, rows in enumerate(cliques):
        position[k, rows] = np.arange(len(rows))

    def holding(coordinates: IntArray) -> int:
        return int(np.argmax((position[:, coordinates] >= 0).all(axis=1)))

    def place(coordinates: IntArray, clique: int) -> IntArray:
        return np.asarray(position[clique, coordinates])

    found = []
    for target, sent, used in drives:
        source, end = holding(used), holding(target)
        found.append(Drive(source, sent[:, cliques[source]], end, place(target, end)))
    start, label = holding(first), holding(read)
    factor = np.linalg.cholesky(functional.input_covariance[np.ix_(first, first)])
    return Groups(
        functional=functional,
        shared=shared,
        own=tuple(own),
        drives=tuple(found),
        given=(start, place(first, start), np.asarray(factor)),
        label=label,
        target=replace(functional.targets[0], readout=functional.readout[:, cliques[label]]),
    )

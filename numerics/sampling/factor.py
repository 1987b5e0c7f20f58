"""Correlated weights as sums of independent ones: ``W^(s) = Σ_k G_sk Z_k`` with ``M = G Gᵀ``.

See docs/theory.md section 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpstrf
from scipy.sparse.csgraph import connected_components

from numerics.linalg import FloatArray

#: Variance, relative to a step's own, below which nothing independent is left.
_REST = 1e-10


@dataclass(frozen=True, eq=False)
class Factor:
    """A covariance matrix of some steps as independent layers, rank(M) of them.

    Attributes:
        matrix: G, (steps, layers): pivoted Cholesky within each group. A step that is a copy of another, or independent
            of all, has a single 1 in its row.
        groups: steps of each group that is correlated within itself and independent of the rest, in increasing order.
        uses: of each step, the layers in it and their coefficients.
        members: of each layer, the steps that use it and their coefficients.
    """

    matrix: FloatArray
    groups: tuple[tuple[int, ...], ...]
    uses: tuple[tuple[tuple[int, float], ...], ...]
    members: tuple[tuple[tuple[int, float], ...], ...]

    @property
    def layers(self) -> int:
        """Number of independent layers, the rank of M."""
        return len(self.members)

    def layers_of(self, group: tuple[int, ...]) -> NDArray[np.intp]:
        """Layers that a group uses."""
        return np.flatnonzero(self.matrix[list(group)].any(axis=0))


def factorised(M: FloatArray) -> Factor:
    """The factor of a positive semi-definite M."""
    steps = len(M)
    labels = connected_components(M != 0, directed=False)[1] if steps else np.zeros(0, np.intp)
    groups = tuple(tuple(int(s) for s in np.flatnonzero(labels == k)) for k in range(labels.max(initial=-1) + 1))
    parts = [_cholesky(M[np.ix_(group, group)]) for group in groups]
    G = np.zeros((steps, sum(part.shape[1] for part in parts)))
    first = 0
    for group, part in zip(groups, parts, strict=True):
        G[list(group), first : first + part.shape[1]] = part
        first += part.shape[1]
    uses, members = (tuple(tuple((int(k), float(row[k])) for k in np.flatnonzero(row)) for row in X) for X in (G, G.T))
    return Factor(G, groups, uses, members)


def _cholesky(block: FloatArray) -> FloatArray:
    """``G``, (steps, rank), with steps in the order in which they are given."""
    scale = np.sqrt(block.diagonal())
    lower, pivots, rank, _ = dpstrf(block / np.outer(scale, scale), tol=_REST, lower=1)
    G = np.zeros((len(block), rank))
    G[pivots - 1] = np.tril(lower)[:, :rank]
    return np.asarray(scale[:, None] * G)

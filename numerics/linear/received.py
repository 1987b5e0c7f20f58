"""The entropy's derivatives through C for any sharing matrix, ``C = w M̂∘(RHRᵀ) + C_0`` (docs/theory.md section 10).

C depends on H in the blocks of correlated times alone (``KernelSpace.links``): one for each time of a DNN, for each
layer of a looped network, a single one where all times are correlated. With ``B = RL``, ``J = C⁻¹L`` and
``δ = w M̂∘(BSBᵀ)``, on these blocks,

``G = ½ w Bᵀ [M̂∘(C⁻¹ - JJᵀ)] B``, ``𝓗S = Bᵀ [w M̂∘φ] B - ½ JᵀδJ``,
``φ = ½ (C⁻¹δJJᵀ + JJᵀδC⁻¹ - C⁻¹δC⁻¹ - JSJᵀ)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from numerics.linalg import FloatArray, symmetric
from numerics.linear.space import Coordinates, KernelSpace, block_of, together
from numerics.linear.time_blocks import TimeBlocks


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the groups' rows stand.

    Attributes:
        rows: coordinates that receive something.
        blocks: how many rows each group has.
        mask: M̂ on the blocks, (groups, r, r); None for 1.
        source: what they follow from, in the same order, where that is taken as it is.
    """

    rows: Coordinates
    blocks: TimeBlocks
    mask: FloatArray | None
    source: Coordinates | None


@lru_cache(maxsize=16)
def _layout(space: KernelSpace) -> _Layout:
    links = space.links
    return _Layout(
        rows=together([link.target for link in links]),
        blocks=TimeBlocks(tuple(len(link.received) for link in links)),
        mask=_mask(space),
        source=together([link.source for link in links]) if all(link.sent is None for link in links) else None,
    )


@dataclass(frozen=True, eq=False)
class Received:
    """These derivatives at one kernel.

    Attributes:
        w: width of the matrices.
        blocks: rows of each group of times.
        mask: M̂ on the blocks, (groups, r, r); None for 1.
        separate: whether C has no entries between groups.
        inverse: C⁻¹ on what is received, (Σr, Σr).
        below: B, (Σr, m).
        J: its rows that are received, (Σr, m).
    """

    w: float
    blocks: TimeBlocks
    mask: FloatArray | None
    separate: bool
    inverse: FloatArray
    below: FloatArray
    J: FloatArray

    @staticmethod
    def of(space: KernelSpace, w: float, inverse: FloatArray, L: FloatArray, separate: bool) -> Received:
        """At ``H = LLᵀ`` with C⁻¹, (m, m)."""
        layout = _layout(space)
        source = layout.source
        return Received(
            w=w,
            blocks=layout.blocks,
            mask=layout.mask,
            separate=separate,
            inverse=inverse[block_of(layout.rows)],
            below=np.concatenate([link.rows(L) for link in space.links]) if source is None else L[source],
            J=inverse[layout.rows] @ L,
        )

    @cached_property
    def _precision(self) -> FloatArray:
        return self.blocks.diagonal(self.inverse, None)

    @cached_property
    def _response(self) -> FloatArray:
        """``JJᵀ`` on the blocks."""
        return self.blocks.diagonal(self.J, self.J)

    @cached_property
    def _response_rows(self) -> FloatArray:
        return self.J @ self.J.T

    @cached_property
    def _stacked(self) -> FloatArray:
        return np.concatenate([self.below, self.J])

    def _masked(self, blocks: FloatArray) -> FloatArray:
        return blocks if self.mask is None else self.mask * blocks

    @cached_property
    def adjoint(self) -> FloatArray:
        """G, (m, m)."""
        force = self._masked(self._precision - self._response)
        return 0.5 * self.w * (self.below.T @ self.blocks.times(force, self.below))

    def curvature(self, S: FloatArray) -> FloatArray:
        """𝓗S, or of a stack (…, m, m)."""
        blocks, sent = self.blocks, len(self.below)
        both = self._stacked @ S
        change = self._masked(self.w * blocks.diagonal(both[..., :sent, :], self.below))  # dC
        JSJ = blocks.diagonal(both[..., sent:, :], self.J)
        if self.separate:
            half = self._precision @ change
            K, KH = half @ self._precision, half @ self._response
        else:
            half = blocks.columns_times(self.inverse, change)
            K, KH = blocks.diagonal(half, self.inverse), blocks.diagonal(half, self._response_rows)
        force = self._masked(0.5 * self.w * (2.0 * symmetric(KH) - K - JSJ))
        direct = blocks.times(-0.5 * change, self.J)
        return np.asarray(self._stacked.T @ np.concatenate([blocks.times(force, self.below), direct], axis=-2))


def taken(space: KernelSpace, L: FloatArray) -> dict[str, Any]:
    """What the lowered entropy of any M asks for: R L and M̂ on coordinates that receive something, and their places."""
    rows = np.concatenate([step.received for step in space.steps])
    places = np.eye(space.dimension)[:, rows]
    return {"B": space.shift_rows(L)[rows], "M": space.mask[np.ix_(rows, rows)], "Z": places, "P": 1}


def _mask(space: KernelSpace) -> FloatArray | None:
    links = space.links
    if all(link.mask is None for link in links):
        return None
    r = max(len(link.received) for link in links)
    found = np.ones((len(links), r, r))
    for block, link in zip(found, links, strict=True):
        if link.mask is not None:
            block[: len(link.mask), : len(link.mask)] = link.mask
    return found

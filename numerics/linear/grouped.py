"""F on kernels whose groups of times are independent given what they share (``numerics.linear.groups``).

See docs/theory.md section 3.

``F = E + ½ Σ_g (tr[H_gg C_g⁻¹] + ln|C_g|) - ½ ln|H| - m/2`` over the groups g of coordinates on which C is
block-diagonal, ``C_g = A_g H A_gᵀ``. With the clique factors Λ, ``C_g = K_gK_gᵀ``, ``Ã = K⁻¹AΛ``, ``T = K⁻¹Λ_g`` and
``R = TTᵀ``, for steps S on the cliques and ``δ = ÃSÃᵀ``, ``D = TSTᵀ``:

``G  = energy - ½ + ½ Σ_g (Ãᵀ(1 - R)Ã + TᵀT)``,
``𝓗S = ½S + energy + ½(GS + SG) + ½ Σ_g (Ãᵀ(δR + Rδ - δ - D)Ã - TᵀδT)``.

Points have the interface of `KernelPoint`, with arrows for S.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from numerics.linalg import FloatArray, solve_lower, symmetric
from numerics.linear.energy import Energy
from numerics.linear.functional import KernelFunctional, KernelPoint
from numerics.linear.groups import Groups

#: Below this ‖S‖ the first terms serve for the exponential: positive-definite too, and within 0.3 %.
SMALL = 0.5


@dataclass(frozen=True, eq=False)
class _Taken:
    """One group's normalised maps at a point."""

    K: FloatArray
    sent: FloatArray  # Ã
    own: FloatArray  # T
    response: FloatArray  # R


@dataclass(frozen=True, eq=False)
class GroupedPoint:
    """An arrow kernel with its factorisations.

    Attributes:
        groups: the cliques.
        factors: Λ of each clique, lower triangular; their shared blocks are the same.
    """

    groups: Groups
    factors: tuple[FloatArray, ...]

    @staticmethod
    def of(groups: Groups, H: FloatArray) -> GroupedPoint:
        """The arrow with H's blocks on the cliques: of all kernels that have them the one of lowest F.

        Raises:
            numpy.linalg.LinAlgError: H is not positive-definite.
        """
        return GroupedPoint.from_blocks(groups, [H[np.ix_(rows, rows)] for rows in groups.cliques])

    @staticmethod
    def from_blocks(groups: Groups, blocks: Sequence[FloatArray]) -> GroupedPoint:
        """The arrow with these blocks."""
        return GroupedPoint(groups, _factors(blocks, len(groups.shared)))

    @property
    def functional(self) -> KernelFunctional:
        """F."""
        return self.groups.functional

    def whole(self) -> KernelPoint:
        """The same kernel as a matrix."""
        L = self.groups.whole([np.tril(factor) for factor in self.factors])
        return KernelPoint(self.functional, L @ L.T, L)

    def direction(self, S: FloatArray) -> FloatArray:
        """S as matrices (…, m, m), in the factor of `whole`."""
        return self.groups.whole(self.groups.spread(S)[1])

    # --- value ---------------------------------------------------------------------------------------------------

    @cached_property
    def _taken(self) -> tuple[_Taken, ...]:
        found = []
        for drive in self.groups.drives:
            A = drive.sent @ self.factors[drive.source]
            K = np.asarray(np.linalg.cholesky(A @ A.T))
            own = solve_lower(K, self.factors[drive.target][drive.place])
            found.append(_Taken(K, solve_lower(K, A), own, own @ own.T))
        return tuple(found)

    @cached_property
    def _given(self) -> FloatArray:
        """T of the group whose C is the inputs'."""
        clique, place, K = self.groups.given
        return solve_lower(K, self.factors[clique][place])

    @cached_property
    def _energy(self) -> Energy:
        return Energy.of(self.groups.target, self.factors[self.groups.label], self.functional.v, self.functional.kappa)

    @cached_property
    def energy(self) -> float:
        """``½ Σ_c y_cᵀ(v𝒯H𝒯ᵀ + κ)⁻¹y_c``."""
        return self._energy.value + self.functional.unexplained_energy

    @cached_property
    def entropy(self) -> float:
        """The divergence from the random network; at least 0."""
        m = self.functional.dimension
        share, logs = np.zeros(m), np.zeros(m)
        cliques, (start, place, K) = self.groups.cliques, self.groups.given
        for rows, factor in zip(cliques, self.factors, strict=True):
            logs[rows] = np.log(np.diagonal(factor))
        share[cliques[start]] += np.einsum("ij,ij->j", self._given, self._given)
        logs[cliques[start][place]] -= np.log(np.diagonal(K))
        for drive, taken in zip(self.groups.drives, self._taken, strict=True):
            rows = cliques[drive.target]
            share[rows] += np.einsum("ij,ij->j", taken.own, taken.own)
            logs[rows[drive.place]] -= np.log(np.diagonal(taken.K))
        # x - 1 - ln x row by row: nothing cancels badly
        return 0.5 * float(np.sum(share - 1.0 - 2.0 * logs))

    @property
    def free_energy(self) -> float:
        """``F``."""
        return self.energy + self.entropy

    # --- gradient ------------------------------------------------------------------------------------------------

    @cached_property
    def _forces(self) -> tuple[FloatArray, FloatArray]:
        """``TᵀT`` and ``½Ãᵀ(1 - R)Ã``, summed over groups."""
        groups = self.groups
        M, messages = np.zeros(groups.numbers), np.zeros(groups.numbers)
        held, sent = groups.blocks(M), groups.blocks(messages)
        held[groups.given[0]] += self._given.T @ self._given
        for drive, taken in zip(groups.drives, self._taken, strict=True):
            held[drive.target] += taken.own.T @ taken.own
            sent[drive.source] += 0.5 * (taken.sent.T @ (taken.sent - taken.response @ taken.sent))
        return groups.joined(M, held), groups.joined(messages, sent)

    @cached_property
    def gradient(self) -> FloatArray:
        """G, an arrow."""
        M, messages = self._forces
        G = 0.5 * (M - self.groups.identity) + messages
        blocks = self.groups.blocks(G)
        blocks[self.groups.label] += self._energy.gradient
        for block in blocks:
            block[...] = symmetric(block)
        return self.groups.joined(G, blocks)

    @cached_property
    def residual(self) -> float:
        """As of `KernelPoint`."""
        M, messages = self._forces
        scale = self._energy.gradient_size + 0.5 * float(np.linalg.norm(M)) + 0.5 * math.sqrt(self.functional.dimension)
        return float(np.linalg.norm(self.gradient)) / (scale + float(np.linalg.norm(messages)))

    # --- Hessian -------------------------------------------------------------------------------------------------

    @cached_property
    def _bend(self) -> list[FloatArray]:
        """G on the cliques."""
        return self.groups.spread(self.gradient)[1]

    def hessian_product(self, S: FloatArray) -> FloatArray:
        """``𝓗S``, or of a stack (…, numbers)."""
        groups, p = self.groups, len(self.groups.shared)
        blocks, force = groups.spread(S)[1], np.empty_like(S)
        out = groups.blocks(force)
        for bend, step, into in zip(self._bend, blocks, out, strict=True):
            np.matmul(bend, step, out=into)
        if p:  # once, not in every clique
            out[0][..., :p, :p] -= (len(out) - 1) * (self._bend[0][:p, :p] @ blocks[0][..., :p, :p])
        for drive, taken in zip(groups.drives, self._taken, strict=True):
            A, T = taken.sent, taken.own
            change = A @ blocks[drive.source] @ A.T
            moved = T @ blocks[drive.target] @ T.T
            out[drive.source] += A.T @ (change @ taken.response - 0.5 * (change + moved)) @ A
            out[drive.target] -= T.T @ (0.5 * change) @ T
        out[groups.label] += self._energy.curvature(blocks[groups.label])
        for block in out:
            block[...] = symmetric(block)
        return groups.joined(force, out) + 0.5 * S

    @cached_property
    def _carried(self) -> list[tuple[int, int, FloatArray]]:
        """𝒟 by groups: source, target and N of ``𝒟S = NSNᵀ`` on the target's own rows."""
        found, p = [], len(self.groups.shared)
        for drive, taken in zip(self.groups.drives, self._taken, strict=True):
            own = self.factors[drive.target][p:, p:]
            right = np.zeros((len(own), taken.sent.shape[1]))
            right[drive.place - p] = taken.K @ taken.sent
            found.append((drive.source, drive.target, solve_lower(own, right)))
        return found

    def preconditioned(self, S: FloatArray) -> FloatArray:
        """``KKᵀS``, ``K = √2(1-𝒟)⁻¹``: the inverse of the random network's Hessian at the L of the point."""
        groups, p = self.groups, len(self.groups.shared)
        force = 2.0 * S
        blocks = groups.blocks(force)
        for source, target, N in reversed(self._carried):
            blocks[source] += N.T @ blocks[target][..., p:, p:] @ N
        change, blocks = groups.spread(groups.joined(force, blocks))
        for source, target, N in self._carried:
            blocks[target][..., p:, p:] += N @ blocks[source] @ N.T
        for block in blocks:
            block[...] = symmetric(block)  # iterations must not see rounding grow
        for block in blocks[1:]:
            block[..., :p, :p] = 0.0
        return change

    def distance(self, other: GroupedPoint) -> float:
        """``‖L'⁻¹HL'⁻ᵀ - 1‖`` in the natural metric at another arrow, on the cliques."""
        blocks = []
        for factor, base in zip(self.factors, other.factors, strict=True):
            half = solve_lower(base, factor)
            blocks.append((half @ half.T).ravel())
        apart, p = np.concatenate(blocks), len(self.groups.shared)
        for block in self.groups.blocks(apart)[1:]:
            block[:p, :p] = 0.0
        return float(np.linalg.norm(apart - self.groups.identity))

    # --- moves ---------------------------------------------------------------------------------------------------

    def move(self, S: FloatArray) -> GroupedPoint:
        """The arrow with the blocks of ``L exp(S) Lᵀ``, to third order in S.

        The exponential is that of half of what lies within the shared block and the groups, that of what lies between,
        and the first half again.
        """
        p = len(self.groups.shared)
        blocks = self.groups.spread(S)[1]
        B = [block[p:, :p] for block in blocks]
        k, V = np.linalg.eigh(sum((b.T @ b for b in B), np.zeros((p, p))))
        root = np.sqrt(np.maximum(k, 0.0))
        cosh, within = (V * np.cosh(root)) @ V.T, (V * (0.5 * np.sinc(0.5j * root / np.pi).real ** 2)) @ V.T
        sinh = (V * np.sinc(1j * root / np.pi).real) @ V.T
        first = _exponential(0.5 * blocks[0][:p, :p])
        shared = first @ cosh @ first
        moved = []
        for block, b in zip(blocks, B, strict=True):
            half, q = _exponential(0.5 * block[p:, p:]), len(block)
            step = np.empty((q, q))
            step[:p, :p] = shared
            step[p:, :p] = half @ (b @ sinh) @ first
            step[:p, p:] = step[p:, :p].T
            lifted = half @ b
            step[p:, p:] = half @ half + lifted @ within @ lifted.T
            moved.append(step)
        steps = _factors(moved, p)
        return GroupedPoint(self.groups, tuple(L @ step for L, step in zip(self.factors, steps, strict=True)))

    def reflected(self, flips: Sequence[FloatArray]) -> GroupedPoint:
        """The mean of the kernel and its images under diagonal signs."""
        blocks = []
        for rows, factor in zip(self.groups.cliques, self.factors, strict=True):
            H = factor @ factor.T
            for flip in flips:
                H = 0.5 * (H + flip[rows][:, None] * H * flip[rows])
            blocks.append(H)
        return GroupedPoint.from_blocks(self.groups, blocks)


def _exponential(S: FloatArray) -> FloatArray:
    """``exp(S)``, to fourth order where S is small."""
    if np.linalg.norm(S) < SMALL:
        squared = S @ S
        result = S + 0.5 * squared + S @ squared / 6.0
        result.flat[:: len(S) + 1] += 1.0
        return np.asarray(result)
    values, vectors = np.linalg.eigh(S)
    return np.asarray((vectors * np.exp(values)) @ vectors.T)


def _factors(blocks: Sequence[FloatArray], p: int) -> tuple[FloatArray, ...]:
    """Cholesky factors of clique matrices, whose first p rows and columns are the same."""
    if p == 0:
        return tuple(np.asarray(np.linalg.cholesky(block)) for block in blocks)
    first = np.asarray(np.linalg.cholesky(blocks[0][:p, :p]))
    found = []
    for block in blocks:
        factor = np.zeros_like(block)
        factor[:p, :p] = first
        factor[p:, :p] = solve_lower(first, block[:p, p:]).T
        factor[p:, p:] = np.linalg.cholesky(block[p:, p:] - factor[p:, :p] @ factor[p:, :p].T)
        found.append(factor)
    return tuple(found)

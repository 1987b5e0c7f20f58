"""A stationary kernel of a problem, with everything that says how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.results.display import Facts, Shown, number, sign_fact
from numerics.results.plotting import Drawn
from numerics.results.storage import Stored

Branch = Literal["incoherent", "coherent"]

#: Temporal coherence beyond the random network's above which a state counts as coherent.
COHERENCE_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class Solution(Shown, Drawn, Stored):
    """A stationary point of the kernel free energy.

    Attributes:
        problem: what was solved.
        kernel: ``H``, (nP, nP), time-major index ``(t-1) P + p``.
        free_energy: ``F = energy + entropy``, in units of N (docs/theory.md section 3; the entropy is the divergence
            from the random network, so ``-m/2`` is included).
        energy: ``½ tr[Y(v𝒯H𝒯ᵀ+κ)⁻¹]``.
        entropy: ``½ tr[HC⁻¹] - ½ ln(|H|/|C|) - m/2 ≥ 0``.
        residual: norm of the gradient over the summed norms of the terms that cancel in it, in the natural metric
            ``H → L exp(S) Lᵀ``.
        converged: whether the residual is within tolerance.
        status: one sentence: how the iteration ended.
        stable: whether the Hessian is positive-definite (a minimum).
        hessian_smallest: smallest eigenvalue of the Hessian in the natural metric; NaN, and ``stable`` False, if it
            could not be found (large kernels).
        branch: ``"coherent"`` if a block between different times exceeds the random network's by more than
            ``COHERENCE_TOLERANCE``, relative to the blocks on the diagonal; else ``"incoherent"``. Labels at several
            times correlate these by themselves, so that such problems have coherent states only.
        iterations: Newton steps taken.
        minima: how many distinct minima the search for it compared.
        next_free_energy: F of the next minimum above this state, in units of N; None if the search has met none.
        reduced: the kernel in the space of ``numerics.linear.space`` (m, m), positive-definite; equal to ``kernel``
            where the first inputs are independent and far from dependence.
    """

    problem: Problem
    kernel: FloatArray
    free_energy: float
    energy: float
    entropy: float
    residual: float
    converged: bool
    status: str
    stable: bool
    hessian_smallest: float
    branch: Branch
    iterations: int
    reduced: FloatArray
    minima: int = 1
    next_free_energy: float | None = None

    def __post_init__(self) -> None:
        self.kernel.setflags(write=False)
        self.reduced.setflags(write=False)

    def facts(self) -> Facts:
        """What was solved, the state, and how far it can be trusted."""
        problem = self.problem
        return (
            ("problem", f"{problem.network}, T = {problem.T}, P = {problem.P}, κ = {problem.kappa:g}"),
            ("state", f"{self.branch}, {'stable' if self.stable else 'not stable'}"),
            ("free energy", f"{number(self.free_energy)} = {number(self.energy)} + {number(self.entropy)}"),
            ("residual", f"{self.residual:.1e}{'' if self.converged else ', NOT converged'}"),
            ("status", self.status),
            *sign_fact(self.sign_arbitrary),
        )

    def matrix(self) -> FloatArray:
        """The kernel."""
        return self.kernel

    @property
    def order_parameter(self) -> FloatArray:
        """``H^{T-1,T-2}``, a P × P block."""
        P = self.problem.P
        return self.kernel[-P:, -2 * P : -P]

    @cached_property
    def sign_arbitrary(self) -> tuple[int, ...]:
        """Hidden times t, 1-based, whose prediction f^(t+1) a symmetry of the posterior reverses.

        Its mean over all images of the state is 0 (``numerics.symmetry``).
        """
        from numerics.predictors.observables import predict
        from numerics.symmetry.gauge import reversed_times

        return reversed_times(self.problem, predict(self), odd=True)


def time_blocks(kernel: FloatArray, P: int) -> FloatArray:
    """The kernel as (n, n, P, P)."""
    n = kernel.shape[0] // P
    return kernel.reshape(n, P, n, P).transpose(0, 2, 1, 3)


def coherence_beyond(kernel: FloatArray, prior: FloatArray, P: int) -> float:
    """Largest off-diagonal time block of ``kernel - prior``, relative to the diagonal blocks of ``kernel``."""
    size = np.linalg.norm(time_blocks(kernel - prior, P), axis=(2, 3))
    diagonal = np.linalg.norm(time_blocks(kernel, P), axis=(2, 3)).diagonal()
    scale = np.sqrt(np.outer(diagonal, diagonal))
    relative = np.divide(size, scale, out=np.zeros_like(size), where=scale > 0)
    np.fill_diagonal(relative, 0.0)
    return float(relative.max())

"""A stationary kernel of a problem, with everything that says how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from numerics.display import Facts, number, sign_fact
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.plotting import kernel, kernel_label
from numerics.results.base import Result
from numerics.results.labelled import (
    KERNEL,
    Arrays,
    Labelled,
    kernel_array,
    kernel_coordinates,
    output_array,
    problem_attributes,
)
from numerics.results.readout import mean_outputs

BranchName = Literal["incoherent", "coherent"]

#: Temporal coherence beyond the random network's above which a state counts as coherent.
COHERENCE_TOLERANCE = 1e-6
#: Words by which a status says that the search ended at a bound.
LOOK_FURTHER = "`check` shows whether sampled networks are in a state of lower F"
#: Fields that are one number for each state.
SCALARS = ("free_energy", "energy", "entropy", "residual", "hessian_smallest", "converged", "stable")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Solution(Result):
    """A stationary point of the kernel's free energy, for any activation.

    ``numerics.linear.solution.LinearSolution`` and ``numerics.nonlinear.solution.NonlinearSolution`` add what their
    solvers know besides.

    Attributes:
        problem: what was solved.
        kernel: ``Φ``, (nP, nP), time-major index ``(t-1) P + p``; ``H`` for a linear network.
        free_energy: ``F = energy + entropy``, in units of N (docs/theory.md sections 3 and 4).
        energy: ``½ tr[Y(v𝒯Φ𝒯ᵀ+κ)⁻¹]``.
        entropy: of the kernel's law relative to the random network's, ≥ 0.
        residual: norm of ∂F/∂Φ over the summed norms of the terms that cancel in it.
        converged: whether the kernel is as accurate as the tolerance asked for.
        status: one sentence: how the search ended.
        stable: whether the Hessian of F(Φ) is positive-definite (a minimum), but for neutral modes along a manifold of
            minima, of which the status speaks.
        hessian_smallest: its smallest eigenvalue in the natural metric ``Φ → L exp(S) Lᵀ``, ``Φ = LLᵀ``; NaN, and
            ``stable`` False, if it could not be found (large kernels).
        branch: ``"coherent"`` if a block between different times exceeds the random network's by more than
            ``COHERENCE_TOLERANCE`` or the error of the averages, relative to the blocks on the diagonal; else
            ``"incoherent"``. Labels at several times correlate these by themselves, so that such problems have coherent
            states only.
        iterations: of the solver.
        sign_arbitrary: hidden times t, 1-based, whose prediction f^(t+1) a symmetry of the posterior reverses: its mean
            over all images of the state is 0 (``numerics.symmetry``).
        minima: how many distinct minima of F the search compared; 0 where none was searched for.
        next_free_energy: F of the next minimum above this state, in units of N; None if the search has met none.
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
    branch: BranchName
    iterations: int
    sign_arbitrary: tuple[int, ...] = ()
    minima: int = 0
    next_free_energy: float | None = None

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    def facts(self) -> Facts:
        """What was solved, the state, and how far it can be trusted."""
        problem = self.problem
        return (
            ("problem", f"{problem.model}, T = {problem.T}, P = {problem.P}, κ = {problem.kappa:g}"),
            ("state", f"{self.branch}, {'stable' if self.stable else 'not stable'}"),
            ("free energy", f"{number(self.free_energy)} = {number(self.energy)} + {number(self.entropy)}"),
            *self._averages(),
            ("residual", f"{self.residual:.1e}{'' if self.converged else ', NOT converged'}"),
            ("status", self.status),
            *sign_fact(self.sign_arbitrary),
        )

    def _averages(self) -> Facts:
        """What averages over a neuron's trajectory were made with, where they are not exact."""
        return ()

    def matrix(self) -> FloatArray:
        """The kernel."""
        return self.kernel

    def matrix_patterns(self) -> int:
        """P."""
        return self.problem.P

    def title(self) -> str:
        """The architecture and the branch."""
        return f"{self.problem.network}, {self.branch}"

    def draw(self, ax: Any, **style: Any) -> None:
        """The kernel as colours."""
        kernel(self.kernel, self.problem.P, ax, **{"label": kernel_label(self.problem.kernel_symbol), **style})
        ax.set_title(self.title(), loc="left")

    def labelled(self) -> Arrays:
        """The kernel, the predictions and what is known of the state."""
        problem = self.problem
        data: dict[str, Labelled] = {name: ((), getattr(self, name)) for name in SCALARS}
        data["kernel"] = kernel_array(self.kernel, problem.P)
        data["prediction"] = output_array(mean_outputs(self), problem.outputs)
        described = {"branch": self.branch, "status": self.status}
        coordinates = kernel_coordinates(problem.n, problem.P)
        return Arrays(KERNEL, data, coordinates, problem_attributes(problem) | described)

    @property
    def order_parameter(self) -> FloatArray:
        """``Φ^{T-1,T-2}``, a P × P block."""
        P = self.problem.P
        return self.kernel[-P:, -2 * P : -P]


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

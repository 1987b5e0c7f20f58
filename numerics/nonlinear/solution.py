"""A state of a nonlinear network, with everything that says how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.results.display import Facts, Shown, number, sign_fact
from numerics.results.plotting import Drawn
from numerics.results.solution import Branch
from numerics.results.storage import Stored

Engine = Literal["quadrature", "sampling"]


@dataclass(frozen=True, eq=False, repr=False)
class NonlinearSolution(Shown, Drawn, Stored):
    """A stationary point of ``F[Φ, Φ̃]`` (docs/theory.md section 4).

    Attributes:
        problem: what was solved.
        kernel, conjugate: Φ and Φ̃, (nP, nP), time-major index ``(t-1) P + p``.
        covariance, second_moment: ``C[Φ]`` and ``⟨hhᵀ⟩`` of the pre-activations, (nP, nP).
        free_energy, energy, entropy: F, ``½ tr[Y(v𝒯Φ𝒯ᵀ+κ)⁻¹]`` and ``tr Φ̃Φ - ln Z ≥ 0``, in units of N.
        residual: norm of ∂F/∂Φ over the summed norms of the terms that cancel in it, on the engine's points.
        engine: what the averages were computed with.
        kernel_error: error of Φ's entries from the averages, (nP, nP): for quadrature the difference to a finer rule,
            taken to Φ through the inverse of the equations' Jacobian; for sampling one standard error, from states on
            independent parts of the sample.
        points, effective_points: points of the engine, and ``1/Σp²`` of their probabilities.
        converged: the residual is at rounding and `kernel_error` within tolerance.
        status: one sentence: how it ended.
        stable: the Hessian of F(Φ) is positive-definite.
        hessian_smallest: its smallest eigenvalue in the natural metric ``δΦ = L S Lᵀ``, ``Φ = LLᵀ``.
        branch: ``"coherent"`` if a block between different times exceeds the random network's by more than the
            error allows, relative to the diagonal blocks; else ``"incoherent"``.
        iterations: Newton steps in Φ (quadrature) or iterations of the conditions (sampling), over all label scales.
        sign_arbitrary: hidden times t, 1-based, whose prediction f^(t+1) a symmetry of the posterior reverses: its mean
            over all images of the state is 0 (``numerics.symmetry``).
        minima: how many distinct minima of F the search compared; 0 where none was searched for. Those that do not
            compete are ends of descents on few points, of which a flat valley may have several.
        next_free_energy: F of the next of these above this state, as accurate as the points it was met on (about a
            hundredth where it does not compete); None if no other was met.
    """

    problem: Problem
    kernel: FloatArray
    conjugate: FloatArray
    covariance: FloatArray
    second_moment: FloatArray
    free_energy: float
    energy: float
    entropy: float
    residual: float
    engine: Engine
    kernel_error: FloatArray
    points: int
    effective_points: float
    converged: bool
    status: str
    stable: bool
    hessian_smallest: float
    branch: Branch
    iterations: int
    sign_arbitrary: tuple[int, ...] = ()
    minima: int = 0
    next_free_energy: float | None = None

    def __post_init__(self) -> None:
        for array in (self.kernel, self.conjugate, self.covariance, self.second_moment, self.kernel_error):
            array.setflags(write=False)

    def facts(self) -> Facts:
        """What was solved, the state, and how far it can be trusted."""
        problem = self.problem
        return (
            (
                "problem",
                f"{problem.activation} {problem.network}, T = {problem.T}, P = {problem.P}, κ = {problem.kappa:g}",
            ),
            ("state", f"{self.branch}, {'stable' if self.stable else 'not stable'}"),
            ("free energy", f"{number(self.free_energy)} = {number(self.energy)} + {number(self.entropy)}"),
            ("averages", f"{self.engine}, {self.points} points; error of the kernel {self.kernel_error.max():.1e}"),
            ("residual", f"{self.residual:.1e}{'' if self.converged else ', NOT converged'}"),
            ("status", self.status),
            *sign_fact(self.sign_arbitrary),
        )

    def matrix(self) -> FloatArray:
        """The kernel."""
        return self.kernel

    @property
    def order_parameter(self) -> FloatArray:
        """``Φ^{T-1,T-2}``, a P × P block."""
        P = self.problem.P
        return self.kernel[-P:, -2 * P : -P]

"""What follows from a solved kernel: predictions, W's outlier eigenvalues, coherence, alignment.

The formulas are those of docs/theory.md sections 6, 8 and 9.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import scipy.linalg as sla
from numpy.typing import ArrayLike

from numerics.errors import InputError
from numerics.inputs.arrays import finite_array
from numerics.inputs.problem import Problem
from numerics.linalg import ComplexArray, FloatArray, IntArray, alignment
from numerics.linear.functional import kernel_functional
from numerics.linear.solution import linear_state
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.trajectories import state_average
from numerics.results.solution import Solution
from numerics.threads import one_thread

#: Relative eigenvalues of a noiseless read-out's kernel below this are rounding.
SINGULAR = 1e-13


class KernelState(Protocol):
    """A problem and a kernel ``Φ`` of its activations, (nP, nP): a solution for any activation, linear or not."""

    @property
    def problem(self) -> Problem:
        """What is learnt."""

    @property
    def kernel(self) -> FloatArray:
        """``Φ``, time-major."""


def predict(solution: KernelState) -> FloatArray:
    """Mean outputs ``⟨f_a⟩ = v Φ_{a𝒯} (vΦ_{𝒯𝒯} + κ)⁻¹ y``, (P, n), or (O, P, n) for several; column t-1 is f^(t+1)."""
    problem = solution.problem
    means = []
    for positions, labels in problem.targets:
        weights, _ = _regression(solution, positions, labels, solution.kernel[:, positions])
        means.append((weights @ labels).reshape(problem.n, problem.P).T)
    return means[0] if problem.outputs == 1 else np.stack(means)


def regression(solution: KernelState, cross: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights ``v Φ_{a𝒯}(vΦ_{𝒯𝒯}+κ)⁻¹`` on the labels, (a, s), for rows ``Φ_{a𝒯}``, and ``(vΦ_{𝒯𝒯}+κ)⁻¹y``, (s,).

    Without noise, rows that determine each other, as those of equal patterns, share the weights of least norm.
    """
    return _regression(solution, solution.problem.supervised, solution.problem.labels, cross)


def _regression(
    solution: KernelState, T: IntArray, labels: FloatArray, cross: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """`regression` on the labels of one output."""
    problem = solution.problem
    gram = problem.v * solution.kernel[np.ix_(T, T)] + problem.kappa * np.eye(len(T))
    size = np.sqrt(np.diagonal(gram))
    values, frame = np.linalg.eigh(gram / np.outer(size, size))
    kept = values > SINGULAR * values[-1] if problem.kappa == 0 else values > 0
    half = frame[:, kept] / np.sqrt(values[kept]) / size[:, None]
    return problem.v * (cross @ half) @ half.T, half @ (half.T @ labels)


@one_thread
def outliers(solution: Solution) -> ComplexArray:
    """Eigenvalues of W outside the bulk of radius √w, N → ∞; of largest modulus first. Empty for a DNN.

    The labels depend on W through the hidden states h alone. Given these, W is its Gaussian prior conditioned on
    ``h = Wφ⁻ + Ux⁻``, for any φ: ``⟨W⟩ = (w/N) h C⁻¹ φ⁻ᵀ`` has rank at most nP, and the rest R of W is Gaussian and
    smaller along φ⁻. Then ``|z - W| = |z - R| |1 - w C⁻¹ φ⁻ᵀ (z - R)⁻¹ h/N|``, and ``φ⁻ᵀ R^k h/N`` vanishes at large N
    for k ≥ 1, as h is independent of the Gaussian. So the outliers are the eigenvalues of ``w C⁻¹ (φ⁻ᵀh/N)`` of modulus
    above √w, with ``(φ⁻ᵀh/N)^{tt'} = ⟨φ(h^{t-1}) h^{t'}⟩`` over the state's law of one neuron's trajectory
    (docs/theory.md section 8). For linear φ that is ``H^{t-1,t'}``, and for one pattern with input at t = 0 the matrix
    is the companion matrix of the regression of h^n on h^1 … h^{n-1}. For other φ the average is over a sample of fixed
    seed.
    """
    problem = solution.problem
    if problem.arch != "rnn":
        problem.plain("outliers")
        return np.zeros(0, dtype=np.complex128)
    if isinstance(solution, NonlinearSolution):
        covariance, moment = _sampled_moment(solution)
    else:
        functional = kernel_functional(problem)
        H = linear_state(solution).reduced
        covariance, moment = functional.covariance(H), functional.space.shift_rows(H)
    eigenvalues = np.linalg.eigvals(problem.w * sla.solve(covariance, moment, assume_a="pos")).astype(np.complex128)
    outside = eigenvalues[np.abs(eigenvalues) > np.sqrt(problem.w)]
    # a fixed order: modulus, then the positive imaginary part of a pair first
    return np.asarray(outside[np.lexsort((-outside.imag, -np.round(np.abs(outside), 12)))])


def _sampled_moment(solution: NonlinearSolution) -> tuple[FloatArray, FloatArray]:
    """C and ``⟨φ⁻gᵀ⟩`` of a nonlinear network, in the coordinates g of a trajectory, (d, d) each.

    The part of φ that is linear in g has its average from the state's own ``⟨hhᵀ⟩``, so that a sample's fluctuations
    enter through the rest alone.
    """
    at = state_average(solution, solution.problem.activation)
    space = at.space
    second = space.classes.reduced(solution.second_moment)
    g, weighted = at.nodes.points, at.nodes.activity * at.point.average.probability[:, None]
    squares = (g * at.point.average.probability[:, None]).T @ g
    slopes = sla.solve(squares, g.T @ weighted, assume_a="pos").T
    moment = slopes @ space.inverse_embedding @ second @ space.inverse_embedding.T
    return space.covariance(at.point.kernel), space.receive @ moment


def temporal_coherence(solution: KernelState) -> FloatArray:
    """``Φ^{tt'}/√(Φ^{tt}Φ^{t't'})`` for each pattern with itself, averaged over patterns, (n, n)."""
    problem = solution.problem
    per_pattern = np.einsum("tpsp->pts", solution.kernel.reshape(problem.n, problem.P, problem.n, problem.P))
    size = np.sqrt(np.einsum("ptt->pt", per_pattern))
    return np.asarray((per_pattern / size[:, :, None] / size[:, None, :]).mean(axis=0))


def autocorrelation(solution: KernelState) -> FloatArray:
    """Mean temporal coherence over pairs with the same lag ``t - t'``, lags 0 … n-1, (n,)."""
    coherence = temporal_coherence(solution)
    return np.array([np.diagonal(coherence, lag).mean() for lag in range(len(coherence))])


def cka(A: ArrayLike, B: ArrayLike) -> float:
    """Uncentred kernel alignment ``tr(AB)/√(tr(A²) tr(B²))`` of two symmetric kernels of one shape.

    Raises:
        InputError: a kernel is zero, not finite, or no array of real numbers; the shapes differ.
    """
    first = finite_array(A, "A", (None, None))
    second = finite_array(B, "B", first.shape)
    for kernel, name in ((first, "A"), (second, "B")):
        if not kernel.any():
            raise InputError(f"{name}: is zero; accepted: a kernel with an entry that is not")
    return float(np.clip(alignment(first, second), -1.0, 1.0))

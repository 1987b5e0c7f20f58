"""What follows from a solved kernel: predictions, W's outlier eigenvalues, coherence, alignment.

The formulas are those of docs/theory.md sections 6, 8 and 9.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as sla
from numpy.typing import ArrayLike

from numerics.errors import InputError
from numerics.inputs.arguments import of_state
from numerics.inputs.arrays import finite_array
from numerics.linalg import ComplexArray, FloatArray, alignment
from numerics.linear.functional import kernel_functional
from numerics.linear.solution import linear_state
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.trajectories import state_average
from numerics.results.readout import KernelState
from numerics.results.solution import Solution
from numerics.threads import one_thread


@of_state
@one_thread
def outliers(solution: Solution) -> tuple[ComplexArray, ...]:
    """Eigenvalues of each W^(s) outside its bulk of radius ``√(w M_ss)``, N → ∞; s = 1 … n-1, or the RNN's one W.

    The labels depend on W through the hidden states h alone. Given these, the W are their Gaussian prior conditioned on
    the drives ``d^t = W^(t-1)φ^(t-1) + Ux^(t-1) + b^(t)``, for any φ: ``⟨W^(s)⟩ = (w/N) d C⁻¹ D_s φ⁻ᵀ``, C the drives'
    covariance and ``D_s = diag(M_st)``, has rank at most nP, and the rest R of W^(s) is Gaussian and smaller along φ⁻.
    Then ``|z - W| = |z - R| |1 - w C⁻¹ D_s φ⁻ᵀ (z - R)⁻¹ d/N|``, and ``φ⁻ᵀ R^k d/N`` vanishes at large N for k ≥ 1, as
    d is independent of the Gaussian. So outliers are the eigenvalues of ``w C⁻¹ D_s (φ⁻ᵀd/N)`` beyond the bulk, with
    ``(φ⁻ᵀd/N)^{tt'} = ⟨φ(h^{t-1}) d^{t'}⟩`` over the state's law of one neuron's trajectory (docs/theory.md section 8).
    For linear φ and no skip connection that is ``H^{t-1,t'}``, and for the RNN, one pattern and input at t = 0 the
    matrix is the companion matrix of the regression of h^n on h^1 … h^{n-1}. For other φ the average is over a sample
    of fixed seed.

    Example:
        >>> import unrolled
        >>> (eigenvalues,) = unrolled.outliers(unrolled.solve(unrolled.endpoint(T=4, signal=40.0)))
        >>> abs(eigenvalues).round(3)
        array([1.332])
    """
    problem, w = solution.problem, solution.problem.w
    rows = problem.sharing[: 1 if problem.arch == "rnn" else None]
    if isinstance(solution, NonlinearSolution):
        covariance, moments = _sampled_moments(solution, rows)
    else:
        functional = kernel_functional(problem)
        H, space = linear_state(solution).reduced, functional.space
        covariance, whole = functional.covariance(H), space.shift_rows(H)
        moments = [space.of_matrix(s + 1)[:, None] * whole for s in range(len(rows))]
    return tuple(
        _beyond(w * sla.solve(covariance, moment, assume_a="pos"), float(np.sqrt(w * row[s])))
        for s, (row, moment) in enumerate(zip(rows, moments, strict=True))
    )


def _beyond(matrix: FloatArray, radius: float) -> ComplexArray:
    """Eigenvalues outside the bulk, in a fixed order: modulus, then the positive imaginary part of a pair first."""
    values = np.linalg.eigvals(matrix).astype(np.complex128)
    outside = values[np.abs(values) > radius]
    return np.asarray(outside[np.lexsort((-outside.imag, -np.round(np.abs(outside), 12)))])


def _sampled_moments(solution: NonlinearSolution, sharing: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
    """C and ``D_s⟨φ⁻gᵀ⟩`` of a nonlinear network for rows s of M, in the coordinates g of a trajectory, (d, d) each.

    The part of φ that is linear in g has its average from the state's own ``⟨hhᵀ⟩``, so that a sample's fluctuations
    enter through the rest alone.
    """
    at = state_average(solution)
    space = at.space
    second = space.classes.reduced(solution.second_moment)
    g, weighted = at.nodes.points, at.nodes.activity * at.point.average.probability[:, None]
    squares = (g * at.point.average.probability[:, None]).T @ g
    slopes = sla.solve(squares, g.T @ weighted, assume_a="pos").T
    moment = slopes @ space.inverse_embedding @ second @ space.inverse_embedding.T
    weights = np.pad(sharing, ((0, 0), (0, 1)))[:, space.classes.times]
    return space.covariance(at.point.kernel), [space.receive @ (row[:, None] * moment) for row in weights]


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

    Example:
        >>> import numpy as np
        >>> import unrolled
        >>> round(unrolled.cka(np.eye(3), np.ones((3, 3))), 4)
        0.5774
    """
    first = finite_array(A, "A", (None, None))
    second = finite_array(B, "B", first.shape)
    for kernel, name in ((first, "A"), (second, "B")):
        if not kernel.any():
            raise InputError(f"{name}: is zero; accepted: a kernel with an entry that is not")
    return float(np.clip(alignment(first, second), -1.0, 1.0))

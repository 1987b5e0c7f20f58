"""Mean outputs at finite width N, to first order in 1/N (docs/theory.md section 13).

At any width, the outputs given the kernel have mean ``f_a(H) = v H_{a𝒯} q``, ``q = (vH_{𝒯𝒯}+κ)⁻¹y``, each with its own
labels and supervised entries 𝒯 if there are several. Averaged over the kernel's law at width N (mean ``H + shift/N``,
covariance ``(F'')⁻¹/N``, see `finite_width`),

``⟨f_a⟩_N = f_a + (1/N) (∇f_a·shift + ½ tr[∇²f_a (F'')⁻¹])``.

With ``ω_a = vH_{a𝒯}(vH_{𝒯𝒯}+κ)⁻¹`` and ``δ_a = D_{a𝒯} - ω_a D_{𝒯𝒯}``, the derivatives along a change D of the kernel
are ``∇f_a·D = v δ_a q`` and ``D·∇²f_a·D = -2v² δ_a (vH_{𝒯𝒯}+κ)⁻¹ D_{𝒯𝒯} q``.
"""

from __future__ import annotations

import numpy as np

from numerics.linalg import FloatArray, from_vector
from numerics.linear import trust_region
from numerics.linear.functional import kernel_functional
from numerics.linear.solution import linear_state
from numerics.predictors.finite_width import kernel_shift
from numerics.predictors.observables import regression
from numerics.results.solution import Solution


def output_shift(solution: Solution) -> FloatArray:
    """``lim N (⟨f⟩_N - f)`` for the training patterns, (P, n), or (O, P, n) of several outputs; column t-1: f^(t+1).

    Raises:
        InputError: the state is no minimum, or the kernel is too large for a dense Hessian.
    """
    problem = solution.problem
    shift = kernel_shift(solution)
    functional = kernel_functional(problem)
    point = functional.at(linear_state(solution).reduced)
    values, modes = np.linalg.eigh(trust_region.dense_hessian(point))
    frame = functional.space.full_basis() @ point.L
    changes = frame @ from_vector(modes.T, functional.dimension) @ frame.T
    shifts = [_shift(solution, output, shift, changes, values) for output in range(problem.outputs)]
    return shifts[0] if len(shifts) == 1 else np.stack(shifts)


def _shift(solution: Solution, output: int, shift: FloatArray, changes: FloatArray, values: FloatArray) -> FloatArray:
    """That of one output, (P, n), from the kernel's shift, its modes (k, nP, nP), and their curvatures."""
    problem, v = solution.problem, solution.problem.v
    T, _ = problem.targets[output]
    omega, q = regression(solution, solution.kernel[:, T], output)

    def delta(change: FloatArray) -> FloatArray:
        return np.asarray(change[..., :, T] - omega @ change[..., T, :][..., :, T])

    pulled = regression(solution, changes[:, T][:, :, T] @ q, output)[0] / v
    bend = -2 * v**2 * np.einsum("kas,ks,k->a", delta(changes), pulled, 1 / values)
    return np.asarray((v * delta(shift) @ q + 0.5 * bend).reshape(problem.n, problem.P).T)

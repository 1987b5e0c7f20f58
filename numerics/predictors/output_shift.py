"""Outputs at finite width N: shift of their mean and their variance, to first order in 1/N (docs/theory.md section 13).

At any width, the outputs given the kernel have mean ``f_a(Φ) = v Φ_{a𝒯} q``, ``q = (vΦ_{𝒯𝒯}+κ)⁻¹y``, each with its own
labels and supervised entries 𝒯 if there are several. Averaged over the kernel's law at width N (mean ``Φ + shift/N``,
covariance ``Σ/N``, see `finite_width`),

``⟨f_a⟩_N = f_a + (1/N) (∇f_a·shift + ½ tr[∇²f_a Σ])``,
``N Var f_a = v [Φ_aa - v Φ_{a𝒯}(vΦ_{𝒯𝒯}+κ)⁻¹Φ_{𝒯a}] + ∇f_aᵀ Σ ∇f_a``.

With ``ω_a = vΦ_{a𝒯}(vΦ_{𝒯𝒯}+κ)⁻¹`` and ``δ_a = D_{a𝒯} - ω_a D_{𝒯𝒯}``, the derivatives along a change D of the kernel
are ``∇f_a·D = v δ_a q`` and ``D·∇²f_a·D = -2v² δ_a (vΦ_{𝒯𝒯}+κ)⁻¹ D_{𝒯𝒯} q``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numerics.linalg import FloatArray, IntArray
from numerics.predictors.finite_width import kernel_changes, kernel_shift
from numerics.results.readout import KernelState, regression
from numerics.results.solution import Solution


def output_shift(solution: Solution) -> FloatArray:
    """``lim N (⟨f⟩_N - f)`` for the training patterns, (P, n), or (O, P, n) of several outputs; column t-1: f^(t+1).

    Raises:
        InputError: the state is no minimum, or the kernel is too large for a dense Hessian.
        NotSolvedError: a nonlinear state's points are too few for its kernel.
    """
    return shift_of_outputs(solution, kernel_shift(solution), np.array(list(kernel_changes(solution))))


def shift_of_outputs(state: KernelState, shift: FloatArray, changes: FloatArray) -> FloatArray:
    """As `output_shift`, from the kernel's shift (nP, nP) and independent changes (k, nP, nP)."""

    def of_output(output: int) -> FloatArray:
        v, T = state.problem.v, state.problem.targets[output][0]
        omega, q = regression(state, state.kernel[:, T], output)
        pulled = regression(state, changes[:, T][:, :, T] @ q, output)[0] / v
        bend = -2 * v**2 * np.einsum("kas,ks->a", _off(changes, omega, T), pulled)
        return np.asarray(v * _off(shift, omega, T) @ q + 0.5 * bend)

    return _each(state, of_output)


def variance_of_outputs(state: KernelState, changes: FloatArray) -> FloatArray:
    """N times the variance of the outputs, of the read-out given the kernel and of the kernel, (P, n) or (O, P, n)."""

    def of_output(output: int) -> FloatArray:
        v, T = state.problem.v, state.problem.targets[output][0]
        cross = state.kernel[:, T]
        omega, q = regression(state, cross, output)
        given = v * (np.diagonal(state.kernel) - np.sum(omega * cross, axis=1))
        return np.asarray(given + v**2 * np.sum((_off(changes, omega, T) @ q) ** 2, axis=0))

    return _each(state, of_output)


def _off(change: FloatArray, omega: FloatArray, T: IntArray) -> FloatArray:
    """``δ_a`` for changes D of the kernel, (…, nP, nP) → (…, nP, s)."""
    return np.asarray(change[..., :, T] - omega @ change[..., T, :][..., :, T])


def _each(state: KernelState, of_output: Callable[[int], FloatArray]) -> FloatArray:
    """Apply a function to each output, and stack what it gives."""
    problem = state.problem
    found = [of_output(output).reshape(problem.n, problem.P).T for output in range(problem.outputs)]
    return found[0] if len(found) == 1 else np.stack(found)

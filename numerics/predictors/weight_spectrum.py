"""Singular values of the trained W^(s) outside the bulk, for any sharing and activation (docs/theory.md section 8).

Given the hidden states, each W^(s) is its Gaussian prior conditioned on the drives ``d^t = h^t - a h^(t-1)``, whose
covariance is C: it is independent of them outside the span of φ⁻, where it keeps the prior's entries. Its singular
values outside the bulk ``[0, 2√g]``, ``g = w M_ss``, therefore follow from the lengths to which it takes the vectors of
that span,

``φ⁻ᵀ W^(s)ᵀ W^(s) φ⁻/N = gΦ₋ + w² Φ₋ D_s B D_s Φ₋``,   ``B = [C⁻¹⟨ddᵀ⟩C⁻¹ - C⁻¹]₊``,   ``D_s = diag(M_st)``,

with ``Φ₋`` at times 1 … n-1 and ``[·]₊`` at 2 … n. A direction whose squared length grows by a factor α > 2g gives the
singular value ``α/√(α-g)``: the threshold of Baik, Ben Arous and Péché.
"""

from __future__ import annotations

import math

import numpy as np

from numerics.errors import InputError
from numerics.inputs.arguments import of_state
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, symmetric
from numerics.nonlinear.solution import NonlinearSolution
from numerics.results.solution import Solution
from numerics.threads import one_thread

#: Variance of a direction, relative to those of unit variances, below which it is rounding.
ROUNDED_VARIANCE = 1e-11
#: α has to exceed 2g by this share: at the edge of the bulk rounding alone may put it outside.
PAST_THE_EDGE = 1e-9


@of_state
@one_thread
def singular_outliers(solution: Solution) -> tuple[FloatArray, ...]:
    """Singular values of each W^(s) above ``2√(w M_ss)``, N → ∞, largest first; s = 1 … n-1, or the RNN's one W.

    Directions of trajectories whose variance is below `ROUNDED_VARIANCE` of the others' do not count.

    Example:
        >>> import unrolled
        >>> (values,) = unrolled.singular_outliers(unrolled.solve(unrolled.endpoint(T=4, signal=40.0)))
        >>> bool((values > 2).all())
        True
    """
    second = solution.second_moment if isinstance(solution, NonlinearSolution) else solution.kernel
    problem = solution.problem
    found = []
    for s, alpha in enumerate(squared_growth(problem, solution.kernel, second)):
        fresh = problem.w * problem.sharing[s, s]
        outside = alpha[alpha > 2 * fresh * (1 + PAST_THE_EDGE)]
        found.append(outside / np.sqrt(outside - fresh))
    return tuple(found)


def squared_growth(problem: Problem, kernel: FloatArray, second_moment: FloatArray) -> tuple[FloatArray, ...]:
    """α of each W^(s), largest first: eigenvalues of ``g + w² D_s B D_s Φ₋``, one for each direction of φ⁻.

    Args:
        problem: gives M, w and what else is in C.
        kernel: ``Φ``, (nP, nP).
        second_moment: ``⟨hhᵀ⟩``, (nP, nP); the kernel itself for φ(h) = h.

    Raises:
        InputError: a matrix has another shape.
    """
    n, P, w = problem.n, problem.P, problem.w
    for matrix, name in ((kernel, "kernel"), (second_moment, "second_moment")):
        if matrix.shape != (n * P, n * P):
            raise InputError(f"{name}: has shape {matrix.shape}; accepted: ({n * P}, {n * P})")
    earlier = kernel[: (n - 1) * P, : (n - 1) * P]
    inverse = _inverse(drive_covariance(problem, kernel))
    response = inverse @ _drives(problem, second_moment) @ inverse - inverse
    later = response[P:, P:]
    size = np.sqrt(np.maximum(np.diagonal(earlier), np.finfo(float).tiny))
    values, frame = np.linalg.eigh(earlier / np.outer(size, size))
    kept = values > ROUNDED_VARIANCE
    root = size[:, None] * frame[:, kept] * np.sqrt(values[kept])  # Φ₋ = root rootᵀ
    found = []
    for s, row in enumerate(problem.sharing[:1] if problem.arch == "rnn" else problem.sharing):
        seen = root * np.repeat(row, P)[:, None]
        found.append(w * row[s] + w**2 * np.linalg.eigvalsh(symmetric(seen.T @ later @ seen))[::-1])
    return tuple(found)


def drive_covariance(problem: Problem, kernel: FloatArray) -> FloatArray:
    """C of the drives ``W^(t-1) φ(h^(t-1)) + U x^(t-1) + b^(t)``, (nP, nP) (docs/theory.md sections 10 and 11)."""
    n, P = problem.n, problem.P
    ones = np.ones((P, P))
    inputs = problem.x.transpose(1, 0, 2).reshape(n * P, problem.D) / math.sqrt(problem.D)
    C = problem.u * inputs @ inputs.T
    C[P:, P:] += problem.w * np.kron(problem.sharing, ones) * kernel[: (n - 1) * P, : (n - 1) * P]
    return np.asarray(C + problem.bias * np.kron(problem.bias_sharing, ones) if problem.bias else C)


def _drives(problem: Problem, second_moment: FloatArray) -> FloatArray:
    """``⟨ddᵀ⟩ = A ⟨hhᵀ⟩ Aᵀ``, ``A = 1 - aΣ``."""
    if not problem.skip:
        return second_moment
    A = np.kron(np.eye(problem.n) - problem.skip * np.eye(problem.n, k=-1), np.eye(problem.P))
    return np.asarray(A @ second_moment @ A.T)


def _inverse(C: FloatArray) -> FloatArray:
    """The inverse on the directions that vary, variances scaled to one first."""
    size = np.sqrt(np.maximum(np.diagonal(C), np.finfo(float).tiny))
    values, frame = np.linalg.eigh(C / np.outer(size, size))
    kept = values > ROUNDED_VARIANCE
    half = frame[:, kept] / np.sqrt(values[kept]) / size[:, None]
    return np.asarray(half @ half.T)
